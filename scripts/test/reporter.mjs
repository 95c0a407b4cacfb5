// mocha's spec reporter, which also leaves its counts and failures as JSON in the file that the
// environment variable HASTACK_TEST_REPORT names, for the summary of all suites.
import { writeFileSync } from "node:fs";
import { relative } from "node:path";
import Mocha from "mocha";

const { EVENT_HOOK_END, EVENT_RUN_END, EVENT_TEST_END, EVENT_TEST_FAIL } = Mocha.Runner.constants;

/** A hook is named where it takes long: a test's own time says nothing of it. */
const hookSeconds = 1;

export default class ReportingReporter extends Mocha.reporters.Spec {
  /**
   * @param {Mocha.Runner} runner
   * @param {Mocha.MochaOptions} options
   */
  constructor(runner, options) {
    super(runner, options);
    const path = process.env.HASTACK_TEST_REPORT;
    if (path === undefined) return;
    /** @type {import("./failures.ts").Failure[]} */
    const failures = [];
    /** @type {import("./summary.ts").Case[]} */
    const cases = [];
    /** @param {Mocha.Runnable} one @param {string} title */
    const time = (one, title) =>
      cases.push({ title, file: fileOf(one), seconds: (one.duration ?? 0) / 1000 });
    const leave = (ended = false) => {
      const { passes = 0, failures: failed = 0, pending = 0 } = runner.stats ?? {};
      const told = { ended, passed: passes, failed, skipped: pending, failures, cases };
      writeFileSync(path, JSON.stringify(told));
    };
    runner.on(EVENT_TEST_FAIL, (test, error) => {
      failures.push({
        title: test.fullTitle(),
        file: fileOf(test),
        error: told(error),
      });
      leave(); // a run that is ended from outside has told what it found until then
    });
    runner.on(EVENT_TEST_END, (test) => time(test, test.fullTitle()));
    runner.on(EVENT_HOOK_END, (hook) => {
      if ((hook.duration ?? 0) < hookSeconds * 1000) return;
      time(hook, hook.fullTitle());
    });
    runner.once(EVENT_RUN_END, () => leave(true));
  }
}

/**
 * The test's own file, or for a hook that of its suite.
 * @param {Mocha.Runnable} test
 */
function fileOf(test) {
  const file = test.file ?? test.parent?.file;
  return file === undefined ? undefined : relative(process.cwd(), file);
}

/** @param {unknown} error */
function told(error) {
  if (!(error instanceof Error)) return String(error);
  const { message, stack = "" } = error;
  return stack.includes(message) ? stack : `${message}\n${stack}`;
}

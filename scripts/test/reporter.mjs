// mocha's spec reporter, which also leaves its counts and failures as JSON in the file that the
// environment variable HASTACK_TEST_REPORT names, for the summary of all suites.
import { writeFileSync } from "node:fs";
import { relative } from "node:path";
import Mocha from "mocha";

const { EVENT_RUN_END, EVENT_TEST_FAIL } = Mocha.Runner.constants;

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
    const leave = (ended = false) => {
      const { passes = 0, failures: failed = 0, pending = 0 } = runner.stats ?? {};
      const told = { ended, passed: passes, failed, skipped: pending, failures };
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

/** The script by which a machine is asked everything at once, run here. */
import assert from "node:assert/strict";
import { run } from "../../../../lib/run.ts";
import { type Question, readAnswers, scriptOf } from "../../../../operate/status/ask.ts";

const question = (name: string, command: string, folder = "/"): Question => ({
  name,
  folder,
  command,
});

async function answersTo(...questions: Question[]) {
  const start = Date.now();
  const { stdout, stderr } = await run(["sh", "-c", scriptOf(questions)]);
  // The shell tells of one that had to be killed
  assert.match(stderr, /^(Killed\n)?$/);
  return { answers: readAnswers(stdout), seconds: (Date.now() - start) / 1000 };
}

describe("questions to a machine", function () {
  this.timeout(10_000);

  it("O1: are answered each with its output, whatever is in it, and its exit code", async () => {
    const { answers } = await answersTo(
      question("a.first", "echo one; echo 'två \"$2' >&2; printf three; exit 3"),
      question("a.none", "true"),
      question("a.folder", "pwd", "/usr"),
      question("a.no-folder", "pwd", "/is/not"),
    );
    assert.deepEqual(answers["a.first"], { code: 3, text: 'one\ntvå "$2\nthree' });
    assert.deepEqual(answers["a.none"], { code: 0, text: "" });
    assert.deepEqual(answers["a.folder"], { code: 0, text: "/usr\n" });
    assert.notEqual(answers["a.no-folder"]?.code, 0);
  });

  it("O1: do not mix, however long their answers are", async () => {
    const names = Array.from({ length: 12 }, (_, index) => `m-${index}.long`);
    const { answers } = await answersTo(
      ...names.map((name) => question(name, `seq -f '${name} %g' 1 3000`)),
    );
    for (const name of names) {
      const lines = answers[name]?.text.trim().split("\n") ?? [];
      assert.equal(lines.length, 3000);
      assert.ok(lines.every((line, index) => line === `${name} ${index + 1}`));
    }
  });

  it("O1: keep no other where one hangs or does not want to end, and leave nothing running", async () => {
    const mark = `9${process.pid}.5`;
    const { answers, seconds } = await answersTo(
      question("a.hangs", `echo so far; sleep ${mark} & sleep ${mark}`),
      question("a.stays", `trap '' TERM; sleep ${mark}; sleep ${mark}`),
      question("a.well", "echo well"),
    );
    assert.deepEqual(answers["a.well"], { code: 0, text: "well\n" });
    assert.deepEqual(answers["a.hangs"], { code: 124, text: "so far\n" });
    assert.ok([124, 137].includes(answers["a.stays"]?.code ?? 0));
    assert.ok(seconds < 2, `${seconds} s`);
    const { stdout } = await run(["pgrep", "-f", `sleep ${mark}`]);
    assert.equal(stdout, "");
  });

  it("O1: whose answer was cut off are not answered", () => {
    const encoded = Buffer.from("one two three\n0").toString("base64");
    assert.deepEqual(readAnswers(`a.b ${encoded}\n`), {
      "a.b": { code: 0, text: "one two three" },
    });
    assert.deepEqual(readAnswers(`a.b ${encoded.slice(0, 12)}\n`), {});
  });
});

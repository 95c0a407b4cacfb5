import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { linesIn } from "../../../../operate/logs/lines.ts";

async function linesOf(...chunks: (string | Buffer)[]): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of linesIn(Readable.from(chunks.map(Buffer.from), { objectMode: false })))
    lines.push(line);
  return lines;
}

describe("lines of a program", () => {
  it("W9: are whole, wherever they are cut on their way", async () => {
    assert.deepEqual(await linesOf("a\nb", "c\r", "\n\nd"), ["a", "bc", "", "d"]);
    const [first, last] = [Buffer.from("ü").subarray(0, 1), Buffer.from("ü").subarray(1)];
    assert.deepEqual(await linesOf(first, last, "\n"), ["ü"]);
  });

  it("W9: come in parts where one never ends, and are not kept for ever", async () => {
    const parts = await linesOf(...Array.from({ length: 100 }, () => "x".repeat(10_000)));
    assert.equal(parts.join("").length, 1_000_000);
    assert.ok(Math.max(...parts.map(({ length }) => length)) < 200_000);
  });
});

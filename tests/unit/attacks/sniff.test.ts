/** What is read along on a bridge: whole streams, found again by their text. */
import assert from "node:assert/strict";
import { framesOf, readAlong, seenIn, streamsOf } from "../../support/attacks/sniff.ts";
import type { TestStack } from "../../support/test-stack.ts";
import { start } from "../../support/unit/containers.ts";
import { baseImage } from "../../support/unit/images.ts";

/** An Ethernet frame of IPv4 and TCP without options. */
function frame(from: number, to: number, text: string): Buffer {
  const head = Buffer.alloc(54);
  head.writeUInt16BE(0x0800, 12);
  head[14] = 0x45;
  head.writeUInt16BE(40 + text.length, 16);
  head[23] = 6;
  head.set([10, 0, 0, from, 10, 0, 0, to], 26);
  head.writeUInt16BE(1000 + from, 34);
  head.writeUInt16BE(1000 + to, 36);
  head[46] = 5 << 4;
  // Short frames are filled up, which is no part of what was sent
  return Buffer.concat([head, Buffer.from(text), Buffer.from("filled up")]);
}

const captured = (...frames: Buffer[]) =>
  Buffer.concat(
    frames.flatMap((one) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(one.length);
      return [length, one];
    }),
  );

describe("reading along", function () {
  this.timeout("60s");

  it("puts the parts of a stream together, each direction for itself", () => {
    const capture = captured(frame(1, 2, "pass"), frame(2, 1, "other"), frame(1, 2, "word"));
    const streams = streamsOf(framesOf(capture));
    assert.deepEqual(
      streams.map(({ name, bytes }) => `${name} ${bytes}`),
      ["10.0.0.1:1001 > 10.0.0.2:1002 password", "10.0.0.2:1002 > 10.0.0.1:1001 other"],
    );
    assert.deepEqual(seenIn(streams, ["password", "secret"]), [
      "10.0.0.1:1001 > 10.0.0.2:1002: passwo…",
    ]);
  });

  it("leaves out a frame that was cut off", () => {
    const capture = captured(frame(1, 2, "whole"), frame(1, 2, "cut off"));
    assert.equal(framesOf(capture.subarray(0, -3)).length, 1);
  });

  it("sees on a bridge what two others say to each other", async () => {
    const image = await baseImage();
    const network = "bridge";
    const listens =
      'use IO::Socket; $s = IO::Socket::INET->new(LocalPort => 4000, Listen => 1, ReuseAddr => 1); while ($c = $s->accept) { <$c>; print $c "an answer\\n"; close $c }';
    const server = await start(image, "sniff-server", {
      network,
      command: ["perl", "-e", listens],
    });
    const client = await start(image, "sniff-client", { network });
    try {
      const address = await server.run("hostname -i");
      const place = { container: () => server.name, address: () => address };
      const streams = await readAlong({ place } as unknown as TestStack, () =>
        client.run(`curl -s --http0.9 --max-time 5 http://${address}:4000/a-question`),
      );
      assert.equal(seenIn(streams, ["a-question"]).length, 1);
      assert.equal(seenIn(streams, ["an answer"]).length, 1);
    } finally {
      await server.remove();
      await client.remove();
    }
  });
});

/** The store of the uploads on machines: full, read-only, hung, lost; and that it heals every time. */
import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { crc32, deflateSync } from "node:zlib";
import { mustRun } from "../../../lib/run.ts";
import { until } from "../../../lib/until.ts";
import type { MachinePlace } from "../../support/machine-place.ts";
import { fault, timed } from "../../support/measure.ts";
import { healed, inside, promisedWithout, startMember } from "../../support/members.ts";
import { limits } from "../../support/promises.ts";
import type { TestStack } from "../../support/test-stack.ts";
import { destination, pause, postDestination, request } from "../../support/traffic.ts";

const volume = "hastack-uploads";
const brick = "/var/lib/hastack/bricks/uploads";
const bricks = ["brick-1", "brick-2"] as const;
/** Longer than a brick that hangs is waited for, 5 s, and than what follows. */
const awaySeconds = 12;
const uploadsAtOnce = 30;

export function storageFaultsSuite(stack: TestStack, place: MachinePlace): void {
  const gluster = (command: string) => inside(stack, "brick-1", `gluster --mode=script ${command}`);

  describe("the store of the uploads", function () {
    this.timeout("10m");

    before(async () => {
      await healed(stack);
      await postDestination(stack, "before the store's faults");
      await sameOnBothBricks();
    });
    // Whatever failed: the next fault wants a whole store
    afterEach(async () => {
      await healed(stack);
      await timed("healed, and the same on both bricks", sameOnBothBricks);
    });

    it("S4: a full store refuses an upload with 507, and neither a row nor a file is left", async () => {
      const option = `${volume} storage.reserve`;
      const said = await gluster(`volume get ${option}`);
      const before = /storage\.reserve +(\d+)/.exec(said)?.[1] ?? "";
      await gluster(`volume set ${option} 99`);
      try {
        await refuses(507, "storage-full");
      } finally {
        await gluster(`volume set ${option} ${before}`);
      }
      await takesUploads();
    });

    it("S4: a read-only store refuses an upload with 503, and neither a row nor a file is left", async () => {
      const onBoth = (script: string) =>
        Promise.all(bricks.map((member) => inside(stack, member, script)));
      await onBoth(`mount --bind ${brick} ${brick}; mount -o remount,bind,ro ${brick}`);
      try {
        await refuses(503, "storage-unavailable");
      } finally {
        await onBoth(`umount ${brick}`);
      }
      // A brick ends itself once it sees that it can write no more
      await gluster(`volume start ${volume} force`);
      await takesUploads();
    });

    it("S2: a brick hangs with its machine: the other one goes on", async () => {
      const promised = await promisedWithout(stack, "brick-2");
      await fault(stack, "a brick's machine hangs", promised, async () => {
        await mustRun(["docker", "pause", place.container("brick-2")]);
        try {
          await sleep(awaySeconds * 1000);
        } finally {
          await mustRun(["docker", "unpause", place.container("brick-2")]);
        }
      });
    });

    for (const member of [...bricks, "arbiter-1"]) {
      it(`S2: ${member} is lost with its machine, and comes back`, async () => {
        const promised = await promisedWithout(stack, member);
        await fault(stack, `lost: ${place.sharing(member).join(", ")}`, promised, async () => {
          await place.lose(member);
          await sleep(awaySeconds * 1000);
          await startMember(stack, member);
        });
      });
    }

    it(`S2: ${uploadsAtOnce} uploads at once while a brick's machine boots: none is lost, none is half`, async () => {
      const picture = noise();
      const { image } = await upload(picture, randomUUID());
      const whole = await served(image);
      const begin = Date.now();
      const reboot = place.reboot("brick-1");
      const uploads = Array.from({ length: uploadsAtOnce }, () => until201(picture));
      const images = await Promise.all(uploads);
      console.log(`      ${uploadsAtOnce} uploads: ${((Date.now() - begin) / 1000).toFixed(1)} s`);
      await reboot;
      for (const one of images) assert.equal(await served(one), whole, `${one} is another picture`);
    });

    async function refuses(status: number, code: string): Promise<void> {
      const files = await names();
      await until(`an upload is refused with ${status}`, {
        probe: async () => {
          const answer = await upload(noise(8), randomUUID()).catch((error: Error) => error);
          return answer instanceof Error ? answer.message : `accepted as ${answer.image}`;
        },
        done: (said) => said.startsWith(`${status} `) && said.includes(code),
        limitSeconds: 60,
      });
      const before = await names();
      const quote = `refused ${randomUUID()}`;
      await assert.rejects(
        postDestination(stack, quote),
        new RegExp(`^Error: ${status} .*${code}`),
      );
      assert.deepEqual(await names(), before, "files");
      assert.ok(before.length - files.length <= 2, "files of what was refused meanwhile");
      const { body } = await request(`${stack.url}api/content?limit=100`, { ca: stack.ca });
      assert.ok(!body.includes(quote), "a row");
    }

    async function takesUploads(): Promise<void> {
      await until("an upload is taken again", {
        probe: () => postDestination(stack, `after the store's fault ${randomUUID()}`),
        done: () => true,
        limitSeconds: 90,
      });
    }

    /** Under one key until it is acknowledged, as a good client does. */
    async function until201(picture: Buffer): Promise<string> {
      const key = randomUUID();
      const end = Date.now() + limits.reboot * 2 * 1000;
      for (;;) {
        try {
          return (await upload(picture, key)).image;
        } catch (error) {
          if (Date.now() > end) throw error;
          await pause(500);
        }
      }
    }

    async function upload(picture: Buffer, key: string): Promise<{ image: string }> {
      const { body, type } = destination(`a picture ${key}`, picture);
      const { status, body: text } = await request(`${stack.url}api/content`, {
        method: "POST",
        headers: {
          Authorization: await stack.authorization(),
          "Content-Type": type,
          "Content-Length": body.length,
          "Idempotency-Key": key,
        },
        body,
        limitMilliseconds: 60_000,
        ca: stack.ca,
      });
      if (status !== 201) throw new Error(`${status} ${text.slice(0, 200)}`);
      return JSON.parse(text);
    }

    async function served(image: string): Promise<string> {
      const url = new URL(image, stack.url).href;
      const { status, body } = await request(url, { ca: stack.ca, limitMilliseconds: 20_000 });
      assert.equal(status, 200, image);
      return body;
    }

    /** What a brick has. */
    async function names(): Promise<string[]> {
      const list = `cd ${brick} && find . -name '.glusterfs*' -prune -o -type f -print | sort`;
      return (await inside(stack, "brick-1", list)).trim().split("\n");
    }
  });

  /** Nothing is left to heal, and each file is the same on both machines that keep it. */
  async function sameOnBothBricks(): Promise<void> {
    await until("GlusterFS has healed all", {
      probe: () => gluster(`volume heal ${volume} info`),
      done: (told) =>
        told.match(/^Status: Connected$/gm)?.length === 3 &&
        told.match(/^Number of entries: 0$/gm)?.length === 3,
      limitSeconds: 180,
    });
    const sums = `cd ${brick} && find . -name '.glusterfs*' -prune -o -type f -print0 | sort -z | xargs -0 sha256sum`;
    const [one = "", other = ""] = await Promise.all(
      bricks.map((member) => inside(stack, member, sums)),
    );
    assert.ok(one.trim() !== "", "a brick without files");
    assert.equal(one, other);
  }
}

/** A picture that cannot be made smaller: 600 by 600 dots of any colour, about 1 MB, unless said. */
function noise(side = 600): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  // 8 bits, colours
  header.set([8, 2], 8);
  const rows = Array.from({ length: side }, () =>
    Buffer.concat([Buffer.alloc(1), randomBytes(side * 3)]),
  );
  const chunk = (type: string, data: Buffer) => {
    const named = Buffer.concat([Buffer.from(type), data]);
    const ends = Buffer.alloc(8);
    ends.writeUInt32BE(data.length, 0);
    ends.writeUInt32BE(crc32(named), 4);
    return Buffer.concat([ends.subarray(0, 4), named, ends.subarray(4)]);
  };
  return Buffer.concat([
    Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(Buffer.concat(rows))),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

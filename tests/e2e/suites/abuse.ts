/** Clients that take more than their share of the site, and what others see of it. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { type Abuse, type AbuseOptions, Abusers, type Counts } from "../../support/abuse.ts";
import { addOffer } from "../../support/bookers.ts";
import { healed } from "../../support/members.ts";
import { slack } from "../../support/promises.ts";
import type { TestStack } from "../../support/test-stack.ts";
import { destination, request } from "../../support/traffic.ts";
import { Visitor } from "../../support/visitor.ts";

/** Within which a page is there, whatever others do. */
const promisedMilliseconds = 100;
const addresses = 42;
const clients = 420;
/** A telephone far from its mast. */
const bytesPerSecond = 12_500;

/** For how long there are clients of one kind. */
const seconds = 60;

export function abuseSuite(stack: TestStack): void {
  describe("clients that take more than their share", () => {
    let abusers: Abusers;
    let upload: { readonly path: string; readonly headers: Readonly<Record<string, string>> };

    before(async () => {
      await healed(stack);
      abusers = await Abusers.start(stack, addresses + 1);
      const visitor = new Visitor(stack);
      await visitor.register();
      const { id } = await addOffer(stack, 5);
      const booking = await visitor.book(id, 1, "abused");
      upload = { path: `/api/bookings/${booking.id}/items`, headers: visitor.headers };
    });
    after(() => abusers?.remove());

    /** Runs clients of this kind beside a visitor who looks at pages. */
    async function beside(
      kind: Abuse,
      options: Partial<AbuseOptions> = {},
      body?: Buffer,
    ): Promise<Counts> {
      const all = { clients, seconds, addresses, ...options };
      const [pages, counts] = await Promise.all([
        // The clients need a while to come, and are gone at the end
        sleep(3000).then(() => look(stack, all.seconds - 4)),
        abusers.run(kind, all, body),
      ]);
      const where = all.addresses === 1 ? "one address" : `${all.addresses} addresses`;
      console.log(
        `      ${all.clients} that ${kind}, from ${where}: ${show(pages)}; they got ${JSON.stringify(counts)}`,
      );
      assert.deepEqual(pages.failures, []);
      // The worst one alone may be the machine's, which clients and stack share
      assert.ok(pages.p99 <= slack * promisedMilliseconds, show(pages));
      return counts;
    }

    it("L10: 420 that send a body byte by byte are told that they are too slow", async () => {
      const { 408: tooSlow = 0 } = await beside("drip");
      assert.ok(tooSlow > 0);
    });

    it("L10: 420 that go on byte by byte after 20 KB do not keep an honest upload on a slow line from its end", async () => {
      const size = 3_000_000;
      const sent = destination("slowly but steadily", picture(size));
      const text = sent.body.toString("latin1").replaceAll('name="quote"', 'name="text"');
      const honest = abusers.run(
        "steady",
        {
          ...{
            clients: 1,
            addresses: 1,
            from: addresses,
            seconds: size / bytesPerSecond + 60,
            path: upload.path,
          },
          headers: { ...upload.headers, "Content-Type": sent.type },
        },
        Buffer.from(text, "latin1"),
      );
      const headers = { ...upload.headers, "Content-Type": sent.type };
      const late = { path: upload.path, headers, bytes: 1_000_000 };
      const [answer, counts] = await Promise.all([
        honest,
        beside("late drip", { ...late, seconds: size / bytesPerSecond }),
      ]);
      console.log(`      the honest one: ${JSON.stringify(answer)}`);
      assert.equal(answer[201], 1);
      assert.ok((counts[429] ?? 0) > 0, "who sends more than its share at a time is told so");
    });

    it("L10: the same from one address", async () => {
      await beside("drip", { addresses: 1 });
      const headers = { ...upload.headers, "Content-Type": "multipart/form-data; boundary=a" };
      const late = { path: upload.path, headers, bytes: 1_000_000 };
      const { 429: tooMany = 0 } = await beside("late drip", { ...late, addresses: 1 });
      assert.ok(tooMany > 0);
    });

    it("L10: 2000 idle connections from one address are cut to its share", async () => {
      const { closed = 0, refused = 0 } = await beside("idle", { clients: 2000, addresses: 1 });
      assert.ok(closed + refused >= 500, `${closed} closed, ${refused} refused`);
    });

    it("L10: a flood of logins is answered 429", async () => {
      const type = { "Content-Type": "application/x-www-form-urlencoded" };
      const body = Buffer.from("email=nobody%40example.org&password=not-the-one-that-it-is");
      const options = { clients: 20, addresses: 1, headers: type };
      const { 429: tooMany = 0 } = await beside("logins", options, body);
      assert.ok(tooMany > 0);
    });

    it("L10: a flood of requests from one address is answered 429", async () => {
      const { 429: tooMany = 0 } = await beside("flood", { clients: 20, addresses: 1 });
      assert.ok(tooMany > 0);
    });
  });
}

interface Pages {
  readonly count: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly worst: number;
  readonly failures: readonly string[];
}

/** Looks at pages, one after the other, each by a connection of its own. */
async function look(stack: TestStack, seconds: number): Promise<Pages> {
  const end = Date.now() + seconds * 1000;
  const times: number[] = [];
  const failures: string[] = [];
  while (Date.now() < end) {
    const begun = performance.now();
    try {
      const { status } = await request(stack.url, { agent: false, ca: stack.ca });
      if (status !== 200) failures.push(String(status));
    } catch (error) {
      failures.push(String(error));
    }
    times.push(performance.now() - begun);
    await sleep(30);
  }
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.min(times.length - 1, Math.floor(times.length * share))];
  const [p50 = 0, p99 = 0, worst = 0] = [at(0.5), at(0.99), at(1)];
  return { count: times.length, p50, p99, worst, failures };
}

function show({ count, p50, p99, worst }: Pages): string {
  const of = (value: number) => value.toFixed(0);
  return `${count} pages in ${of(p50)} ms (median), ${of(p99)} ms (p99), ${of(worst)} ms (worst)`;
}

/** A GIF of one pixel with a comment that makes it as long as this. */
function picture(bytes: number): Buffer {
  const pixel = Buffer.from("R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw==", "base64");
  const blocks = Math.ceil(bytes / 256);
  const block = Buffer.concat([Buffer.from([255]), Buffer.alloc(255, 0x20)]);
  const comment = Buffer.concat([
    Buffer.from([0x21, 0xfe]),
    ...Array.from({ length: blocks }, () => block),
    Buffer.from([0]),
  ]);
  // Header, screen and its two colours come before it
  return Buffer.concat([pixel.subarray(0, 19), comment, pixel.subarray(19)]);
}

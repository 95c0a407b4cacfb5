/** The example in Python on a running stack: its clients, and what they check afterwards. */
import { randomUUID } from "node:crypto";
import { until } from "../../lib/until.ts";
import { holders, inside, wholePair } from "./members.ts";
import { instancesOf, type Served } from "./place.ts";
import { limits } from "./promises.ts";
import type { TestStack } from "./test-stack.ts";
import { type Acknowledged, type Answer, type Door, request, type Visits } from "./traffic.ts";

export const notes: Served = { path: "examples/notes", tiers: ["web"] };

/** A one-pixel GIF. */
export const pixel = Buffer.from("R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw==", "base64");

/** Longer than the program tries to get a write through. */
const writeLimitMilliseconds = 40_000;

/** Posts a note with a picture. */
export async function postNote(
  { url, ca }: Door,
  title: string,
  { key = randomUUID(), picture = pixel }: { key?: string; picture?: Uint8Array } = {},
): Promise<Answer> {
  const form = new FormData();
  form.set("title", title);
  form.set("text", "tested");
  form.set("picture", new Blob([new Uint8Array(picture)]));
  const whole = new Request(url, { method: "POST", body: form });
  const body = Buffer.from(await whole.arrayBuffer());
  return request(`${url}notes`, {
    method: "POST",
    headers: {
      "Content-Type": whole.headers.get("content-type") ?? "",
      "Content-Length": body.length,
      "Idempotency-Key": key,
    },
    body,
    limitMilliseconds: writeLimitMilliseconds,
    ca,
  });
}

/** Whoever reads the page, and whoever adds notes. */
export const noteVisits: Visits = {
  async read({ url, ca }) {
    const { status } = await request(url, { ca });
    if (status !== 200) throw new Error(`status ${status}`);
  },
  async write(site, quote, key) {
    const { status, body, headers } = await postNote(site, quote, { key });
    const id = Number(/^\/notes\/(\d+)\?/.exec(headers.location ?? "")?.[1]);
    if (status !== 303 || !id) throw new Error(`${status} ${body.slice(0, 200)}`);
    // Its picture is found on the page
    return { id, image: "" };
  },
};

interface Shown {
  readonly id: number;
  readonly picture: string;
}

const article = /<article id="note-(\d+)">(.*?)<\/article>/gs;

/** All notes by their titles, read page after page. */
async function allNotes({ url, ca }: Door): Promise<Map<string, Shown[]>> {
  const found = new Map<string, Shown[]>();
  for (let next: string | undefined = "/"; next !== undefined; ) {
    const { status, body } = await request(new URL(next, url).href, { ca });
    if (status !== 200) throw new Error(`${next} answers ${status}`);
    for (const [, id, text = ""] of body.matchAll(article)) {
      const title = /<h2><a [^>]*>([^<]*)</.exec(text)?.[1] ?? "";
      const picture = /<img src="([^"]*)"/.exec(text)?.[1] ?? "";
      found.set(title, [...(found.get(title) ?? []), { id: Number(id), picture }]);
    }
    next = /<a rel="next" href="([^"]*)"/.exec(body)?.[1];
  }
  return found;
}

/** Acknowledged notes that are not there, or are there twice, or have lost their picture. */
export async function missingNotes(
  door: Door,
  acknowledged: readonly Acknowledged[],
): Promise<string[]> {
  const problems: string[] = [];
  const stored = await allNotes(door);
  for (const { id, quote } of acknowledged) {
    const shown = stored.get(quote) ?? [];
    const ids = shown.map((one) => one.id);
    if (ids.join() !== String(id)) {
      problems.push(`acknowledged as ${id}, stored as [${ids}]: ${quote}`);
      continue;
    }
    const picture = shown[0]?.picture ?? "";
    const { status } = await request(new URL(picture, door.url).href, { ca: door.ca });
    if (picture === "" || status !== 200) problems.push(`picture of ${id} answers ${status}`);
  }
  return problems;
}

/** Names of the instances that answer through the load balancer. */
export async function servingNotes(stack: TestStack): Promise<string[]> {
  const names = new Set<string>();
  for (let turn = 0; turn < 8; turn += 1) {
    const { status, servedBy } = await stack.request("");
    if (status === 200) names.add(servedBy);
  }
  return [...names].sort();
}

/** The releases that the instances answer with. */
export async function servedReleases(stack: TestStack): Promise<string[]> {
  const found = new Set<string>();
  for (let turn = 0; turn < 6; turn += 1) {
    const { status, body } = await stack.request("health");
    const release = /^ok ([0-9a-f]{12})\n$/.exec(body)?.[1];
    if (status === 200) found.add(release ?? `none in ${body}`);
  }
  return [...found];
}

/** Every member is there, in its role, and all instances answer. */
export async function notesHealed(stack: TestStack): Promise<void> {
  await wholePair(stack);
  await until("one load balancer holds the address", {
    probe: () => holders(stack),
    done: (found) => found.length === 1,
    limitSeconds: limits.rejoin,
  });
  await until("all instances serve", {
    probe: () => servingNotes(stack),
    done: (names) => names.join() === instancesOf(notes).join(),
    limitSeconds: limits.rejoin,
  });
}

/** Name of the file of some note's picture. */
export async function pictureOf(door: Door): Promise<string> {
  const [[shown] = []] = (await allNotes(door)).values();
  const name = shown?.picture.split("/").at(-1);
  if (!name) throw new Error("no note has a picture");
  return name;
}

/** Names of the jobs whose processes wait or run beside an instance. */
export async function jobsUnderWay(stack: TestStack, instance: string): Promise<string[]> {
  const list = "for one in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $one || :; echo; done";
  const lines = (await inside(stack, instance, list)).split("\n");
  const names = lines.flatMap((line) => /^\/bin\/sh -eu \S*jobs\/(\S+) $/.exec(line)?.[1] ?? []);
  return [...new Set(names)].sort();
}

/** Runs of a job that an instance has logged the end of: when they were due, and the exit code. */
export async function jobRuns(stack: TestStack, instance: string, job: string) {
  const log = await stack.place.log(instance, Number.POSITIVE_INFINITY);
  const ends = log.matchAll(/^job (\S+), due (\S+): exit code (\d+) after \d+ s$/gm);
  return [...ends]
    .filter(([, name]) => name === job)
    .map(([, , due = "", code]) => ({ due: Date.parse(due) / 1000, code: Number(code) }));
}

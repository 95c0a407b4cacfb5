/** How long pages and writes take at a client outside, while something else is done. */
import { setTimeout as sleep } from "node:timers/promises";
import { patientVisits, type Report, request, type Site, Traffic, type Visits } from "./traffic.ts";

/** Milliseconds of one kind of request, and what failed. */
export interface Latency {
  readonly count: number;
  readonly median: number;
  readonly p99: number;
  readonly failed: number;
  /** Longest time without a success, seconds. */
  readonly gapSeconds: number;
}

export interface Latencies {
  readonly pages: Latency;
  readonly writes: Latency;
}

async function timed<T>(times: number[], act: () => Promise<T>): Promise<T> {
  const begun = performance.now();
  const result = await act();
  times.push(performance.now() - begun);
  return result;
}

/** The home page, which has rows of the database in it, and new destinations with a picture. */
function timedVisits(pages: number[], writes: number[]): Visits {
  return {
    read: ({ url, ca }) =>
      timed(pages, async () => {
        const { status } = await request(url, { ca, connectMilliseconds: 5000 });
        if (status !== 200) throw new Error(`status ${status}`);
      }),
    write: (site, quote, key) => timed(writes, () => patientVisits.write(site, quote, key)),
  };
}

function latency(times: readonly number[], { failed, gapSeconds }: Report["reads"]): Latency {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (part: number) => sorted[Math.floor((sorted.length - 1) * part)] ?? Number.NaN;
  return { count: sorted.length, median: at(0.5), p99: at(0.99), failed, gapSeconds };
}

/** Runs something under light load. @returns its result, and what the clients saw meanwhile */
export async function latenciesDuring<T>(
  site: Site,
  act: () => Promise<T>,
): Promise<{ result: T; seen: Latencies; report: Report }> {
  // The first write would ask for it, and that takes seconds
  await site.authorization();
  const [pages, writes] = [[] as number[], [] as number[]];
  const traffic = new Traffic(site, timedVisits(pages, writes));
  try {
    const result = await act();
    const report = await traffic.stop();
    const seen = { pages: latency(pages, report.reads), writes: latency(writes, report.writes) };
    return { result, seen, report };
  } finally {
    await traffic.stop();
  }
}

/** What the clients see where nothing else is done. */
export const latenciesAtRest = (site: Site, seconds: number) =>
  latenciesDuring(site, () => sleep(seconds * 1000));

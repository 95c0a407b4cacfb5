/** Logs of several members as one, by time. */

/** A line of a member's log. */
export interface Line {
  /** ISO 8601 in UTC, so that texts compare as times do. */
  readonly time: string;
  readonly text: string;
}

export interface Source {
  readonly name: string;
  /** In the order of time. */
  readonly lines: AsyncIterable<Line>;
}

export interface NamedLine extends Line {
  readonly name: string;
}

interface Head {
  readonly line: NamedLine;
  /** When it was written, or came where its time is later, milliseconds. */
  readonly came: number;
}

/** A line that is waited for. */
interface Read {
  readonly since: number;
  readonly done: Promise<void>;
}

/**
 * Lines of all sources by their time. A source is only read as fast as its lines are taken.
 * @param patience how long a line waits, from its own time on, for an earlier one of a source that is silent,
 *   and how long a source is waited for that has said nothing since, milliseconds
 *   @default until each source has said something, or ended
 */
export async function* merged(
  sources: readonly Source[],
  patience = Number.POSITIVE_INFINITY,
): AsyncGenerator<NamedLine> {
  const heads = new Map<number, Head>();
  const reads = new Map<number, Read>();
  const iterators = sources.map(({ lines }) => lines[Symbol.asyncIterator]());
  const read = (at: number) => {
    const { name } = sources[at] as Source;
    const next = iterators[at]?.next().then((result) => {
      reads.delete(at);
      if (!result.done) heads.set(at, headOf({ ...result.value, name }));
    });
    reads.set(at, { since: Date.now(), done: next as Promise<void> });
  };
  for (const at of sources.keys()) read(at);
  try {
    while (reads.size > 0 || heads.size > 0) {
      const oldest = Math.min(...[...heads.values()].map(({ came }) => came));
      const newest = Math.max(...[...reads.values()].map(({ since }) => since));
      const left = Math.max(oldest, newest) + patience - Date.now();
      if (heads.size === 0 || (reads.size > 0 && left > 0)) {
        await anyOf(
          [...reads.values()].map(({ done }) => done),
          heads.size === 0 ? Number.POSITIVE_INFINITY : left,
        );
        continue;
      }
      const [at, { line }] = earliest(heads);
      heads.delete(at);
      read(at);
      yield line;
    }
  } finally {
    // One that is waiting for a line would never get to its end
    for (const iterator of iterators) iterator.return?.().catch(() => {});
  }
}

function headOf(line: NamedLine): Head {
  const now = Date.now();
  return { line, came: Math.min(Date.parse(line.time) || now, now) };
}

/** Of those of one time the one of the first source, so that a member's lines stay together. */
function earliest(heads: ReadonlyMap<number, Head>): [number, Head] {
  const key = ([at, { line }]: [number, Head]) => line.time + String(at).padStart(4, "0");
  return [...heads].reduce((first, one) => (key(one) < key(first) ? one : first));
}

/** Waits for one of these, or for so long. */
async function anyOf(some: readonly Promise<void>[], milliseconds: number): Promise<void> {
  if (!Number.isFinite(milliseconds)) return Promise.race(some);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds);
  });
  await Promise.race([...some, late]);
  clearTimeout(timer);
}

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
  /** When it came, milliseconds. */
  readonly came: number;
}

/**
 * Lines of all sources by their time. A source is only read as fast as its lines are taken.
 * @param patience how long a line waits for an earlier one of a source that is silent, milliseconds
 *   @default until each source has said something, or ended
 */
export async function* merged(
  sources: readonly Source[],
  patience = Number.POSITIVE_INFINITY,
): AsyncGenerator<NamedLine> {
  const heads = new Map<number, Head>();
  const reads = new Map<number, Promise<void>>();
  const iterators = sources.map(({ lines }) => lines[Symbol.asyncIterator]());
  const read = (at: number) => {
    const { name } = sources[at] as Source;
    const next = iterators[at]?.next().then((result) => {
      reads.delete(at);
      if (!result.done) heads.set(at, { line: { ...result.value, name }, came: Date.now() });
    });
    reads.set(at, next as Promise<void>);
  };
  for (const at of sources.keys()) read(at);
  try {
    while (reads.size > 0 || heads.size > 0) {
      const oldest = Math.min(...[...heads.values()].map(({ came }) => came));
      const left = oldest + patience - Date.now();
      if (reads.size > 0 && left > 0) {
        await anyOf([...reads.values()], left);
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

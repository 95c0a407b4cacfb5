import type { Stats } from "node:fs";
import { type FileHandle, open, rename, stat, unlink } from "node:fs/promises";

/** Times of the shared store. */
export const storeLimits = {
  /**
   * What is waited for one operation, its turn included, milliseconds. Files stand still for 10 s where a
   * brick of GlusterFS is lost, which is no fault.
   */
  answerMs: 15_000,
};

/**
 * Operations at once. Each keeps one of libuv's threads until the store has answered, which one that
 * hangs does not: the other half of the threads is for passwords, names of hosts and files of our own.
 */
const places = Math.max(1, Math.floor((Number(process.env.UV_THREADPOOL_SIZE) || 4) / 2));

/** The store has not answered in time. What was asked of it may still be done. */
export class StoreHung extends Error {
  readonly code = "ETIMEDOUT";

  constructor() {
    super("the store does not answer");
  }
}

interface Job {
  run: () => Promise<void>;
  giveUp: () => void;
}

interface JobOptions<T> {
  /** Gets what comes of it after it was given up. */
  late?: (value: T) => void;
  /** It waits for its turn for as long as that takes. */
  isPatient?: boolean;
}

const waiting = new Set<Job>();
let taken = 0;
let stuck = 0;

/** Whether whatever is asked of the store is refused at once. */
export function isStoreHung(): boolean {
  return stuck >= places;
}

/** Operations that were given up and have not come back: each keeps a thread. */
export function stuckOperations(): number {
  return stuck;
}

/**
 * Does something with the files of the shared store, within a time and with a bounded number of threads.
 * While all of those are held by what was given up, it is refused at once.
 * @throws StoreHung
 */
export function onStore<T>(
  work: () => Promise<T>,
  { late, isPatient = false }: JobOptions<T> = {},
): Promise<T> {
  if (isStoreHung() && !isPatient) return Promise.reject(new StoreHung());
  return new Promise((resolve, reject) => {
    let isRunning = false;
    let isGivenUp = false;
    let timer: NodeJS.Timeout | undefined;
    const setTimer = () => {
      timer = setTimeout(job.giveUp, storeLimits.answerMs);
    };
    const job = {
      run: async () => {
        isRunning = true;
        if (isPatient) setTimer();
        await work()
          .then((value) => (isGivenUp ? late?.(value) : resolve(value)), reject)
          .finally(() => clearTimeout(timer));
        if (isGivenUp) stuck -= 1;
      },
      giveUp: () => {
        if (!isRunning && isPatient) return;
        clearTimeout(timer);
        isGivenUp = true;
        reject(new StoreHung());
        if (!isRunning) waiting.delete(job);
        else if (++stuck >= places) for (const other of [...waiting]) other.giveUp();
      },
    };
    if (!isPatient) setTimer();
    if (taken < places) void start(job);
    else waiting.add(job);
  });
}

async function start(job: Job): Promise<void> {
  taken += 1;
  for (let next: Job | undefined = job; next; [next] = waiting) {
    waiting.delete(next);
    await next.run();
  }
  taken -= 1;
}

/** Opens a file of the store. Close it with `closeLater`. @throws StoreHung, and what `open` throws */
export function openStored(path: string, flags: "r" | "wx", mode?: number): Promise<FileHandle> {
  const late = (handle: FileHandle) => {
    closeLater(handle);
    // Nobody waits for what was made too late
    if (flags === "wx") void removeStored(path, { isPatient: true });
  };
  return onStore(() => open(path, flags, mode), { late });
}

/** Closes a file without waiting for it; a store that hangs closes it once it answers again. */
export function closeLater(handle: FileHandle): void {
  onStore(() => handle.close(), { isPatient: true }).catch(() => {});
}

/** Makes a rename or a removal in a directory durable. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await openStored(directory, "r");
  try {
    await onStore(() => handle.sync());
  } finally {
    closeLater(handle);
  }
}

/** Gives a file another name. */
export function renameStored(from: string, to: string): Promise<void> {
  return onStore(() => rename(from, to));
}

/** What the store says of a file. */
export function statStored(path: string): Promise<Stats> {
  return onStore(() => stat(path));
}

/**
 * Removes a file.
 * @param options.isPatient it waits until a store that hangs answers again. @default it does not
 * @returns whether it is gone for sure
 */
export async function removeStored(
  path: string,
  options: { isPatient?: boolean } = {},
): Promise<boolean> {
  return await onStore(() => unlink(path), options).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code === "ENOENT",
  );
}

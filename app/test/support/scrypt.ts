import crypto, { type ScryptOptions } from "node:crypto";
import { syncBuiltinESMExports } from "node:module";

/** Sees every long computation over a password that this process makes. */
export interface ScryptWatch {
  /** What each run so far has cost. */
  readonly runs: ScryptOptions[];
  /** A run, counted from 1, waits for this. @default nothing */
  before: (run: number) => Promise<unknown> | undefined;
  end: () => void;
}

/** Starts to watch; `end` it. */
export function watchScrypt(): ScryptWatch {
  const { scrypt } = crypto;
  const put = (given: typeof scrypt) => {
    crypto.scrypt = given;
    syncBuiltinESMExports();
  };
  const watch: ScryptWatch = { runs: [], before: () => undefined, end: () => put(scrypt) };
  put(((password, salt, bytes, options: ScryptOptions, done) => {
    const run = watch.runs.push(options);
    const start = () => scrypt(password, salt, bytes, options, done);
    Promise.resolve(watch.before(run)).then(start, (error) => done(error, Buffer.alloc(0)));
  }) as typeof scrypt);
  return watch;
}

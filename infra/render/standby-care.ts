/**
 * How a database member keeps and heals its data beside Patroni. Patroni by itself deletes what it
 * cannot use any more, and leaves a standby as it is whose log is gone.
 */
import { dirname } from "node:path";
import { readProjectFile } from "../../lib/paths.ts";

const program = "bin/standby-care";
const rewind = "bin/pg_rewind";
/** Name of the way in which Patroni makes a standby. */
const method = "standby_care";

/** Part of Patroni's file: what it leaves to the program. `@{folder}` is where the program lies. */
export const dataCare = {
  remove_data_directory_on_diverged_timelines: false,
  remove_data_directory_on_rewind_failure: false,
  bin_name: { pg_rewind: `@{folder}/${rewind}` },
  // No other: Patroni's own way begins with the deletion of what is there
  create_replica_methods: [method],
  [method]: { command: `@{folder}/${program} copy`, keep_data: true },
};

/** Where a member finds its programs, in the folder of its files. */
export const careFiles = [
  {
    path: program,
    content: readProjectFile("infra/render/standby-care.py"),
    mode: "0755",
    restarts: "standby-care",
  },
  { path: rewind, content: `#!/bin/sh\nexec "@{folder}/${program}" rewind "$@"\n`, mode: "0755" },
] as const;

/** The process that watches over a standby. */
export const careProcess = (dataDirectory: string) => ({
  name: "standby-care",
  command: [program, "watch"],
  user: "postgres",
  // Data is moved to another name beside it
  directories: [{ path: dirname(dataDirectory), mode: "0755" }],
  stopGraceSeconds: 0,
});

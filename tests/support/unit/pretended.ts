/** The storage drivers' shell programs, run without a machine. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { joined } from "../../../infra/platform/machine.ts";
import { encode } from "../../../infra/platform/request.ts";
import type { StorageCall } from "../../../infra/platform/ssh/storage/driver.ts";
import { type Outcome, run } from "../../../lib/run.ts";

/** A folder that scripts take for the machine's root, with programs that only note their calls. */
export class Pretended {
  readonly root = mkdtempSync(join(tmpdir(), "hastack-storage-"));
  readonly #driver: string;

  /** @param driver the folder of the storage driver */
  constructor(driver: string) {
    this.#driver = driver;
    this.program("systemctl", "");
    // There is no such user here. Between spaces: the folder's own name may have "-o" in it
    this.program("install", `case " $* " in *" -o "*) ;; *) exec /usr/bin/install "$@" ;; esac`);
    this.program("runuser", "");
  }

  program(name: string, body: string): void {
    const text = `#!/bin/sh\necho "${name} $*" >> ${this.root}/calls\n${body}\n`;
    mkdirSync(join(this.root, "bin"), { recursive: true });
    writeFileSync(join(this.root, "bin", name), text, { mode: 0o755 });
  }

  write(path: string, text = "there\n"): void {
    const file = join(this.root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }

  has(path: string): boolean {
    return existsSync(join(this.root, path));
  }

  /** @param seconds to wait for what does not come */
  run({ call, request }: StorageCall, seconds = 60): Promise<Outcome> {
    const storage = ["mount", `${this.#driver}/program`].map((name) => `ssh/storage/${name}`);
    const files = ["request", "owner", "share", ...storage];
    const within = (text: string) =>
      text.replaceAll(/(?<![\w.*}-])\/(etc|var|run|proc)\//g, `${this.root}$&`);
    const script = joined(files, "unit", call).replaceAll(
      /wait_seconds=60|(?<=within )\d+/g,
      (text) => text.replace(/\d+/, `${seconds}`),
    );
    const PATH = `${this.root}/bin:${process.env.PATH}`;
    return run(["sh", "-c", within(script)], {
      env: { ...process.env, PATH },
      input: encode(JSON.parse(within(JSON.stringify(request)))),
      limitSeconds: 60,
    });
  }

  /** The calls up to now, without the looks at what is there and the sharing. */
  calls(): string[] {
    if (!this.has("calls")) return [];
    const lines = readFileSync(join(this.root, "calls"), "utf8").trim().split("\n");
    return lines.filter(
      (line) => !/^(systemctl cat|install|runuser)|volume info|volume list|pool list/.test(line),
    );
  }

  remove(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

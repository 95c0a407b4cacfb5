/** Programs in Go that only tests need: built where Go is there, as it is where Pulumi's parts are built. */
import { inRoot } from "../../../lib/paths.ts";
import { mustRun, run } from "../../../lib/run.ts";
import { goSettings } from "../../../scripts/setup/built-parts.ts";

const env = { ...process.env, ...goSettings };

/** Skips a test, and says so, where there is no Go. @param what cannot be done without */
export async function needsGo(test: Mocha.Context, what: string): Promise<void> {
  if ((await run(["go", "version"], { env })).code === 0) return;
  console.log(`      ${what}: there is no go on PATH`);
  test.skip();
}

/** @param module its folder below the project's @param program file to write */
export async function buildGo(module: string, program: string): Promise<void> {
  const build = ["go", "build", "-mod=readonly", "-buildvcs=false", "-o", program, "."];
  await mustRun(build, { cwd: inRoot(module), env });
}

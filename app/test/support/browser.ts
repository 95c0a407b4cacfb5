import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const flags =
  "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync";

/** Starts Debian's chromium, or the browser named by CHROMIUM_PATH. */
export async function startBrowser(): Promise<Browser> {
  const executablePath = process.env.CHROMIUM_PATH ?? "/usr/bin/chromium";
  if (!existsSync(executablePath)) {
    throw new Error(
      `no browser at ${executablePath}: install Debian's package chromium, or name one in CHROMIUM_PATH`,
    );
  }
  // A name that browsers do not trust by itself, as they do 127.0.0.1.
  const names = "--host-resolver-rules=MAP travel.test 127.0.0.1";
  return await chromium.launch({ executablePath, args: [...flags.split(" "), names] });
}

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "../src/data/uploads.ts";
import { startBrowser } from "./support/browser.ts";
import { laden } from "./support/laden-pictures.ts";

describe("pictures in a browser", function () {
  this.timeout(60_000);

  it("A2: each kind is as wide and high as it is said to be, whichever way up it was taken", async () => {
    const folder = await mkdtemp(join(tmpdir(), "app-test-pictures-"));
    const browser = await startBrowser();
    try {
      const page = await browser.newPage();
      for (const kind of ["jpg", "png", "webp"] as const) {
        for (let orientation = 1; orientation <= 8; orientation += 1) {
          const { content, width, height } = inspect(await laden[kind](orientation));
          const file = join(folder, `${orientation}.${kind}`);
          await writeFile(file, content);
          await page.goto(`file://${file}`);
          const seen = await page.evaluate(
            "[document.images[0].naturalWidth, document.images[0].naturalHeight]",
          );
          assert.deepEqual(seen, [width, height], `${kind}, orientation ${orientation}`);
        }
      }
    } finally {
      await browser.close();
      await rm(folder, { recursive: true });
    }
  });
});

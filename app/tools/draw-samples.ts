// Draws the sample pictures: node app/tools/draw-samples.ts. Their files are committed, so this is
// only needed to change them. CHROMIUM_PATH: the browser, by default Debian's.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

const samples = join(import.meta.dirname, "../sample");

interface Scene {
  seed: number;
  file: string;
  parts: Record<string, unknown>[];
}

const scenes = JSON.parse(readFileSync(join(import.meta.dirname, "scenes.json"), "utf8"));
const paint = readFileSync(join(import.meta.dirname, "scene.js"), "utf8").replace(/^\/\/.*$/gm, "");
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM_PATH ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
});
const page = await browser.newPage();
for (const scene of scenes as Scene[]) {
  const type = scene.file.endsWith(".jpg") ? "image/jpeg" : "image/webp";
  const call = `(${paint.trim().replace(/;$/, "")})(${JSON.stringify({ ...scene, type })})`;
  const content = Buffer.from(String(await page.evaluate(call)).split(",")[1] ?? "", "base64");
  writeFileSync(join(samples, scene.file), content);
  process.stdout.write(`${scene.file} ${Math.round(content.length / 1024)} KB\n`);
}
await browser.close();

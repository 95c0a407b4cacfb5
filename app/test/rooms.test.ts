import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { appDirectory } from "./support/app.ts";

/** From the top down: a room may import those after it. */
const rooms = ["run", "http", "domain", "data", "lib"];

const source = join(appDirectory, "src");

/** Own files that each file imports, types too, as `room/file.ts`. */
function readImports(): Map<string, string[]> {
  const files = readdirSync(source, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(source, join(entry.parentPath, entry.name)));
  const imported = /^(?:import|export)\b[^;]*?\bfrom "(\.[^"]+)";|\bimport\("(\.[^"]+)"\)/gm;
  return new Map(
    files.map((file) => {
      const text = readFileSync(join(source, file), "utf8");
      const paths = [...text.matchAll(imported)].map(([, from, called]) => from ?? called ?? "");
      return [file, paths.map((path) => relative(source, resolve(source, file, "..", path)))];
    }),
  );
}

/** The first circle, as a list of files that ends where it begins. */
function findCircle(imports: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>();
  const walk = (file: string, path: string[]): string[] => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return [];
    for (const next of imports.get(file) ?? []) {
      const circle = walk(next, [...path, file]);
      if (circle.length > 0) return circle;
    }
    done.add(file);
    return [];
  };
  for (const file of imports.keys()) {
    const circle = walk(file, []);
    if (circle.length > 0) return circle;
  }
  return [];
}

/** Imports that lead up, or out of the source. */
function findWrongWays(imports: ReadonlyMap<string, readonly string[]>): string[] {
  const levelOf = (file: string) => rooms.indexOf(file.split("/", 1)[0] ?? "");
  return [...imports].flatMap(([file, targets]) =>
    targets
      .filter((target) => levelOf(target) < levelOf(file))
      .map((target) => `${file} imports ${target}`),
  );
}

describe("the application's source", () => {
  const imports = readImports();

  it(`lies in the rooms ${rooms.join(", ")}`, () => {
    const elsewhere = [...imports.keys()].filter(
      (file) => !rooms.includes(file.split("/")[0] ?? ""),
    );
    assert.deepEqual(elsewhere, []);
    const used = new Set([...imports.keys()].map((file) => file.split("/")[0]));
    assert.deepEqual([...used].sort(), rooms.toSorted());
  });

  it("imports only files that are there", () => {
    const missing = [...imports].flatMap(([file, targets]) =>
      targets.filter((target) => !imports.has(target)).map((target) => `${file}: ${target}`),
    );
    assert.deepEqual(missing, []);
    assert.ok([...imports.values()].flat().length > 200);
  });

  it("has no circle of imports", () => assert.deepEqual(findCircle(imports), []));

  it("imports from a room to those below it, and never up", () => {
    assert.deepEqual(findWrongWays(imports), []);
  });

  it("would be found out: a circle, and an import that leads up", () => {
    const bad = new Map([
      ["run/a.ts", ["http/b.ts"]],
      ["http/b.ts", ["data/c.ts"]],
      ["data/c.ts", ["http/b.ts"]],
    ]);
    assert.deepEqual(findCircle(bad), ["http/b.ts", "data/c.ts", "http/b.ts"]);
    assert.deepEqual(findWrongWays(bad), ["data/c.ts imports http/b.ts"]);
  });
});

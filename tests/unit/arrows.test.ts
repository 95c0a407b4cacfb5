/** Which part of the project may import which. The tables are the rules; the rest reads the code. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { posix } from "node:path";
import ts from "typescript";
import { inRoot, readProjectFile } from "../../lib/paths.ts";
import { mustRun } from "../../lib/run.ts";

/** What files of a room may import besides their own room. */
const rooms: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  release: ["lib"],
  lab: ["lib"],
  infra: ["lib", "release"],
  scripts: ["lib", "release", "lab", "infra", "bench", "operate"],
  // How a stack's settings and state are read is the launcher's
  operate: ["lib", "release", "infra", "scripts"],
  bench: ["lib", "infra", "app", "app/test"],
  app: [],
  "app/test": ["app"],
  "app/tools": [],
  tests: ["lib", "release", "lab", "infra", "scripts", "operate", "bench", "app", "app/test"],
};

/** Rooms without import cycles; `app` has a test of its own. */
const acyclic = ["lib", "release", "lab", "infra", "scripts", "operate"];

/** What files of one kind must not import, besides. */
const forbidden: readonly {
  readonly what: string;
  readonly from: RegExp;
  readonly to: RegExp;
}[] = [
  {
    what: "infra/render/ knows no platform",
    from: /^infra\/render\//,
    to: /^infra\/platform\//,
  },
  {
    what: "components know the platform's verbs, and no platform that carries them out",
    from: /^infra\/components\//,
    to: /^infra\/platform\/(docker|ssh)\//,
  },
  {
    what: "only infra/platform/choose.ts, the launcher and operate/ know the platform docker from outside",
    from: /^(?!infra\/platform\/(docker\/|choose\.ts$)|scripts\/launcher\/|operate\/|tests\/)/,
    to: /^infra\/platform\/docker\//,
  },
  {
    what: "only infra/platform/choose.ts and operate/ know the platform ssh from outside",
    from: /^(?!infra\/platform\/(ssh\/|choose\.ts$)|operate\/|tests\/)/,
    to: /^infra\/platform\/ssh\//,
  },
];

/** Imports that break a rule for now: each is to go. */
const exceptions: readonly { readonly from: string; readonly to: string; readonly why: string }[] =
  [
    {
      from: "app/test/support/cache.ts",
      to: "infra/render/cache.ts",
      why: "the application is tested with the very cache that the stack runs",
    },
    {
      from: "app/test/support/cache.ts",
      to: "tests/support/unit/fixtures.ts",
      why: "the same: settings of that cache",
    },
    {
      from: "app/test/support/cache.ts",
      to: "tests/support/unit/images.ts",
      why: "the same: its image",
    },
    {
      from: "app/test/support/docker.ts",
      to: "infra/components/database-pair.ts",
      why: "the application is tested with the very PostgreSQL that the stack runs",
    },
    {
      from: "app/test/support/docker.ts",
      to: "tests/support/unit/images.ts",
      why: "the same: its image",
    },
    {
      from: "app/test/support/certificates.ts",
      to: "tests/support/certificates.ts",
      why: "certificates for tests are made in one place",
    },
  ];

/** The files that each file imports, types too, by their paths in the project. */
type Imports = ReadonlyMap<string, readonly string[]>;

/** The room that a file is in: the longest that its path begins with. */
function roomOf(file: string): string | undefined {
  const found = Object.keys(rooms).filter((room) => file.startsWith(`${room}/`));
  return found.sort((a, b) => b.length - a.length)[0];
}

function importsOf(file: string, text: string): string[] {
  const { importedFiles } = ts.preProcessFile(text, true, true);
  const own = importedFiles.map(({ fileName }) => fileName).filter((name) => name.startsWith("."));
  return own.map((name) => posix.join(posix.dirname(file), name.replace(/\?.*/, "")));
}

async function readImports(): Promise<Imports> {
  const list = ["git", "ls-files", "--cached", "--others", "--exclude-standard"];
  const files = (await mustRun(list, { cwd: inRoot() }))
    .split("\n")
    .filter((file) => /\.(ts|mjs|js)$/.test(file) && !file.startsWith("toolchain/"))
    .filter((file) => existsSync(inRoot(file)));
  return new Map(files.map((file) => [file, importsOf(file, readProjectFile(file))]));
}

/** Every import as `FILE imports FILE`, of those that a rule does not allow. */
function wrong(imports: Imports, isWrong: (from: string, to: string) => boolean): string[] {
  return [...imports].flatMap(([from, targets]) =>
    targets.filter((to) => isWrong(from, to)).map((to) => `${from} imports ${to}`),
  );
}

/** Whether an import leads from a room into one that it may not know. */
function leadsAstray(from: string, to: string): boolean {
  const [own = "", other = ""] = [roomOf(from), roomOf(to)];
  return own !== other && !rooms[own]?.includes(other);
}

/** The import cycles that a search finds: at least one, if there are any. */
function cycles(imports: Imports): string[] {
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (file: string, path: readonly string[]): void => {
    const seen = path.indexOf(file);
    if (seen >= 0) found.push([...path.slice(seen), file].join(" > "));
    if (seen >= 0 || done.has(file)) return;
    for (const next of imports.get(file) ?? []) visit(next, [...path, file]);
    done.add(file);
  };
  for (const file of imports.keys()) visit(file, []);
  return found;
}

const excepted = exceptions.map(({ from, to }) => `${from} imports ${to}`);
const unexcepted = (found: readonly string[]) => found.filter((one) => !excepted.includes(one));

describe("imports", function () {
  this.timeout(30_000);
  let imports: Imports;
  before(async () => {
    imports = await readImports();
  });

  it("are read from every file, and lead to files that are there", () => {
    assert.ok(imports.size > 250, `${imports.size} files`);
    assert.deepEqual(
      wrong(imports, (_, to) => !imports.has(to)),
      [],
    );
    const rules = [
      "infra/index.ts",
      "release/build.ts",
      "scripts/run.mjs",
      "tests/unit/arrows.test.ts",
    ];
    assert.deepEqual(
      rules.filter((file) => !imports.has(file)),
      [],
    );
  });

  it("every file is in a room", () => {
    assert.deepEqual(
      [...imports.keys()].filter((file) => roomOf(file) === undefined),
      [],
    );
  });

  it("lead from a room to those that it may know", () => {
    assert.deepEqual(unexcepted(wrong(imports, leadsAstray)), []);
  });

  for (const { what, from, to } of forbidden) {
    it(what, () => {
      const found = wrong(imports, (one, other) => from.test(one) && to.test(other));
      assert.deepEqual(unexcepted(found), []);
    });
  }

  for (const room of acyclic) {
    it(`make no cycle in ${room}/`, () => {
      const own = [...imports].filter(([file]) => roomOf(file) === room);
      assert.ok(own.length > 0);
      assert.deepEqual(cycles(new Map(own)), []);
    });
  }

  it("are no exception for longer than they must", () => {
    const there = new Set(wrong(imports, () => true));
    assert.deepEqual(
      excepted.filter((one) => !there.has(one)),
      [],
    );
  });

  it("are not replaced by paths: what is shipped starts no program of scripts/ or tests/", () => {
    const shipped = [...imports.keys()].filter((file) =>
      ["lib", "release", "lab", "infra", "app"].includes(roomOf(file) ?? ""),
    );
    const started = shipped.filter((file) =>
      /["'`](\.\.\/)*(scripts|tests)\/|\}(scripts|tests)\//.test(readProjectFile(file)),
    );
    assert.deepEqual(started, []);
  });
});

describe("imports that break a rule are found", () => {
  const read = (file: string, text: string) => new Map([[file, importsOf(file, text)]]);

  it("whichever way they are written", () => {
    const text = `import { a } from "./a.ts";
import type { B } from "../b.ts";
export * from "./c.ts";
import "./d.ts";
const e = await import("./e.ts?run=1");
import fs from "node:fs";
// import f from "./f.ts";`;
    const found = ["a/a.ts", "b.ts", "a/c.ts", "a/d.ts", "a/e.ts"];
    assert.deepEqual(importsOf("a/x.ts", text).sort(), found.sort());
  });

  for (const [from, specifier] of [
    ["infra/stack.ts", "../scripts/setup.ts"],
    ["scripts/lab.ts", "../tests/support/place.ts"],
    ["lib/run.ts", "../release/hash.ts"],
    ["app/src/run/server.ts", "../../../infra/settings.ts"],
    ["app/src/run/server.ts", "../../test/support/app.ts"],
  ] as const) {
    it(`${from}: ${specifier}`, () => {
      const imports = read(from, `import { x } from "${specifier}";`);
      assert.equal(wrong(imports, leadsAstray).length, 1);
    });
  }

  for (const [from, to, rule] of [
    ["infra/render/haproxy.ts", "infra/platform/platform.ts", 0],
    ["infra/components/cache.ts", "infra/platform/docker/engine.ts", 1],
    ["infra/platform/ssh/run.ts", "infra/platform/docker/engine.ts", 2],
    ["scripts/status.ts", "infra/platform/ssh/connection.ts", 3],
  ] as const) {
    it(`${from}: ${to}`, () => {
      assert.ok(forbidden[rule]?.from.test(from));
      assert.ok(forbidden[rule]?.to.test(to));
    });
  }

  it("cycles, by way of others too", () => {
    const imports = new Map([
      ["a", ["b", "d"]],
      ["b", ["c"]],
      ["c", ["a"]],
      ["d", []],
    ]);
    assert.deepEqual(cycles(imports), ["a > b > c > a"]);
    assert.deepEqual(
      cycles(
        new Map([
          ["a", ["b"]],
          ["b", []],
        ]),
      ),
      [],
    );
  });
});

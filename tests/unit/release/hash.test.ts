import assert from "node:assert/strict";
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { readRecipe } from "../../../infra/application/recipe.ts";
import { architecture } from "../../../release/architecture.ts";
import { filesOf, releaseHash } from "../../../release/hash.ts";
import type { ReleaseRecipe } from "../../../release/recipe.ts";

const shipped = readRecipe("app");

/** One file of each source. */
const files = [
  "package.json",
  "package-lock.json",
  "src/run/server.ts",
  "views/home.eta",
  "public/style.css",
  "sample/lisbon.webp",
  "sql/001-content.sql",
];

describe("release: its name", () => {
  let folder: string;
  const put = (path: string, text: string) => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  const recipe = (changes: Partial<ReleaseRecipe> = {}): ReleaseRecipe => ({
    ...shipped,
    folder,
    ...changes,
  });
  const hash = (changes: Partial<ReleaseRecipe> = {}) => releaseHash(recipe(changes));

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "hastack-release-"));
    for (const path of files) put(path, path);
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it("is 12 hex digits", () => assert.match(hash(), /^[0-9a-f]{12}$/));

  it("is the same in another folder, at another time", () => {
    const before = hash();
    const other = mkdtempSync(join(tmpdir(), "hastack-release-"));
    try {
      cpSync(folder, other, { recursive: true });
      utimesSync(join(other, "sql/001-content.sql"), 1, 1);
      assert.equal(hash({ folder: other }), before);
    } finally {
      rmSync(other, { recursive: true, force: true });
    }
  });

  for (const path of files) {
    it(`changes with ${path}`, () => {
      const before = hash();
      put(path, "other");
      assert.notEqual(hash(), before);
    });
  }

  it("every source is among those", () => {
    const without = shipped.files?.filter(
      (source) => !files.some((file) => file.startsWith(source)),
    );
    assert.deepEqual(without, []);
  });

  it("changes with a new file, a new name, and bytes moved from one file to the next", () => {
    const seen = new Set([hash()]);
    put("sql/002-more.sql", "");
    seen.add(hash());
    rmSync(join(folder, "sql/002-more.sql"));
    put("sql/003-more.sql", "");
    seen.add(hash());
    put("src/run/server.ts", "src/run/server.tsviews/home.eta");
    put("views/home.eta", "");
    seen.add(hash());
    assert.equal(seen.size, 4);
  });

  it("changes with what makes a file a program, and with where a link leads", () => {
    const seen = new Set([hash()]);
    chmodSync(join(folder, "src/run/server.ts"), 0o755);
    seen.add(hash());
    for (const target of ["server.ts", "other.ts"]) {
      rmSync(join(folder, "src/link"), { force: true });
      symlinkSync(target, join(folder, "src/link"));
      seen.add(hash());
    }
    put("src/link.txt", "");
    rmSync(join(folder, "src/link"));
    put("src/link", "other.ts");
    rmSync(join(folder, "src/link.txt"));
    seen.add(hash());
    assert.equal(seen.size, 5);
  });

  it("does not change with a umask", () => {
    const before = hash();
    chmodSync(join(folder, "src/run/server.ts"), 0o600);
    assert.equal(hash(), before);
  });

  it("does not change with what Python leaves behind", () => {
    const before = hash({ files: undefined });
    put("src/__pycache__/notes.cpython-313.pyc", "compiled");
    assert.equal(hash({ files: undefined }), before);
  });

  it("is that of the files where the folder is a link to them", () => {
    const link = `${folder}-link`;
    symlinkSync(folder, link);
    try {
      for (const list of [shipped.files, undefined]) {
        assert.equal(hash({ folder: link, files: list }), hash({ files: list }));
      }
    } finally {
      rmSync(link);
    }
  });

  it("changes with the build command and the application's name", () => {
    const seen = new Set([hash(), hash({ build: "true" }), hash({ build: undefined })]);
    seen.add(hash({ name: "another" }));
    assert.equal(seen.size, 4);
  });

  it("does not change with tests, packages or dot files", () => {
    const before = hash();
    for (const path of [
      "test/x.test.ts",
      "node_modules/x/index.js",
      "src/.server.swp",
      "src/node_modules/x/index.js",
    ]) {
      put(path, "x");
    }
    assert.equal(hash(), before);
  });

  it("does not change with the order of the list, nor with what is on it twice", () => {
    const sources = shipped.files ?? [];
    const more = [...sources.toReversed(), "./sql/", "src/run/server.ts"];
    assert.equal(hash({ files: more }), hash());
  });
});

describe("release: its files", () => {
  let folder: string;
  const put = (path: string) => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), path);
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "hastack-release-"));
    for (const path of ["a.py", "b/c.py", ".env", "b/.d", "node_modules/x.js"]) put(path);
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it("are all but dot files and node_modules where none are listed", () => {
    assert.deepEqual(filesOf({ folder }), ["a.py", "b/c.py"]);
  });

  it("are those that are listed, even where they would be left out of a folder", () => {
    assert.deepEqual(filesOf({ folder, files: [".env", "node_modules", "b/.d"] }), [
      ".env",
      "b/.d",
      "node_modules/x.js",
    ]);
  });

  it("must be there: a typing error would leave something out without a word", () => {
    assert.throws(() => filesOf({ folder, files: ["a.py", "nowhere"] }), {
      message: `release.files: nowhere does not exist (${folder}/nowhere): create it, or remove it from the list`,
    });
  });

  for (const path of ["../x", "/etc/hosts", "b/../../x", ".."]) {
    it(`are refused outside of the application's folder: ${path}`, () => {
      assert.throws(() => filesOf({ folder, files: [path] }), {
        message: `release.files: ${path} is outside the application's folder ${folder}; a release has only what is in it, so move it there`,
      });
    });
  }

  for (const target of ["/etc/hosts", "../../x"]) {
    it(`are refused where a link leads out of the folder: ${target}`, () => {
      symlinkSync(target, join(folder, "b/link"));
      assert.throws(() => filesOf({ folder }), {
        message: `${folder}/b/link is a link to ${target}, which is outside the application's folder and not in a release; put a copy in its place, or exclude it by release.files`,
      });
    });
  }

  it("may be links within the folder", () => {
    symlinkSync("../a.py", join(folder, "b/link"));
    assert.deepEqual(filesOf({ folder }), ["a.py", "b/c.py", "b/link"]);
  });
});

describe("release: architectures", () => {
  for (const [name, expected] of [
    ["x86_64", "x64"],
    ["amd64", "x64"],
    ["aarch64", "arm64"],
    ["arm64", "arm64"],
  ] as const) {
    it(`${name} is ${expected}`, () => assert.equal(architecture(name), expected));
  }

  it("refuses others by name", () => {
    assert.throws(() => architecture("riscv64"), /riscv64: releases are built for x64 and arm64/);
  });
});

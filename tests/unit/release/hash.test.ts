import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { architecture } from "../../../release/build.ts";
import { filesUnder, releaseHash, releaseSources } from "../../../release/hash.ts";

/** One file of each source. */
const files = [
  "app/package.json",
  "app/package-lock.json",
  "app/src/run/server.ts",
  "app/views/home.eta",
  "app/public/style.css",
  "app/sample/lisbon.webp",
  "app/sql/001-content.sql",
];

describe("release: its name", () => {
  let base: string;
  const put = (path: string, text: string) => {
    mkdirSync(dirname(join(base, path)), { recursive: true });
    writeFileSync(join(base, path), text);
  };
  const hash = () => releaseHash(base, "24.0.0");

  beforeEach(() => {
    base = mkdtempSync(join(tmpdir(), "hastack-release-"));
    for (const path of files) put(path, path);
  });
  afterEach(() => rmSync(base, { recursive: true, force: true }));

  it("is 12 hex digits", () => assert.match(hash(), /^[0-9a-f]{12}$/));

  it("is the same in another folder, at another time", () => {
    const before = hash();
    const other = mkdtempSync(join(tmpdir(), "hastack-release-"));
    try {
      cpSync(base, other, { recursive: true });
      utimesSync(join(other, "app/sql/001-content.sql"), 1, 1);
      assert.equal(releaseHash(other, "24.0.0"), before);
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
    const without = releaseSources.filter(
      (source) => !files.some((file) => file.startsWith(source)),
    );
    assert.deepEqual(without, []);
  });

  it("changes with a new file, a new name, and bytes moved from one file to the next", () => {
    const seen = new Set([hash()]);
    put("app/sql/002-more.sql", "");
    seen.add(hash());
    rmSync(join(base, "app/sql/002-more.sql"));
    put("app/sql/003-more.sql", "");
    seen.add(hash());
    put("app/src/run/server.ts", "app/src/run/server.tsapp/views/home.eta");
    put("app/views/home.eta", "");
    seen.add(hash());
    assert.equal(seen.size, 4);
  });

  it("changes with the Node version, not with tests, packages or dot files", () => {
    const before = hash();
    assert.notEqual(releaseHash(base, "24.0.1"), before);
    for (const path of [
      "app/test/x.test.ts",
      "app/node_modules/x/index.js",
      "app/src/.server.swp",
    ]) {
      put(path, "x");
    }
    assert.equal(hash(), before);
  });

  it("leaves out what is not there", () => {
    assert.deepEqual(filesUnder(base, "app/nowhere"), []);
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

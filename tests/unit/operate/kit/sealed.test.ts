import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mustRun } from "../../../../lib/run.ts";
import { pack, unpack } from "../../../../operate/kit/archive.ts";
import { describeKit, format, openKit, sealKit } from "../../../../operate/kit/contents.ts";
import { seal } from "../../../../operate/kit/seal.ts";
import { kitOf } from "./kit-of.ts";

const passphrase = "sixteen characters";
/** As good as none: tests guess nothing. */
const work = 4;
const file = "shop.kit";

describe("a recovery kit, sealed", () => {
  const kit = kitOf({
    "state.json": `{"secret":"${"x".repeat(3000)}"}`,
    passphrase: "of the state\n",
  });

  it("O3: is opened by its passphrase, and is as it was", async () => {
    const opened = await openKit(await sealKit(kit, passphrase, work), passphrase, file);
    assert.deepEqual(opened.about, kit.about);
    for (const [name, text] of Object.entries(kit.files)) assert.equal(opened.files[name], text);
  });

  it("O3: shows nothing of what is in it", async () => {
    const sealed = await sealKit(kit, passphrase, work);
    for (const text of ["shop", "of the state", "xxxx", "README"])
      assert.ok(!sealed.includes(text), text);
  });

  it("O3: another passphrase does not open it", async () => {
    const sealed = await sealKit(kit, passphrase, work);
    await assert.rejects(
      openKit(sealed, "sixteen character", file),
      /shop\.kit: this is not the passphrase/,
    );
  });

  it("O3: damaged at any place it gives nothing", async () => {
    const sealed = await sealKit(kit, passphrase, work);
    const at = [0, 30, 60, 100, 140, 170, 200, 1000, sealed.length - 1];
    for (const place of at) {
      const damaged = Buffer.from(sealed);
      damaged[place] = (damaged[place] ?? 0) ^ 1;
      await assert.rejects(openKit(damaged, passphrase, file), /shop\.kit/, `${place}`);
    }
    for (const length of [50, 180, 1000, sealed.length - 1])
      await assert.rejects(openKit(sealed.subarray(0, length), passphrase, file), /shop\.kit/);
    await assert.rejects(
      openKit(sealed.subarray(0, -1), passphrase, file),
      /shop\.kit is damaged .* take another copy/,
    );
  });

  it("O3: what is no kit is told so", async () => {
    for (const text of ["", "PK\u0003\u0004", "age-encryption.org/v1\n-> X25519 abc\n"])
      await assert.rejects(openKit(Buffer.from(text), passphrase, file), /is no recovery kit/);
    for (const content of ["text", pack({ "kit.json": '{"format":1}' }, new Date())]) {
      const sealed = await seal(Buffer.from(content), passphrase, work);
      await assert.rejects(openKit(sealed, passphrase, file), /is no recovery kit/);
    }
  });

  it("O3: one of a later release is not read in a wrong way", async () => {
    const later = { ...kit, about: { ...kit.about, format: format + 1 } };
    const sealed = await sealKit(later, passphrase, work);
    await assert.rejects(openKit(sealed, passphrase, file), /made by a later release of hastack/);
  });

  it("O3: is described without its secrets", async () => {
    const told = describeKit(kit);
    assert.match(told, /Recovery kit of the stack shop \(ssh\)\nmade {8}2026-11-28T/);
    assert.match(told, /passphrase +1 kB {2}the passphrase of the state/);
    assert.match(told, /It has not:\n {2}the private key/);
    assert.doesNotMatch(told, /of the state\\n|xxxx/);
  });
});

describe("files of a kit, packed", () => {
  const files = { "README.txt": "Zeile mit Ümlaut\n", empty: "", "a.json": "x".repeat(512) };

  it("O3: tar reads them", async () => {
    const folder = mkdtempSync(join(tmpdir(), "hastack-kit-"));
    try {
      writeFileSync(join(folder, "kit.tar"), pack(files, new Date("2026-11-28T01:00:00Z")));
      const list = await mustRun(["tar", "--list", "--verbose", "--file", "kit.tar"], {
        cwd: folder,
      });
      assert.match(
        list,
        /^-rw------- .* README\.txt\n-rw------- .* empty\n-rw------- .* a\.json\n$/,
      );
      const read = ["tar", "--extract", "--to-stdout", "--file", "kit.tar", "README.txt"];
      assert.equal(await mustRun(read, { cwd: folder }), files["README.txt"]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("O3: what was cut off, or is none, is not read in part", () => {
    const packed = pack(files, new Date());
    assert.deepEqual(unpack(packed), files);
    assert.equal(unpack(packed.subarray(0, 700)), undefined);
    assert.equal(unpack(packed.subarray(0, -1024)), undefined);
    assert.equal(unpack(Buffer.from("x".repeat(2048))), undefined);
  });
});

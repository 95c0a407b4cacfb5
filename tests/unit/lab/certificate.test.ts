import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureCertificate } from "../../../lab/certificate.ts";
import { makeCertificate, pemOf } from "../../support/certificates.ts";

describe("lab: the stack's certificate", () => {
  const addresses = ["172.30.10.100", "172.30.10.11"];
  let folder: string;
  let file: string;
  let used: string[];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "hastack-lab-"));
    file = join(folder, "certificate.pem");
    used = [];
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** No machine is there: whoever asks one fails. */
  const ensure = (inUse: string | undefined) =>
    ensureCertificate({
      addresses,
      file,
      machine: { set: "unit-test-nobody", name: "nobody" },
      inUse,
      use: async (pem) => used.push(pem),
    });

  it("is left alone where somebody configured another", async () => {
    assert.equal(await ensure("their own"), "the configuration has one");
    assert.deepEqual([used, existsSync(file)], [[], false]);
  });

  it("is the one that was made before, as long as it holds", async () => {
    const names = addresses.map((address) => `IP:${address}`);
    const pem = pemOf(await makeCertificate({ names }));
    writeFileSync(file, pem);
    assert.equal(await ensure(undefined), "172.30.10.100's set");
    assert.deepEqual(used, [pem]);
    assert.equal(readFileSync(file, "utf8"), pem);
    assert.equal(statSync(file).mode & 0o777, 0o644, "it is not made anew");
    assert.equal(await ensure(`${pem}\n`), "172.30.10.100's is set");
    assert.equal(used.length, 1);
  });

  it("is made on a machine where the one from before does not hold", async () => {
    writeFileSync(file, "old");
    await assert.rejects(ensure("old"), /unit-test-nobody/);
    assert.deepEqual(used, []);
  });
});

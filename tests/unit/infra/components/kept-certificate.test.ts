import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import * as pulumi from "@pulumi/pulumi";
import { keepCertificate } from "../../../../infra/components/kept-certificate.ts";
import { inHastack, inRoot } from "../../../../lib/paths.ts";
import { makeCertificate, pemOf } from "../../../support/certificates.ts";
import { record } from "../../../support/unit/mocks.ts";
import { SmallProject } from "../../../toolchain/small-project.ts";

const names = ["DNS:travel.example"];

describe("the certificate that is served", function () {
  this.timeout(180_000);
  let ended: string;
  let valid: string;

  before(async () => {
    ended = pemOf(await makeCertificate({ names, days: 0 }));
    valid = pemOf(await makeCertificate({ names }));
  });

  it("L9: is kept by its names, its end and a hash", async () => {
    const { get } = await record(() => keepCertificate(valid, {})).then((recording) => ({
      get: recording.get("Stash", "certificate"),
    }));
    const { input } = get.shown as { input: Record<string, string> };
    assert.equal(input.names, "DNS:travel.example");
    assert.ok(Date.parse(input.ends ?? "") > Date.now());
    assert.match(input.version ?? "", /^[0-9a-f]{12}$/);
  });

  it("L9: is refused by the preview of a stack that has none yet, if it has ended", async () => {
    await assert.rejects(
      record(() => keepCertificate(ended, {}), { preview: true }),
      /hastack:certificate: its certificate 1 \(DNS:travel\.example\) expired on \S+Z, use a renewed one/,
    );
    await record(() => keepCertificate(valid, {}), { preview: true });
    await record(() => keepCertificate(ended, {}));
    assert.equal(pulumi.runtime.isDryRun(), false);
  });

  it("L9: is refused by Pulumi's engine where another one has ended, and not where it is that one", async () => {
    const project = await SmallProject.create(inHastack("pulumi"));
    const program = (certificate: string, other = "") => {
      writeFileSync(`${project.folder}/certificate.pem`, certificate);
      return `
        import { readFileSync } from "node:fs";
        import * as pulumi from "@pulumi/pulumi";
        import { keepCertificate } from ${JSON.stringify(inRoot("infra/components/kept-certificate.ts"))};
        void keepCertificate(readFileSync("certificate.pem", "utf8"), {});
        ${other}`;
    };
    const refused = async (certificate: string) => {
      const { code, stdout, stderr } = await project.preview(program(certificate));
      assert.notEqual(code, 0);
      const told = stdout + stderr;
      assert.match(
        told,
        /hastack:certificate: its certificate 1 \(DNS:travel\.example\) expired on/,
      );
      assert.doesNotMatch(told, / at .*kept-certificate/);
    };
    const goesOn = async (certificate: string, other?: string) => {
      for (const act of ["preview", "up"] as const) {
        const { code, stdout, stderr } = await project[act](program(certificate, other));
        assert.equal(code, 0, stdout + stderr);
      }
    };
    try {
      await refused(ended);
      await goesOn(valid);
      await refused(ended);
      // It ends while it is served: only the clock can bring that about
      await project.up(program(ended));
      await goesOn(ended, 'new pulumi.Stash("something", { input: "else" });');
      await refused(pemOf(await makeCertificate({ names, days: 0 })));
      await goesOn(valid);
    } finally {
      project.remove();
    }
  });
});

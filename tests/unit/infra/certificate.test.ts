import assert from "node:assert/strict";
import { certificateVersion, publicUrlOf, schemeOf } from "../../../infra/certificate.ts";
import { type Made, makeCertificate, pemOf } from "../../support/certificates.ts";
import { settingsWith } from "../../support/unit/fixtures.ts";

const vipName = "IP:10.1.0.100";

describe("the site's certificate", function () {
  this.timeout(30_000);
  let between: Made;
  let issued: Made;
  let own: Made;

  before(async () => {
    const root = await makeCertificate({ authority: true });
    between = await makeCertificate({ authority: true, issuer: root });
    issued = await makeCertificate({ names: ["DNS:travel.example", vipName], issuer: between });
    own = await makeCertificate({ names: [vipName] });
  });

  it("L9: has a version that differs for another certificate and another chain, and not for another form", () => {
    const versions = [pemOf(own), pemOf(issued), pemOf(issued, between)].map(certificateVersion);
    assert.equal(new Set(versions).size, 3);
    assert.match(versions[0] ?? "", /^[0-9a-f]{12}$/);
    assert.equal(certificateVersion(own.key + own.certificate), versions[0]);
  });

  it("L9: makes the site's address one by HTTPS", () => {
    const certificate = pemOf(own);
    assert.deepEqual([schemeOf({}), schemeOf({ certificate })], ["http", "https"]);
    assert.equal(publicUrlOf(settingsWith()), "http://10.1.0.100");
    assert.equal(publicUrlOf(settingsWith({ certificate })), "https://10.1.0.100");
    const publicUrl = "https://travel.example";
    assert.equal(publicUrlOf(settingsWith({ publicUrl })), publicUrl);
  });
});

import assert from "node:assert/strict";
import { mailProblems } from "../../../../infra/rules/mail.ts";
import { formatProblem } from "../../../../infra/rules/problem.ts";
import { makeCertificate } from "../../../support/certificates.ts";
import { settingsWith } from "../../../support/unit/fixtures.ts";

const smtp = { host: "mail.example", from: "a@example.org" };
const problemsOf = (changes: Readonly<Record<string, unknown>>) =>
  mailProblems(settingsWith(changes)).map(formatProblem);

describe("rules on mail", () => {
  it("W5: refuse a login at the mail server without its password", () => {
    assert.deepEqual(problemsOf({ smtp: { ...smtp, user: "travel" } }), [
      "hastack:smtp.user: travel has no password, give it by npx pulumi config set --secret hastack:smtpPassword, or leave the user out",
    ]);
  });

  it("W5: refuse a password without a login, and do not show it", () => {
    const line =
      "hastack:smtpPassword: has no user to go with, set hastack:smtp.user, or leave the password out";
    assert.deepEqual(problemsOf({ smtp, smtpPassword: "secret" }), [line]);
    assert.deepEqual(problemsOf({ smtpPassword: "secret" }), [line]);
  });

  it("W5: refuse an authority that vouches for nothing, and show none of it", async () => {
    const { certificate, key } = await makeCertificate({ authority: true });
    const broken = certificate.replace(/\n[^-].{20}/, "\nAAAAAAAAAAAAAAAAAAAAA");
    const at = "hastack:smtp.certificateAuthority:";
    const fix = "use the authority's certificate, or several, as PEM";
    for (const [text, why] of [
      ["x", "holds no certificate in PEM"],
      [broken, "holds a certificate that cannot be read"],
      [certificate + key, "holds a private key, which nobody needs to check a certificate"],
    ] as const) {
      const problems = problemsOf({ smtp: { ...smtp, certificateAuthority: text } });
      assert.deepEqual(problems, [`${at} ${why}, ${fix}`]);
    }
    const two = { ...smtp, certificateAuthority: certificate + certificate };
    assert.deepEqual(problemsOf({ smtp: two }), []);
  });

  it("take a mail server with a login and without one, and no mail server", () => {
    assert.deepEqual(problemsOf({}), []);
    assert.deepEqual(problemsOf({ smtp }), []);
    assert.deepEqual(problemsOf({ smtp: { ...smtp, user: "u" }, smtpPassword: "p" }), []);
  });
});

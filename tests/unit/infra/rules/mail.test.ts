import assert from "node:assert/strict";
import { mailProblems } from "../../../../infra/rules/mail.ts";
import { formatProblem } from "../../../../infra/rules/problem.ts";
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

  it("take a mail server with a login and without one, and no mail server", () => {
    assert.deepEqual(problemsOf({}), []);
    assert.deepEqual(problemsOf({ smtp }), []);
    assert.deepEqual(problemsOf({ smtp: { ...smtp, user: "u" }, smtpPassword: "p" }), []);
  });
});

import assert from "node:assert/strict";
import {
  certificateProblems,
  certificateWarnings,
  endedProblems,
} from "../../../../infra/rules/certificate.ts";
import { formatProblem, type Problem } from "../../../../infra/rules/problem.ts";
import { warnings } from "../../../../infra/rules/rules.ts";
import { mustRun } from "../../../../lib/run.ts";
import { type Made, makeCertificate, pemOf } from "../../../support/certificates.ts";
import { planWith, refusal, settingsWith } from "../../../support/unit/fixtures.ts";

const vipName = "IP:10.1.0.100";
const day = 24 * 60 * 60 * 1000;

const problemsOf = (changes: Readonly<Record<string, unknown>>, now?: Date) =>
  certificateProblems(settingsWith(changes), now).map(formatProblem);

describe("the site's certificate", function () {
  this.timeout(30_000);
  let root: Made;
  let between: Made;
  let issued: Made;
  let own: Made;

  before(async () => {
    root = await makeCertificate({ authority: true });
    between = await makeCertificate({ authority: true, issuer: root });
    issued = await makeCertificate({ names: ["DNS:travel.example", vipName], issuer: between });
    own = await makeCertificate({ names: [vipName] });
  });

  const mustBeGiven =
    "hastack:certificate: is missing, give chain and key by cat CHAIN.pem KEY.pem | npx pulumi config set --stack test --secret hastack:certificate, or serve plain HTTP by hastack:plainHttp: true";

  it("L9: is wanted unless the setting says plain HTTP", () => {
    assert.deepEqual(problemsOf({ plainHttp: false }), [mustBeGiven]);
    assert.deepEqual(problemsOf({ plainHttp: true }), []);
    assert.deepEqual(
      refusal(() => planWith({ plainHttp: false })),
      [mustBeGiven],
    );
  });

  it("L9: may be the site's own alone, or have its issuers behind it, with the key anywhere", () => {
    for (const certificate of [
      pemOf(own),
      own.key + own.certificate,
      pemOf(issued),
      pemOf(issued, between),
      pemOf(issued, between, root),
      `what a tool writes before it\n${pemOf(issued, between)}`.replaceAll("\n", "\r\n"),
    ]) {
      assert.deepEqual(problemsOf({ certificate, plainHttp: false }), []);
    }
  });

  it("L9: may have its key in each of the ways that openssl writes", async () => {
    const openssl = (...words: string[]) => mustRun(["openssl", ...words], { input: own.key });
    const parameters = await openssl("ecparam", "-name", "prime256v1");
    for (const key of [
      await openssl("pkey"),
      await openssl("pkey", "-traditional"),
      parameters + (await openssl("pkey", "-traditional")),
    ]) {
      assert.deepEqual(problemsOf({ certificate: own.certificate + key }), []);
    }
  });

  it("L9: is refused where it is no certificate, or holds no key, or two", () => {
    const refused: readonly [string, readonly string[]][] = [
      [
        "nonsense",
        [
          "hastack:certificate: holds no certificate in PEM, use the site's certificate, its chain and its private key in one text",
          "hastack:certificate: holds no private key, use the one of its first certificate",
        ],
      ],
      [
        own.certificate,
        ["hastack:certificate: holds no private key, use the one of its first certificate"],
      ],
      [
        pemOf(own) + issued.key,
        ["hastack:certificate: holds 2 private keys, use the one of its first certificate"],
      ],
      [
        own.certificate.replace(/\nM/, "\nX") + own.key,
        ["hastack:certificate: its certificate 1 cannot be read, use it as its issuer gave it"],
      ],
      [
        own.certificate + own.key.replace(/\nM/, "\nX"),
        ["hastack:certificate: its private key cannot be read, use one as openssl writes it"],
      ],
    ];
    for (const [certificate, problems] of refused) {
      assert.deepEqual(problemsOf({ certificate }), problems);
    }
  });

  it("L9: is refused with a key that wants a passphrase", async () => {
    const problems = [
      "hastack:certificate: its private key is encrypted, use it without a passphrase (openssl pkey -in KEY.pem)",
    ];
    for (const way of [["pkey"], ["pkey", "-traditional"]]) {
      const words = ["openssl", ...way, "-aes256", "-passout", "pass:secret"];
      const certificate = own.certificate + (await mustRun(words, { input: own.key }));
      assert.deepEqual(problemsOf({ certificate }), problems);
    }
  });

  it("L9: is refused with another one's key, or behind its issuer", () => {
    const foreign =
      "hastack:certificate: its private key does not belong to its first certificate, put the site's own certificate first and use its key";
    assert.deepEqual(problemsOf({ certificate: own.certificate + issued.key }), [foreign]);
    const [first, ...others] = problemsOf({
      certificate: between.certificate + issued.certificate + issued.key,
    });
    assert.equal(first, foreign);
    assert.equal(
      others[0],
      "hastack:certificate: its certificate 1 is not issued by certificate 2, put the site's own first, and behind each one its issuer's",
    );
  });

  it("L9: is refused with a chain that leaves one out, or ends with a stranger", async () => {
    const broken = (number: number) =>
      `hastack:certificate: its certificate ${number} is not issued by certificate ${number + 1}, put the site's own first, and behind each one its issuer's`;
    assert.deepEqual(problemsOf({ certificate: pemOf(issued, root) }), [broken(1)]);
    assert.deepEqual(problemsOf({ certificate: pemOf(issued, between, own) }), [broken(2)]);
  });

  it("L9: is refused before it is valid, with the minute", () => {
    const certificate = pemOf(issued, between);
    const told = problemsOf({ certificate }, new Date(Date.now() - day));
    const number =
      /^hastack:certificate: its certificate (\d) is not valid before (\S*Z), use one that is valid now$/;
    assert.deepEqual(
      told.map((problem) => number.exec(problem)?.[1]),
      ["1", "2"],
    );
    const when = number.exec(told[0] ?? "")?.[2] ?? "";
    assert.ok(Math.abs(Date.parse(when) - Date.now()) < 120_000, when);
  });

  describe("that ends", () => {
    const at = (days: number) => new Date(Date.now() + days * day);
    const certificateOf = () => pemOf(issued, between);
    const names = "DNS:travel.example, IP Address:10.1.0.100";
    const labels = [
      `its certificate 1 (${names})`,
      /its certificate 2 \(CN=made for a test [\w-]+\)/,
    ];
    const lines = (problems: readonly Problem[]) => problems.map(formatProblem);

    it("L9: is warned of in its last 30 days, by its names and the minute, and is no problem", () => {
      const certificate = certificateOf();
      const warned = (days: number) => lines(certificateWarnings({ certificate }, at(days)));
      assert.deepEqual(warned(59), []);
      const [own = "", issuer = "", ...more] = warned(61);
      assert.deepEqual(more, []);
      assert.ok(own.startsWith(`hastack:certificate: ${labels[0]} expires on `), own);
      assert.match(own, / expires on \d{4}-\d\d-\d\dT\d\d:\d\dZ, use a renewed one before that$/);
      assert.match(issuer, labels[1] as RegExp);
      assert.deepEqual(problemsOf({ certificate }, at(89)), []);
    });

    it("L9: is warned of once it has ended; refused is what is wrong besides that", () => {
      const certificate = certificateOf();
      const ended = lines(certificateWarnings({ certificate }, at(91)));
      assert.equal(ended.length, 2);
      assert.match(ended[0] ?? "", / expired on \S*Z, use a renewed one$/);
      assert.deepEqual(ended, lines(endedProblems(certificate, at(91))));
      assert.deepEqual(problemsOf({ certificate }, at(91)), []);
      assert.match(
        problemsOf({ certificate: own.certificate + issued.key }, at(91)).join(),
        /its private key does not belong to its first certificate/,
      );
    });

    it("L9: is warned of by the program's own warnings", async () => {
      const certificate = pemOf(await makeCertificate({ names: [vipName], days: 29 }));
      const { settings, topology } = planWith({ certificate });
      assert.match(
        warnings(settings, topology).map(formatProblem).join(),
        /IP Address:10\.1\.0\.100\) expires on/,
      );
      const plain = planWith({});
      assert.deepEqual(warnings(plain.settings, plain.topology), []);
    });
  });

  it("L9: must be for the address that links lead to", async () => {
    const certificate = pemOf(own);
    const names = "the certificate's names (IP Address:10.1.0.100)";
    const refused: readonly [Readonly<Record<string, unknown>>, string][] = [
      [
        { certificate, publicUrl: "https://travel.example" },
        `hastack:publicUrl: https://travel.example is none of ${names}, use one of them or another certificate`,
      ],
      [
        { certificate, publicUrl: "https://[2001:db8::1]:8443" },
        `hastack:publicUrl: https://[2001:db8::1]:8443 is none of ${names}, use one of them or another certificate`,
      ],
      [
        { certificate, publicUrl: "http://10.1.0.100" },
        "hastack:publicUrl: http://10.1.0.100 is plain HTTP, and the site has a certificate, use https://10.1.0.100",
      ],
      [
        { certificate: pemOf(await makeCertificate()) },
        "hastack:publicUrl: is missing, and 10.1.0.100 is none of the certificate's names (it has none), use https:// and one of them",
      ],
      [
        { certificate: pemOf(await makeCertificate({ names: ["DNS:travel.example"] })) },
        "hastack:publicUrl: is missing, and 10.1.0.100 is none of the certificate's names (DNS:travel.example), use https:// and one of them",
      ],
    ];
    for (const [changes, problem] of refused) {
      assert.deepEqual(problemsOf(changes), [problem]);
      assert.deepEqual(
        refusal(() => planWith(changes)),
        [problem],
      );
    }
  });

  it("L9: may name its site by a wildcard, a port or an address", async () => {
    const names = ["DNS:*.travel.example", "IP:2001:db8::1"];
    const certificate = pemOf(await makeCertificate({ names }));
    for (const publicUrl of [
      "https://www.travel.example",
      "https://www.travel.example:8443",
      "https://[2001:db8::1]",
    ]) {
      assert.deepEqual(problemsOf({ certificate, publicUrl }), [], publicUrl);
    }
  });

  it("N3: is shown by no problem, whatever is wrong with it", async () => {
    const texts = [
      own.certificate + issued.key,
      own.key,
      own.certificate.replace(/\nM/, "\nX") + own.key,
      own.certificate + own.key.replace(/\nM/, "\nX"),
      own.key.replace(/BEGIN.*/, ""),
    ];
    for (const certificate of texts) {
      const shown = problemsOf({ certificate }).join();
      assert.notEqual(shown, "");
      for (const line of certificate.split("\n").filter((one) => !/^(-----.*)?$/.test(one))) {
        assert.ok(!shown.includes(line));
      }
    }
  });
});

import assert from "node:assert/strict";
import { parseDescription, readDescription } from "../../../../infra/application/application.ts";
import { userOf } from "../../../../infra/application/names.ts";
import { refusal } from "../../../support/unit/fixtures.ts";

const parse = (text: string) => parseDescription(text, "app/hastack.yaml");

const least = `
name: shop
tiers:
  - { name: web, command: [./web], port: 8000 }
`;

describe("an application's description", () => {
  it("O6: needs a name, and a tier with a command and a port", () => {
    const { tiers, release, jobs, settings } = parse(least);
    assert.deepEqual([release, jobs, settings], [{}, [], {}]);
    assert.deepEqual(tiers, [
      {
        name: "web",
        command: ["./web"],
        port: 8000,
        health: { path: "/", showsRelease: false },
        instances: 2,
        routes: [],
        logins: [],
        poolSize: 5,
        drainSeconds: 3,
        stopGraceSeconds: 25,
        responseSeconds: 30,
        webSocket: false,
        serverSentEvents: false,
        mail: false,
        environment: {},
      },
    ]);
  });

  it("N6: lets a tier have a name that is short enough for its user, which Linux takes 32 letters of", () => {
    const named = (letters: number) => least.replace("web,", `${"w".repeat(letters)},`);
    const [tier] = parse(named(20)).tiers;
    assert.ok(userOf(tier?.name ?? "").length <= 32);
    assert.throws(() => parse(named(21)), /must be a short name such as web or back-office/);
  });

  it("O6: is there for the travel agency, with its two tiers", () => {
    const { name, tiers } = readDescription("app");
    assert.equal(name, "travel-agency");
    assert.deepEqual(
      tiers.map((tier) => tier.name),
      ["storefront", "admin"],
    );
  });

  it("O6: may say what a tier was called before", () => {
    const { tiers } = parse(least.replace("web,", "web, formerly: shop,"));
    assert.equal(tiers[0]?.formerly, "shop");
  });

  it("O3: says which files its rows name, with a query for each shared directory", () => {
    const query = "SELECT path FROM pictures WHERE removed IS NULL";
    const files = `shared: [pictures]\nbackup: { files: { pictures: ${query} } }`;
    assert.deepEqual(parse(`${least}${files}`).backup, { files: { pictures: query } });
    assert.deepEqual(parse(least).backup, { files: {} });
  });

  const web = "{ name: web, command: [./web], port: 8000 }";
  const refused: Readonly<Record<string, readonly [string, string]>> = {
    "no tiers": ["name: shop", "tiers"],
    "an empty list of tiers": ["name: shop\ntiers: []", "at least one tier"],
    "no name": [`tiers: [${web}]`, "name"],
    "an unknown key": [`${least}colour: red`, "colour"],
    "text that is no YAML": ["name: [", "app/hastack.yaml:"],
    "a tier twice": [`name: shop\ntiers: [${web}, ${web.replace("8000", "8001")}]`, "a duplicate"],
    "two tiers on one port": [
      `name: shop\ntiers: [${web}, { name: b, command: [b], port: 8000, routes: [{ path: /b }] }]`,
      "is another tier's port",
    ],
    "a former name that a tier has": [
      `name: shop\ntiers: [${web}, { name: b, formerly: web, command: [b] }]`,
      "is the name of a tier that there is",
    ],
    "its own name as the former one": [
      least.replace("web,", "web, formerly: web,"),
      "is the name of a tier that there is",
    ],
    "a former name of two tiers": [
      `name: shop\ntiers: [${web.replace("web,", "web, formerly: shop,")}, { name: b, formerly: shop, command: [b] }]`,
      "is another tier's former name",
    ],
    "a former name that is none": [
      least.replace("web,", "web, formerly: Shop 1,"),
      "must be a short name",
    ],
    "a tier called as a role": [least.replace("web,", "quorum,"), "is reserved for the stack"],
    "a tier called as a member": [least.replace("web,", "etcd,"), "is reserved for the stack"],
    "a tier called as another's proxy": [
      least.replace("web,", "shop-proxy,"),
      "is reserved for the stack",
    ],
    "a tier called as a program": [least.replace("web,", "haproxy,"), "is reserved for the stack"],
    "a tier whose user would be that of the migrations": [
      least.replace("web,", "migrations,"),
      "is reserved for the stack",
    ],
    "a tier's name that ends in a digit": [least.replace("web,", "web2,"), "must be a short name"],
    "two tiers without routes": [
      `name: shop\ntiers: [${web}, { name: b, command: [b], port: 8001 }]`,
      "exactly one",
    ],
    "no tier without routes": [
      `name: shop\ntiers: [{ name: web, command: [w], port: 8000, routes: [{ path: /b }] }]`,
      "exactly one",
    ],
    "routes of a worker": [
      `name: shop\ntiers: [${web}, { name: b, command: [b], routes: [{ path: /b }] }]`,
      "need a port",
    ],
    "one request wanted by two tiers": [
      `name: shop\ntiers: [${web}, { name: b, command: [b], port: 8001, routes: [{ path: /b }] }, { name: c, command: [c], port: 8002, routes: [{ path: /b, methods: [POST] }] }]`,
      "is a route of b already",
    ],
    "a path with a space": [
      `name: shop\ntiers: [${web}, { name: b, command: [b], port: 8001, routes: [{ path: "/a b" }] }]`,
      "must be a path",
    ],
    "a port below 1024": [least.replace("8000", "80"), "must be 1024 to 65535"],
    "a port of the way out": [least.replace("8000", "2600"), "hosts outside"],
    "a drain as long as the grace": [
      least.replace("port: 8000", "port: 8000, drainSeconds: 25"),
      "must be less than stopGraceSeconds",
    ],
    "a file outside the folder": [`${least}release: { files: [../secret] }`, "inside the"],
    "a job of no tier": [
      `${least}jobs: [{ name: sweep, tier: b, command: [s], everySeconds: 60 }]`,
      "must be one of the tiers (web)",
    ],
    "a job that may run into its next time": [
      `${least}jobs: [{ name: sweep, tier: web, command: [s], everySeconds: 60, limitSeconds: 61 }]`,
      "must be everySeconds or less, or two runs would overlap",
    ],
    "a job without a time": [
      `${least}jobs: [{ name: sweep, tier: web, command: [s] }]`,
      "either everySeconds or dailyAt",
    ],
    "a job at no time of day": [
      `${least}jobs: [{ name: sweep, tier: web, command: [s], dailyAt: "25:00" }]`,
      "must be a time of day",
    ],
    "a default that does not fit": [
      `${least}settings: { size: { type: integer, default: big, description: d } }`,
      "must be an integer",
    ],
    "a setting with a name of the stack's variables": [
      `${least}settings: { databaseUrl: { type: string, description: d } }`,
      "becomes DATABASE_URL",
    ],
    "a variable that a setting becomes": [
      `name: shop\ntiers: [{ name: web, command: [w], port: 8000, environment: { SIZE: x } }]\nsettings: { size: { type: string, description: d } }`,
      "already, use another name",
    ],
    "an output of a secret that is not there": [
      `${least}outputs: { key: { secret: key } }`,
      "one of the application's secrets",
    ],
    "an output of a secret that each tier has another of": [
      `${least}secrets: { key: { generated: true, perTier: true } }\noutputs: { key: { secret: key } }`,
      "is another one in each tier",
    ],
    "a secret of each tier that nobody generates": [
      `${least}secrets: { key: { perTier: true } }`,
      "is for secrets that are generated",
    ],
    "a former name that a secret has": [
      `${least}secrets: { key: {}, newKey: { generated: true, formerly: key } }`,
      "is the name of a secret that there is, leave it out",
    ],
    "an output that every stack has": [`${least}outputs: { url: { path: / } }`, "every stack has"],
    "a former role of the stack's own": [
      `${least}database: { formerRoles: [postgres] }`,
      "is a role of the stack's",
    ],
    "a shared directory called as a member's volume": [
      `${least}shared: [db-1-data]`,
      "must be a directory's name",
    ],
    "a shared directory called as a tier, whose unit would be the same": [
      `${least}shared: [web]`,
      "is a tier's name",
    ],
    "a shared directory where bricks are": [`${least}shared: [bricks]`, "is reserved"],
    "a shared directory called as a job's process": [
      `${least}shared: [job-sweep]`,
      "is reserved for the stack",
    ],
    "a word that would become a secret": [
      least.replace("[./web]", '[./web, "@{cache_password}"]'),
      "stands for a secret",
    ],
    "a variable that would become a secret": [
      least.replace("port: 8000", 'port: 8000, environment: { KEY: "@{database_password}" }'),
      "stands for a secret",
    ],
    "a default that is empty": [
      `${least}settings: { title: { type: string, default: "", description: d } }`,
      "must not be empty",
    ],
    "files in a directory that it does not share": [
      `${least}shared: [a, b]\nbackup: { files: { c: SELECT path FROM c } }`,
      "it must be one of the shared directories (a, b)",
    ],
    "files in a directory where it shares none": [
      `${least}backup: { files: { c: SELECT path FROM c } }`,
      "must be one of the shared directories (there are none)",
    ],
    "two statements where one query belongs": [
      `${least}shared: [c]\nbackup: { files: { c: SELECT path FROM c; DROP TABLE c } }`,
      "must be one SELECT, without a semicolon",
    ],
    "a statement that is no query": [
      `${least}shared: [c]\nbackup: { files: { c: DELETE FROM c } }`,
      "must be one SELECT",
    ],
    "a tier called as a process of backups": [least.replace("web,", "keeper,"), "is reserved"],
    "more hosts outside than ports for them": [
      `${least}outside: ${JSON.stringify(
        Object.fromEntries(
          Array.from({ length: 101 }, (_, index) => [`h${index}`, { host: "a.example", port: 1 }]),
        ),
      )}`,
      "more hosts than the 100 ports",
    ],
    "a package with an option in its name": [`${least}packages: ["--yes"]`, "Debian package"],
  };
  for (const [what, [text, part]] of Object.entries(refused)) {
    it(`W5: is refused for ${what}`, () => {
      const lines = refusal(() => parse(text));
      assert.ok(
        lines.some((line) => line.startsWith("app/hastack.yaml") && line.includes(part)),
        `${part} in\n${lines.join("\n")}`,
      );
    });
  }

  it("W5: is refused in a line that can be read, not with all tiers in it", () => {
    const worker = web.replace(", port: 8000", "");
    const many = ["a", "b", "c", "d"].map((name) => worker.replace("web", `${name}-worker`));
    const lines = refusal(() =>
      parse(`name: shop\ntiers: [${many.join(", ")}, ${web}, ${web.replace("web", "b")}]`),
    );
    const found = lines.find((line) => line.includes("exactly one")) ?? "";
    assert.ok(found !== "" && found.length < 200, found);
  });

  it("W5: is refused for all its problems at once", () => {
    const lines = refusal(() => parse("name: Shop\ntiers: [{ command: [] }]\ncolour: red"));
    assert.ok(lines.length >= 4, lines.join("\n"));
  });

  it("W5: is refused where the folder has none, with the setting's name", () => {
    assert.match(
      refusal(() => readDescription("docs")).join(),
      /hastack:application\.path.*docs.*hastack\.yaml/,
    );
  });
});

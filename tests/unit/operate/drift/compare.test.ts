import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { filesRequest, secretsInput } from "../../../../infra/platform/request.ts";
import { dynamicConfiguration } from "../../../../infra/render/patroni.ts";
import { readAnswers } from "../../../../operate/drift/ask.ts";
import { compare, findingsOf } from "../../../../operate/drift/compare.ts";
import { inspectedSettings } from "../../../../operate/drift/engine.ts";
import type { Answer, Expectation } from "../../../../operate/drift/expectation.ts";
import { rulesAsThere } from "../../../../operate/drift/firewall.ts";
import { readState } from "../../../../operate/drift/state.ts";
import { expectations, secretsIn } from "../../../../operate/drift/wanted.ts";
import { planWith } from "../../../support/unit/fixtures.ts";

const word = "a-word-that-nobody-sees";
const root = "/etc/hastack";
const config = "port 80\npassword @{word}\n";
const text = config.replace("@{word}", word);
const { settings, topology } = planWith();

const urn = (name: string) => `urn:pulumi:test::hastack::command:local:Command::${name}`;

/** A state of one member, the database's settings and a container. */
function stateText(changes: { closed?: boolean; pending?: string } = {}): string {
  const lines = JSON.stringify(secretsInput({ word }));
  const stdin = changes.closed ? { ciphertext: "v1:…" } : { plaintext: lines };
  const command = (name: string, create: string, request: object, target: object) => ({
    urn: urn(name),
    type: "command:local:Command",
    inputs: {
      create,
      environment: { REQUEST: JSON.stringify(request), TARGET: JSON.stringify(target) },
      stdin,
    },
  });
  const files = filesRequest([
    { path: "proxy.cfg", content: config, owner: "proxy", mode: "0600" },
    { path: "page", content: "sorry\n" },
  ]);
  const container = { container: "hastack-test-lb-1" };
  return JSON.stringify({
    deployment: {
      resources: [
        command(
          "lb-1-files",
          "node platform/docker/deliver-files.ts",
          { root, files, processes: [{ name: "proxy" }] },
          container,
        ),
        command(
          "database-settings",
          "node platform/docker/run-task.ts",
          {
            name: "database-settings",
            workload: root,
            files: filesRequest([
              {
                path: "dynamic.json",
                content: JSON.stringify(dynamicConfiguration(settings, topology)),
              },
            ]),
          },
          { container: "hastack-test-db-1" },
        ),
      ],
      ...(changes.pending && { pending_operations: [{ resource: { urn: urn(changes.pending) } }] }),
    },
  });
}

const hashOf = (content: string) => createHash("sha256").update(content).digest("hex");

const fileAnswer = (content: string, mode: string, owner: string): Answer => [
  ["is", "a regular file"],
  ["mode", mode],
  ["owner", owner],
  ["content", hashOf(content)],
];

const base64 = (content: string): Answer => [["text", Buffer.from(content).toString("base64")]];

/** What machines answer where nothing was changed. */
function rightAnswers(): Record<string, Answer> {
  return {
    [`file ${root}/proxy.cfg`]: fileAnswer(text, "600", "proxy"),
    [`file ${root}/page`]: fileAnswer("sorry\n", "644", "root"),
    [`service ${root}/services/proxy`]: [
      ["run", "up"],
      ["starts by itself", "yes"],
    ],
    [`services ${root}/services`]: [["names", "proxy"]],
    "layer /opt /usr": [],
  };
}

const patroniAsk = (number: number) =>
  `patroni ${root}/tls/patroni-api-ca.crt https://10.2.0.3${number}:8008/config`;

/** @param changes answers of the member, in place of the right ones @param there texts of its files */
function look(
  changes: Record<string, Answer> = {},
  { state = stateText(), there = {} }: { state?: string; there?: Record<string, Answer> } = {},
) {
  const resources = readState(state);
  const answers = new Map(Object.entries({ ...rightAnswers(), ...changes }));
  const { "": database = undefined } = changes;
  const settingsText = base64(JSON.stringify(dynamicConfiguration(settings, topology)));
  const seen = new Map([
    ["lb-1", answers],
    ["db-1", new Map([[patroniAsk(1), database ?? settingsText]])],
    ["db-2", new Map([[patroniAsk(2), database ?? settingsText]])],
  ]);
  const { differences, unrecorded } = compare(expectations("test", topology, resources), seen);
  const texts = new Map([["lb-1", new Map(Object.entries(there))]]);
  const name = ({ machine }: Expectation) => machine.replace(/^db-.*/, "database");
  const findings = findingsOf(differences, texts, secretsIn(resources), name);
  return {
    told: findings.map(({ machine, what }) => `${machine}: ${what}`),
    unrecorded: unrecorded.map(({ thing }) => thing),
  };
}

describe("what was changed by hand", () => {
  it("W10: is nothing where all is as the last up left it", () => {
    assert.deepEqual(look(), { told: [], unrecorded: [] });
  });

  it("W10: is told by machine, file and line, without the file's secrets", () => {
    const is = text.replace("80", "81").replace(word, "by-hand");
    const { told } = look(
      { [`file ${root}/proxy.cfg`]: fileAnswer(is, "644", "root") },
      { there: { [`text ${root}/proxy.cfg`]: base64(is) } },
    );
    assert.deepEqual(told, [
      "lb-1: /etc/hastack/proxy.cfg, mode: is 644, should be 600",
      "lb-1: /etc/hastack/proxy.cfg, owner: is root, should be proxy",
      'lb-1: /etc/hastack/proxy.cfg, line 1: is "port 81", should be "port 80"',
      'lb-1: /etc/hastack/proxy.cfg, line 2: is another text (not shown: the file holds secrets), should be "password @{word}"',
    ]);
  });

  it("W10: is a file that is gone or something else, a process that is stopped, a service nobody asked for, a program beside the image", () => {
    const { told } = look({
      [`file ${root}/proxy.cfg`]: [["is", "gone"]],
      [`file ${root}/page`]: [
        ["is", "a symbolic link"],
        ["mode", "777"],
      ],
      [`service ${root}/services/proxy`]: [
        ["run", "stopped"],
        ["starts by itself", "no"],
      ],
      [`services ${root}/services`]: [["names", "mine proxy"]],
      "layer /opt /usr": [["changed", "/usr/bin/mine"]],
    });
    assert.deepEqual(told, [
      "lb-1: /etc/hastack/proxy.cfg: is gone, should be a regular file",
      "lb-1: /etc/hastack/page: is a symbolic link, should be a regular file",
      "lb-1: process proxy: is stopped, should be up",
      "lb-1: process proxy, starts by itself: is no, should be yes",
      "lb-1: /etc/hastack/services, names: is mine proxy, should be proxy",
      "lb-1: programs in /opt /usr, /usr/bin/mine: is added or changed, should be as its image has it",
    ]);
  });

  it("W10: is a setting of Patroni's in etcd, told once; a pause is the operator's", () => {
    const wanted = dynamicConfiguration(settings, topology);
    const { told } = look({
      "": base64(JSON.stringify({ ...wanted, ttl: 99, mine: "x", pause: true })),
    });
    assert.deepEqual(told, [
      "database: Patroni's settings in etcd, ttl: is 99, should be 20",
      "database: Patroni's settings in etcd, mine: is x, should be nothing",
    ]);
    // A member that does not answer says nothing
    assert.deepEqual(look({ "": [["text", ""]] }).told, []);
  });

  it("W10: is looked for on all other machines, whatever one of them answers, in no longer", () => {
    for (const lie of ["{", `${'{"a":'.repeat(20_000)}1${"}".repeat(20_000)}`])
      assert.deepEqual(look({ "": base64(lie) }).told, []);
    const before = process.cpuUsage();
    const text = "text /x\ttext=YQ==\n";
    assert.equal(readAnswers(`${text.repeat(100_000)}end\n`)?.get("text /x")?.length, 100_000);
    const is = "a\n".repeat(5_000_000);
    const { told } = look(
      { [`file ${root}/page`]: fileAnswer(is, "644", "root") },
      { there: { [`text ${root}/page`]: base64(is) } },
    );
    assert.match(told.at(-1) ?? "", /more lines that differ/);
    const seconds = process.cpuUsage(before).user / 1e6;
    assert.ok(seconds < 5, `${seconds} s`);
  });

  it("W6: is nothing that an up did which failed or was cut off: it is told as that", () => {
    const other = text.replace("80", "8080");
    const brought = { [`file ${root}/proxy.cfg`]: fileAnswer(other, "600", "proxy") };
    const note = (content: string): Answer[number] => [
      "note",
      `${hashOf(content)} 600 proxy proxy.cfg`,
    ];
    // The delivery that was cut off notes what was there and what comes
    const noted = { [`notes ${root}`]: [note(text), note(other)] };
    assert.deepEqual(look({ ...brought, ...noted }), {
      told: [],
      unrecorded: ["/etc/hastack/proxy.cfg"],
    });
    assert.deepEqual(look(brought, { state: stateText({ pending: "lb-1-files" }) }), {
      told: [],
      unrecorded: ["/etc/hastack/proxy.cfg"],
    });
    assert.equal(look({ ...brought, [`notes ${root}`]: [note(text)] }).told.length, 1);
  });

  it("W10: is found by the machine's note where the secrets cannot be read", () => {
    const state = stateText({ closed: true });
    const noted: Answer = [["note", `${hashOf(text)} 600 proxy proxy.cfg`]];
    assert.deepEqual(look({ [`notes ${root}`]: noted }, { state }).told, []);
    const changed = { [`file ${root}/proxy.cfg`]: fileAnswer("by hand\n", "600", "proxy") };
    assert.deepEqual(look({ ...changed, [`notes ${root}`]: noted }, { state }).told, [
      "lb-1: /etc/hastack/proxy.cfg: is another one, should be as it was delivered",
    ]);
    // Nothing is known of it without either
    assert.deepEqual(look(changed, { state }).told, []);
  });

  it("W10: takes what is known on a machine only from its firewall's rules", () => {
    const rules =
      "tcp dport { @ssh@ } accept\nmeta skuid @uid:web@ accept\nmeta skuid @uid:gone@ drop\n";
    const there = "tcp dport { 22,2222 } accept\nmeta skuid 881 accept\n";
    assert.equal(rulesAsThere(rules, there), there);
    assert.notEqual(
      rulesAsThere(rules, `${there}tcp dport 23 accept\n`),
      `${there}tcp dport 23 accept\n`,
    );
  });
});

describe("a container as the engine has it", () => {
  it("W10: shows limits that nobody asked for, and none where there are none", () => {
    const host = {
      RestartPolicy: { Name: "always" },
      Memory: 0,
      MemorySwap: 0,
      NanoCpus: 0,
      CpuQuota: 0,
      CpuShares: 0,
      CpusetCpus: "",
      PidsLimit: null as number | null,
      ShmSize: 0,
      Privileged: false,
      LogConfig: { Type: "json-file", Config: {} },
      Sysctls: null,
      SecurityOpt: null,
      CapAdd: null,
      CapDrop: null,
      PortBindings: null,
    };
    const one = (changes: Partial<typeof host>) => ({
      Id: "a".repeat(64),
      Name: "/hastack-test-lb-1",
      Image: "sha256:1",
      State: { Status: "running" },
      Config: { Hostname: "lb-1", Cmd: null, Labels: null },
      HostConfig: { ...host, ...changes },
      Mounts: [],
      NetworkSettings: { Networks: {} },
    });
    assert.equal(inspectedSettings(one({})).processors, "no limit");
    assert.equal(inspectedSettings(one({ PidsLimit: -1 }))["processes at most"], "no limit");
    const limited = inspectedSettings(one({ NanoCpus: 5e8, PidsLimit: 500 }));
    assert.equal(limited.processors, "cpus 0.5");
    assert.equal(limited["processes at most"], "500");
  });
});

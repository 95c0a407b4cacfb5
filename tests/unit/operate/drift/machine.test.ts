/** The look at a machine with systemd: what `place` and the other calls leave there, and changes of it. */
import assert from "node:assert/strict";
import type { Workload } from "../../../../infra/platform/platform.ts";
import { encode, secretsInput } from "../../../../infra/platform/request.ts";
import { commandLine } from "../../../../infra/platform/shell.ts";
import { parseFacts } from "../../../../infra/platform/ssh/facts.ts";
import { userId } from "../../../../infra/platform/ssh/layout.ts";
import { factsText, factsWords } from "../../../../infra/platform/ssh/preflight.ts";
import { callText, shippedPrograms } from "../../../../infra/platform/ssh/programs.ts";
import { placeRequest, removalRequest } from "../../../../infra/platform/ssh/requests.ts";
import { readProjectFile } from "../../../../lib/paths.ts";
import { questionsText, readAnswers } from "../../../../operate/drift/ask.ts";
import { compare, findingsOf } from "../../../../operate/drift/compare.ts";
import type { Resource } from "../../../../operate/drift/state.ts";
import { expectations, secretsIn } from "../../../../operate/drift/wanted.ts";
import { machineSettings, planWith } from "../../../support/unit/fixtures.ts";
import { type StandIn, standIns } from "../../../support/unit/machines.ts";

const owner = { stack: "unit", machine: "drift-1" };
const word = "a-word-that-nobody-sees";
const unit = "hastack-drifting.service";

const workload: Workload = {
  host: { name: "drift-1", role: "cache", machine: "node-1", backend: "10.2.0.11" },
  component: "Test",
  packages: [],
  processes: [
    { name: "drifting", command: ["/bin/sleep", "999"], stopGraceSeconds: 5 },
    { name: "steady", command: ["/bin/sleep", "998"], stopGraceSeconds: 5 },
  ],
  files: [
    { path: "word", content: "port 80\npassword @{password}\n", mode: "0400", reloads: "drifting" },
  ],
  secrets: {},
  sysctls: { "net.ipv4.ip_nonlocal_bind": "1" },
};

const calls = {
  ship: { ...owner, programs: shippedPrograms() },
  base: { ...owner, userId },
  packages: { packages: ["curl", "procps"] },
  place: placeRequest(workload, 20),
};

describe("a look at a machine", function () {
  this.timeout(180_000);
  let machine: StandIn;
  const secrets = secretsInput({ password: word });

  async function call(name: string, request: object): Promise<void> {
    const input = encode(request, name === "place" ? secrets : "");
    const { code, stderr } = await machine.attempt(callText(name, owner.machine), {
      input,
      limitSeconds: 600,
    });
    assert.equal(code, 0, stderr);
  }

  before(async function () {
    this.timeout(900_000);
    [machine] = await standIns();
    for (const [name, request] of Object.entries(calls)) await call(name, request);
  });
  after(async () => {
    if (machine) await call("remove", removalRequest(workload, false));
  });

  const resources = Object.entries(calls).map(
    ([name, request]): Resource => ({
      name,
      type: "command:local:Command",
      id: name,
      inputs: {
        create: `node platform/ssh/run.ts ${name} REQUEST`,
        environment: { MACHINE: "node-1", REQUEST: JSON.stringify(request) },
        stdin: { plaintext: JSON.stringify(secrets) },
      },
      unsure: false,
    }),
  );

  /** What is found, as the command tells it. */
  async function found(): Promise<string[]> {
    const wanted = expectations("test", planWith().topology, resources);
    const asks = wanted.flatMap(({ ask, file, brought }) => [
      ask,
      ...(file ? [ask.replace(/^file/, "text")] : []),
      ...(brought ? [`notes ${brought.folder}`] : []),
    ]);
    const { code, stdout, stderr } = await machine.attempt(readProjectFile("operate/drift/look"), {
      input: questionsText(new Set(asks)),
    });
    assert.equal(code, 0, stderr);
    const answers = readAnswers(stdout);
    assert.ok(answers, stderr);
    const unanswered = wanted.filter(({ ask }) => !answers.has(ask));
    assert.deepEqual(unanswered, []);
    const seen = new Map([["node-1", answers]]);
    const { differences } = compare(wanted, seen);
    return findingsOf(differences, seen, secretsIn(resources), () => "").map(({ what }) => what);
  }

  /** What the next `up` finds of it, and mends. */
  async function foundByUp(): Promise<readonly string[]> {
    const words = commandLine(factsWords(machineSettings(), []));
    const { stdout } = await machine.attempt(`set -- ${words}\n${factsText()}`);
    return parseFacts(stdout).altered.get("drift-1") ?? [];
  }

  const changes: readonly { by: string; undo: string; told: readonly string[]; mended?: string }[] =
    [
      {
        mended: "word",
        by: "sed -i 's/80/81/' /etc/hastack/drift-1/word; sed -i 's/nobody/somebody/' /etc/hastack/drift-1/word",
        undo: "",
        told: [
          '/etc/hastack/drift-1/word, line 1: is "port 81", should be "port 80"',
          '/etc/hastack/drift-1/word, line 2: is another text (not shown: the file holds secrets), should be "password @{password}"',
        ],
      },
      {
        mended: "word",
        by: "chmod 0444 /etc/hastack/drift-1/word; chown hastack /etc/hastack/drift-1/word",
        undo: "",
        told: [
          "/etc/hastack/drift-1/word, mode: is 444, should be 400",
          "/etc/hastack/drift-1/word, owner: is hastack, should be root",
        ],
      },
      {
        mended: unit,
        by: `systemctl stop ${unit}`,
        undo: `systemctl start ${unit}`,
        told: [`${unit}: is stopped, should be up`],
      },
      {
        by: `kill -STOP $(systemctl show --property=MainPID --value ${unit})`,
        undo: `kill -CONT $(systemctl show --property=MainPID --value ${unit})`,
        told: [`${unit}: is stopped by a signal, should be up`],
      },
      {
        mended: unit,
        by: `systemctl disable --quiet ${unit}`,
        undo: "",
        told: [
          `${unit}, file: is /etc/systemd/system/${unit}, should be /etc/hastack/drift-1/units/${unit}`,
          `${unit}, starts by itself: is no, should be yes`,
        ],
      },
      {
        mended: unit,
        by: `systemctl disable --quiet --now ${unit}; systemctl mask --quiet ${unit}`,
        undo: "",
        told: [
          `${unit}, file: is /dev/null, should be /etc/hastack/drift-1/units/${unit}`,
          `${unit}: is masked, should be up`,
          `${unit}, starts by itself: is no, should be yes`,
        ],
      },
      {
        mended: unit,
        by: `mkdir -p /etc/systemd/system/${unit}.d; printf '[Service]\\nNice=5\\n' > /etc/systemd/system/${unit}.d/mine.conf; systemctl daemon-reload`,
        undo: "",
        told: [`${unit}, drop-ins: is /etc/systemd/system/${unit}.d/mine.conf, should be none`],
      },
      {
        by: "apt-mark hold curl",
        undo: "apt-mark unhold curl",
        told: ["package curl: is held, should be installed"],
      },
      {
        by: "sysctl -qw net.ipv4.ip_nonlocal_bind=0",
        undo: "",
        told: ["kernel setting net.ipv4.ip_nonlocal_bind: is 0, should be 1"],
      },
      {
        by: "echo '# mine' >> /opt/hastack/programs/notify",
        undo: "sed -i '/^# mine$/d' /opt/hastack/programs/notify",
        told: [
          `/opt/hastack/programs/notify, line ${shippedPrograms().notify?.split("\n").length}: is "# mine", should be nothing`,
        ],
      },
    ];

  it("W10: finds nothing where all is as it was left", async () => {
    assert.deepEqual(await found(), []);
    assert.deepEqual(await foundByUp(), []);
  });

  it("W10: finds each change by hand, and nothing else", async () => {
    for (const { by, undo, told, mended } of changes) {
      await machine.look(by);
      try {
        assert.deepEqual(await found(), told, by);
        assert.deepEqual(await foundByUp(), mended === undefined ? [] : [mended], by);
      } finally {
        if (undo) await machine.look(undo);
        await call("place", calls.place);
      }
      assert.deepEqual(await found(), [], `after ${by}`);
    }
  });
});

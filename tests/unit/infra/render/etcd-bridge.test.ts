import assert from "node:assert/strict";
import type { Workload } from "../../../../infra/platform/platform.ts";
import { renderEtcd } from "../../../../infra/render/etcd.ts";
import { renderEtcdBridge } from "../../../../infra/render/etcd-bridge.ts";
import { until } from "../../../../lib/until.ts";
import { type Container, start } from "../../../support/unit/containers.ts";
import { EtcdQuorum } from "../../../support/unit/etcd-quorum.ts";
import { first, planWith } from "../../../support/unit/fixtures.ts";
import { imageFor } from "../../../support/unit/images.ts";
import { workloadOf } from "../../../support/unit/stack.ts";

const { topology } = planWith();
const second = topology.members.quorum[1] ?? first(topology.members.quorum);

describe("etcd-bridge.yml", () => {
  it("D2: differs from etcd.yml in what is reached in the clear, and in nothing else", () => {
    const lines = (text: string) => text.split("\n");
    const only = lines(renderEtcd(topology, second));
    assert.deepEqual(
      lines(renderEtcdBridge(topology, second)).filter((line) => !only.includes(line)),
      [
        "listen-peer-urls: http://10.2.0.22:2380",
        "listen-client-urls: http://10.2.0.22:2379,https://10.2.0.22:2379",
        "advertise-client-urls: http://10.2.0.22:2379",
      ],
    );
  });
});

/** A member as the release before certificates placed it. */
function former(workload: Workload): Workload {
  const content = first(workload.files)
    .content.replace(/^(client|peer)-transport-security:\n( {2}.*\n)+/gm, "")
    .replace(/^(tls-min-version|bcrypt-cost): .*\n/gm, "")
    .replaceAll("https://", "http://");
  const [etcd] = workload.processes;
  assert.ok(etcd && !content.includes("tls"));
  return {
    ...workload,
    files: [{ path: "etcd.yml", content, reloads: "etcd" }],
    processes: [{ ...etcd, command: ["etcd", "--config-file=etcd.yml"] }],
  };
}

const members = ["etcd-1", "etcd-2", "etcd-3"] as const;
const passwords = { root_password: "root-one", patroni_password: "patroni-one" };

describe("a quorum without certificates", function () {
  this.timeout(120_000);
  let quorum: EtcdQuorum;
  let client: Container;
  let writer: Writer | undefined;

  before(async function () {
    this.timeout(600_000);
    quorum = await EtcdQuorum.start();
    const image = await imageFor(workloadOf(quorum.stack, "db-1"));
    client = await start(image, "etcd-client", { network: quorum.network });
    const { certificate } = await quorum.issuer.authority("quorum-client");
    await client.run("mkdir -p tls && cat > tls/quorum-client-ca.crt", certificate);
    const own = await quorum.issuer.leaf("db-1", "etcd-client");
    await client.run("cat > tls/etcd-client.pem", own);
    await client.run("cat > /writer.py", writerProgram);
    for (const member of members) await quorum.place(member, former);
    const { code, stderr } = await quorum.task("etcd-users", passwords, inTheClear);
    assert.equal(code, 0, stderr);
  });
  after(async () => {
    await client?.remove();
    await quorum?.remove();
  });

  async function write(protocol: "http" | "https"): Promise<void> {
    const hosts = members.map((one) => `${quorum.address(one)}:2379`);
    writer = await Writer.start(client, protocol, hosts);
  }
  /** @param mostRefused writes that may be refused, as passwords change */
  async function stopWriting(mostRefused = 0): Promise<void> {
    const result = await (writer ?? assert.fail()).stop();
    const { written, refused, failed, longestSeconds, errors } = result;
    console.log(
      `      ${written} writes, ${refused} refused, the longest took ${longestSeconds} s`,
    );
    assert.ok(written > 20, `${written} writes`);
    assert.equal(failed, 0, errors.join("\n"));
    assert.ok(refused <= mostRefused, `${refused} refused`);
    // Without a majority it would be seconds more: an election has to time out first
    assert.ok(longestSeconds < 3, `a write took ${longestSeconds} s`);
  }
  /** Closes a member's plain ports. */
  const close = (member: string, edit?: (script: string) => string) =>
    quorum.task(`${member}-only-tls`, passwords, edit);
  const answers = (member: string, words: string) =>
    client.attempt(`curl -sS --max-time 2 ${words.replaceAll("ADDRESS", quorum.address(member))}`);
  const list = async () => {
    const { stdout } = await quorum.etcdctl("etcd-2", "root:root-one", "member list");
    return stdout
      .replaceAll(/^\w+, |, false$/gm, "")
      .trim()
      .split("\n")
      .sort();
  };

  it("N5: switches passwords off for whoever sends it one message", async () => {
    assert.equal(await quorum.forge(client, "etcd-2", "http"), "204");
    const words = `--endpoints=http://${quorum.address("etcd-2")}:2379`;
    const etcdctl = (what: string) =>
      quorum.on("etcd-2").run(`ETCDCTL_API=3 etcdctl ${words} ${what}`);
    await until("passwords are off", {
      probe: () => etcdctl("auth status"),
      done: (status) => status.includes("Status: false"),
      limitSeconds: 10,
    });
    await etcdctl("auth enable");
  });

  it("D2: becomes a bridge member by member, and old clients write on", async () => {
    await write("http");
    for (const member of members) {
      assert.match(await quorum.place(member), /^restart of etcd$/m);
      await quorum.healthy(member);
    }
    await writer?.wait(2);
    await stopWriting();
  });

  it("D7: as a bridge gets its passwords anew, and old clients write on", async () => {
    await write("http");
    const { code, stderr } = await quorum.task("etcd-users", passwords);
    assert.equal(code, 0, stderr);
    await writer?.wait(2);
    // It changes two passwords and a permission
    await stopWriting(3);
    for (const member of members) {
      const hashes = await quorum.passwordHashes(member, passwords.root_password);
      assert.match(hashes, /^\$2a\$04\$/m);
      assert.doesNotMatch(hashes, /^\$2a\$(?!04)/m);
    }
  });

  it("D2: as a bridge serves new clients as well, on the same port", async () => {
    for (const scheme of ["http", "https"] as const) {
      await write(scheme);
      await writer?.wait(2);
      await stopWriting();
    }
    const tls = "--cacert tls/quorum-client-ca.crt --cert tls/etcd-client.pem";
    assert.match((await answers("etcd-1", `${tls} https://ADDRESS:2379/health`)).stdout, /true/);
    // By TLS it asks for a certificate even now
    assert.notEqual((await answers("etcd-1", "-k https://ADDRESS:2379/health")).code, 0);
  });

  it("D2: is not touched while a member is down", async () => {
    await quorum.on("etcd-3").run("s6-svc -wD -d /etc/hastack/services/etcd");
    const process = await quorum.on("etcd-1").run("pgrep -x etcd");
    const { code, stderr } = await close("etcd-1", (script) => script.replace("-lt 60", "-lt 2"));
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^all other members of etcd must be healthy before etcd-1 is restarted; /m,
    );
    assert.match(stderr, new RegExp(`${quorum.address("etcd-3")}:2379 is unhealthy`));
    assert.equal(await quorum.on("etcd-1").run("pgrep -x etcd"), process);
    await quorum.on("etcd-3").run("s6-svc -u /etc/hastack/services/etcd");
    await quorum.healthy("etcd-3");
  });

  /** The script of a member's step, ended before a line. */
  const cut = (before: RegExp) => (script: string) => {
    const place = script.search(before);
    assert.ok(place > 0);
    return `${script.slice(0, place)}exit 1\n`;
  };
  async function goesOver(member: string): Promise<void> {
    const { code, stdout, stderr } = await close(member);
    assert.deepEqual([code, stdout.split("\n").at(-2)], [0, "etcd speaks TLS only now"], stderr);
    await quorum.healthy(member);
  }

  it("D2: closes its plain ports member by member, cut off between them too, and clients write on", async () => {
    await write("https");
    await goesOver("etcd-1");
    // The others know already, and it has not started anew
    assert.equal((await close("etcd-2", cut(/^pid=/m))).code, 1);
    await writer?.wait(2);
    await quorum.healthy("etcd-2");
    await goesOver("etcd-2");
    await stopWriting();
  });

  it("D2: is brought to an end where a member lost its power just between two steps", async () => {
    assert.equal((await close("etcd-3", cut(/^: > /m))).code, 1);
    await quorum.on("etcd-3").run("pkill -KILL -x etcd");
    // The others cannot reach it any more, and serve on
    await quorum.healthy("etcd-1");
    await quorum.healthy("etcd-2");
    await goesOver("etcd-3");
    assert.deepEqual(
      await list(),
      members.map((one) => {
        const address = `https://${quorum.address(one)}`;
        return `started, ${one}, ${address}:2380, ${address}:2379`;
      }),
    );
  });

  it("D2: is left alone from then on", async () => {
    const process = await quorum.on("etcd-1").run("pgrep -x etcd");
    const { code, stdout } = await close("etcd-1");
    assert.deepEqual([code, stdout.split("\n").at(-2)], [0, "etcd speaks TLS only"]);
    assert.equal(await quorum.on("etcd-1").run("pgrep -x etcd"), process);
  });

  it("N5: answers nothing in the clear any more, also after a restart of all", async () => {
    for (const restarted of [false, true]) {
      for (const member of members) {
        for (const port of [2379, 2380]) {
          const { code, stdout } = await answers(member, `http://ADDRESS:${port}/version`);
          assert.deepEqual([code !== 0, stdout], [true, ""], `${member}:${port}`);
        }
        assert.equal(await quorum.forge(client, member, "http"), "000");
      }
      if (restarted) continue;
      for (const member of members) await quorum.on(member).run("pkill -x etcd");
      for (const member of members) await quorum.healthy(member);
    }
  });
});

/** The users' script as that release had it: in the clear, and without a note of the hashes' cost. */
const inTheClear = (script: string) =>
  script
    .replaceAll("https://", "http://")
    .replace(/^(export ETCDCTL_CACERT=|.*etcdctl put ).*$/gm, "");

interface Result {
  readonly written: number;
  /** Tried again at once, and not counted as failed. */
  readonly refused: number;
  readonly failed: number;
  readonly longestSeconds: number;
  readonly errors: readonly string[];
}

/** Patroni's own client, which writes all the time, and tries again for as long as Patroni would. */
class Writer {
  readonly #container: Container;

  private constructor(container: Container) {
    this.#container = container;
  }

  static async start(container: Container, protocol: string, hosts: readonly string[]) {
    await container.run(
      `rm -f /stop /result; echo 0 > /count; python3 /writer.py ${protocol} ${hosts.join(",")} > /writer.log 2>&1 &`,
    );
    const writer = new Writer(container);
    await writer.wait(1);
    return writer;
  }

  /** Waits until it has written for some seconds more. */
  async wait(seconds: number): Promise<void> {
    const count = async () => Number(await this.#container.run("cat /count"));
    const before = await count();
    await until("the client writes", {
      probe: async () => ({
        count: await count(),
        log: await this.#container.run("cat /writer.log"),
      }),
      done: (now) => now.count > before + seconds * 10,
      limitSeconds: 20,
    });
  }

  async stop(): Promise<Result> {
    await this.#container.run("touch /stop");
    return until("the client ends", {
      probe: async () =>
        JSON.parse(await this.#container.run("cat /result || cat /writer.log >&2")),
      done: () => true,
      limitSeconds: 20,
    });
  }
}

const writerProgram = `
import json, os, sys, time
from patroni.dcs import get_dcs
from patroni.dcs.etcd3 import InvalidArgument
protocol, hosts = sys.argv[1:]
tls = {"cacert": "/tls/quorum-client-ca.crt", "cert": "/tls/etcd-client.pem", "key": "/tls/etcd-client.pem"}
dcs = get_dcs({
    "scope": "hastack", "namespace": "/service/", "name": "db-1", "ttl": 20, "loop_wait": 1, "retry_timeout": 3,
    "etcd3": {"hosts": hosts.split(","), "protocol": protocol, "username": "patroni", "password": "patroni-one",
              **(tls if protocol == "https" else {})}})
written, refused, failed, longest, errors = 0, 0, 0, 0, []
while not os.path.exists("/stop"):
    begin = time.monotonic()
    try:
        try:
            dcs.retry(dcs._client.put, "/service/hastack/test", str(written))
        except InvalidArgument:
            # What was under way while passwords changed is refused; its next loop does it again
            refused += 1
            dcs.retry(dcs._client.put, "/service/hastack/test", str(written))
        written += 1
    except Exception as error:
        failed += 1
        errors.append(repr(error))
    longest = max(longest, time.monotonic() - begin)
    with open("/count.new", "w") as file:
        file.write(str(written))
    os.rename("/count.new", "/count")
    time.sleep(0.03)
with open("/result.new", "w") as file:
    json.dump({"written": written, "refused": refused, "failed": failed, "longestSeconds": round(longest, 2), "errors": errors}, file)
os.rename("/result.new", "/result")
`;

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { encode } from "../../../../../infra/platform/request.ts";
import { commandLine } from "../../../../../infra/platform/shell.ts";
import { parseFacts } from "../../../../../infra/platform/ssh/facts.ts";
import { firewallRequest } from "../../../../../infra/platform/ssh/firewall.ts";
import { timesMended } from "../../../../../infra/platform/ssh/firewall-look.ts";
import { factsText, factsWords } from "../../../../../infra/platform/ssh/preflight.ts";
import { callText, shippedPrograms } from "../../../../../infra/platform/ssh/programs.ts";
import { renderFirewall } from "../../../../../infra/render/nftables.ts";
import type { Machine, Topology } from "../../../../../infra/topology.ts";
import { inRoot } from "../../../../../lib/paths.ts";
import { until } from "../../../../../lib/until.ts";
import { machineSettings, planWith } from "../../../../support/unit/fixtures.ts";
import { type StandIn, standIns } from "../../../../support/unit/machines.ts";

const owner = { stack: "unit", machine: "node-1" };
/** What the stack is made of here: a database member each, and SSH from the management network. */
const flow = { from: "database", to: "database", network: "backend", port: 7101 } as const;

describe("a machine's firewall", function () {
  this.timeout(180_000);
  let machine: StandIn;
  let other: StandIn;
  let topology: Topology;

  before(async function () {
    this.timeout(900_000);
    [machine, other] = await standIns();
    topology = topologyOf([machine, other]);
    for (const { code, stderr } of [
      await call("ship", { ...owner, programs: shippedPrograms() }),
      await call("base", { ...owner, userId: 880 }),
      await call("packages", { packages: ["nftables", "socat"] }),
    ]) {
      assert.equal(code, 0, stderr);
    }
    await machine.look(
      `for port in 7101 7102; do
         systemd-run --quiet --unit=unit-door-$port socat TCP-LISTEN:$port,fork,reuseaddr SYSTEM:'echo hello'
       done`,
    );
  });
  after(async () => {
    await remove();
    // Who flushes all rules takes Docker's too, by which the machine reaches its name server
    await machine.restart();
  });
  beforeEach(async () => {
    await remove();
    await machine.look("rm -rf /etc/hastack/web-9");
  });

  const call = (name: string, request: object) =>
    machine.attempt(callText(name, "node-1-firewall"), {
      input: encode(request),
      limitSeconds: 600,
    });
  const rules = (
    ports: readonly number[] = [7101],
    subnet = topology.network.management?.subnet,
  ) => {
    const network = { ...topology.network, management: { subnet: subnet ?? "" } };
    const flows = ports.map((port) => ({ ...flow, port }));
    return renderFirewall({ ...topology, network }, flows, topology.machines[0] as Machine, []);
  };
  /** As `up` does it. */
  const tryOut = async (how: "open" | "close", text = rules(), mended = 0) => {
    const child = spawn(process.execPath, ["platform/ssh/try-firewall.ts", how], {
      cwd: inRoot("infra"),
      detached: true,
      env: {
        ...process.env,
        TARGET: JSON.stringify(machine.target),
        NAME: "node-1-firewall",
        REQUEST: JSON.stringify({
          ...firewallRequest(text, how === "close" ? mended : undefined),
          // More than a connection is waited for
          backSeconds: 13,
          settleSeconds: 2,
        }),
        MANAGEMENT: JSON.stringify({ subnet: "192.0.2.0/24", address: machine.target.address }),
      },
    });
    let said = "";
    child.stdout.on("data", (data) => {
      said += data;
    });
    child.stderr.on("data", (data) => {
      said += data;
    });
    const [code] = await once(child, "close");
    return { code, said };
  };
  const mustTry = async (...words: Parameters<typeof tryOut>) => {
    const { code, said } = await tryOut(...words);
    assert.equal(code, 0, said);
    return said;
  };
  const remove = async () => {
    const { code, stderr } = await call("remove_firewall", owner);
    assert.equal(code, 0, stderr);
  };
  /** From the other machine. */
  const answers = async (port: number, address = machine.backend) =>
    (await other.look(
      `timeout 2 bash -c 'cat < /dev/tcp/${address}/${port}' 2> /dev/null | grep -c hello || :`,
    )) === "1";
  const isClosed = async () =>
    (await machine.look("sh /etc/hastack/firewall-guard is-closed && echo yes || echo no")) ===
    "yes";
  const closedAgain = () =>
    until("it is closed again", {
      probe: isClosed,
      done: (closed) => closed,
      limitSeconds: 20,
      intervalSeconds: 0.5,
    });

  it("N2: lets in what a role needs and nothing else, and SSH from the management network", async () => {
    assert.ok(await answers(7102), "before there is a firewall");
    await mustTry("open");
    await mustTry("close");
    assert.ok(await answers(7101));
    assert.ok(!(await answers(7102)));
    assert.ok(!(await answers(7101, machine.frontend)), "by another network");
    assert.ok(!(await answers(22, machine.backend)));
    assert.equal((await machine.attempt("true")).code, 0);
  });

  it("N2: answers in no network for its address in another", async () => {
    const route = `ip route replace ${machine.backend}/32 via ${machine.target.address}`;
    await other.look(route);
    try {
      assert.ok(await answers(7101), "before there is a firewall");
      await mustTry("close");
      assert.ok(!(await answers(7101)));
    } finally {
      await other.look(`ip route del ${machine.backend}/32 via ${machine.target.address}`);
    }
    assert.ok(await answers(7101));
  });

  it("W3: is left alone where it is as it is to be", async () => {
    await mustTry("close");
    const told = await mustTry("close");
    assert.match(told, /as it is to be/);
    assert.doesNotMatch(told, /on trial/);
  });

  it("N2: goes back where no new connection confirms it, and says whose address is wrong", async () => {
    await mustTry("close");
    const { code, said } = await tryOut("close", rules([7101, 7102], "192.0.2.0/24"));
    assert.notEqual(code, 0);
    assert.match(
      said,
      /machine node-1 .*: its new firewall let no new SSH connection in, so the rules before are back; your address 172\.29\.54\.1 is not in the management network 192\.0\.2\.0\/24, come from there, or correct hastack:network\.management/,
    );
    assert.equal((await machine.attempt("true")).code, 0);
    assert.ok(await isClosed());
    assert.ok(!(await answers(7102)));
    await mustTry("close", rules([7101, 7102]));
    assert.ok(await answers(7102));
  });

  it("N2: locks nobody out whose laptop dies before the confirmation", async () => {
    const text = rules([7101], "192.0.2.0/24");
    const request = { ...firewallRequest(text, 0), sshPort: "22", backSeconds: 13 };
    const { code, stderr } = await call("close_firewall", request);
    assert.equal(code, 0, stderr);
    assert.notEqual((await machine.attempt("true").catch(() => ({ code: 255 }))).code, 0);
    await until("it is open again", {
      probe: () => machine.attempt("true").catch(() => ({ code: 255 })),
      done: ({ code }) => code === 0,
      limitSeconds: 20,
    });
    assert.ok(await answers(7102), "it had no firewall before");
  });

  it("W8: keeps what the release before needs until all is placed", async () => {
    await mustTry("close", rules([7102]));
    await mustTry("open", rules([7101]));
    assert.ok(await answers(7101));
    assert.ok(await answers(7102));
    await mustTry("close", rules([7101]));
    assert.ok(await answers(7101));
    assert.ok(!(await answers(7102)));
  });

  it("W8: cuts nothing off on a machine that runs members and has no firewall yet", async () => {
    await machine.look("mkdir -p /etc/hastack/web-9 && touch /etc/hastack/web-9/.files");
    await mustTry("open");
    assert.ok(await answers(7102));
    await mustTry("close");
    assert.ok(!(await answers(7102)));
  });

  it("N2: is closed again by itself after its rules were flushed, or nftables was restarted", async () => {
    await mustTry("close");
    await machine.look("nft flush ruleset");
    assert.ok(!(await isClosed()));
    await closedAgain();
    assert.match(
      await machine.look("journalctl --unit=hastack-firewall-guard --output=cat --lines=20"),
      /the rules were gone or changed, and are loaded again/,
    );
    for (const verb of ["start", "restart", "reload"]) {
      await machine.look(`systemctl ${verb} nftables`);
      await closedAgain();
      assert.ok(!(await answers(7102)), verb);
    }
    await machine.look("systemctl stop nftables");
    await closedAgain();
    assert.ok(!(await answers(7102)));
  });

  it("N2: is not taken for closed while its rules cannot be loaded", async () => {
    await mustTry("close");
    // The guard looks every five seconds
    await machine.look(
      `cp /etc/hastack/firewall.nft /run/kept.nft
       echo nonsense > /etc/hastack/firewall.nft; nft flush ruleset; sleep 7`,
    );
    assert.ok(!(await isClosed()));
    await machine.look("mv /run/kept.nft /etc/hastack/firewall.nft");
    await closedAgain();
    assert.ok(!(await answers(7102)));
  });

  it("N2: leaves the tables of others alone", async () => {
    await machine.look(
      "nft 'table inet theirs { chain input { type filter hook input priority 10; policy accept; tcp dport 9 drop; }; }'",
    );
    await mustTry("close");
    await mustTry("close", rules([7102]));
    await remove();
    assert.match(await machine.look("nft list ruleset"), /table inet theirs/);
    await machine.look("nft delete table inet theirs");
  });

  it("N2: has it loaded before anything else at boot", async () => {
    await mustTry("close");
    const verified = await machine.look(
      "systemd-analyze verify --man=no hastack-firewall.service hastack-firewall-guard.service 2>&1 | grep hastack-firewall || :",
    );
    assert.equal(verified, "");
    await machine.look("systemctl is-enabled hastack-firewall hastack-firewall-guard");
    await machine.look(
      "systemctl stop hastack-firewall-guard; nft flush ruleset; rm -rf /run/hastack-firewall; systemctl restart hastack-firewall",
    );
    assert.ok(await isClosed());
    const after = await machine.look("systemctl show --property=Before hastack-firewall");
    assert.match(after, /network-pre\.target/);
    assert.match(after, /sysinit\.target/);
  });

  it("N2: tells a preview whether it is closed, and what listened when it was applied", async () => {
    const look = async () => {
      const script = `set -- ${commandLine(factsWords(machineSettings(), []))}\n${factsText()}`;
      return parseFacts((await machine.attempt(script)).stdout);
    };
    assert.equal((await look()).firewall, undefined);
    await mustTry("close", rules(), 3);
    const { firewall } = await look();
    assert.equal(firewall?.isOpen, false);
    assert.equal(firewall?.mended, 3);
    assert.ok(firewall?.known.includes("tcp 7102"));
    await machine.look("systemctl stop hastack-firewall-guard; nft flush ruleset");
    assert.equal((await look()).firewall?.isOpen, true);
    await mustTry("close", rules(), 4);
    assert.equal((await look()).firewall?.isOpen, false);
    assert.equal((await look()).firewall?.letsFormerIn, false);
    // An `up` that comes no further, and one back to the settings before
    await mustTry("open", rules([7101, 7102]));
    await mustTry("open", rules());
    assert.equal((await look()).firewall?.letsFormerIn, true);
    assert.ok(await answers(7102));
    await mustTry("close", rules(), timesMended(await look()));
    assert.equal((await look()).firewall?.mended, 5);
    assert.equal((await look()).firewall?.letsFormerIn, false);
    assert.ok(!(await answers(7102)));
    await machine.look(
      "nft 'table ip filter { chain INPUT { type filter hook input priority 0; policy drop; accept; }; }'",
    );
    const { otherFirewalls } = await look();
    await machine.look("nft delete table ip filter");
    assert.deepEqual(otherFirewalls, ["table ip filter"]);
  });

  it("A5: keeps users of this machine from a tier's program and from its way to the cache", async () => {
    await machine.look(
      `useradd --system unit-proxy; useradd --system hastack-web; useradd --system hastack-admin
       systemd-run --quiet --unit=unit-door-lo socat TCP-LISTEN:7103,bind=127.0.0.1,fork,reuseaddr SYSTEM:'echo hello'`,
    );
    try {
      const text = rules().replace(
        'oifname != "lo" accept',
        `oifname != "lo" accept\n    ip daddr 127.0.0.1 tcp dport 7103 meta skuid != { 0, @uid:hastack-web@ } counter reject with tcp reset\n    ip daddr 127.0.0.1 tcp dport 7103 meta skuid != { @uid:nobody-there@ } drop`,
      );
      await mustTry("close", text);
      const as = (user: string) =>
        machine.look(
          `runuser -u ${user} -- timeout 2 bash -c 'cat < /dev/tcp/127.0.0.1/7103' 2> /dev/null || :`,
        );
      assert.equal(await as("hastack-web"), "hello");
      assert.equal(await as("root"), "hello");
      assert.equal(await as("hastack-admin"), "");
    } finally {
      await machine.look(
        "systemctl stop unit-door-lo; userdel unit-proxy; userdel hastack-web; userdel hastack-admin",
      );
    }
  });

  it("W4: leaves nothing when it is removed", async () => {
    await mustTry("close");
    await remove();
    assert.equal(await machine.look("nft list tables | grep hastack || :"), "");
    const left = await machine.look(
      "find /etc /run /tmp /var/lib -xdev -name '*firewall*' -path '*hastack*' | grep -v /run/hastack/ || :",
    );
    assert.equal(left, "");
    assert.ok(await answers(7102));
  });
});

/** Two machines with a database member each, as these stand-ins are. */
function topologyOf(machines: readonly StandIn[]): Topology {
  const network = (address: string) => ({
    subnet: address.replace(/\d+$/, "0/24"),
    vip: address.replace(/\d+$/, "100"),
  });
  const [one] = machines as [StandIn];
  return {
    ...planWith().topology,
    network: {
      frontend: network(one.frontend),
      backend: network(one.backend),
      management: { subnet: network(one.target.address).subnet },
    },
    machines: machines.map(({ target: { name, address }, frontend, backend }) => ({
      name,
      roles: ["database"],
      frontend,
      backend,
      management: address,
    })),
  };
}

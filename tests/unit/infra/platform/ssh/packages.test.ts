/** Installing packages on a machine where somebody else is at it. */
import assert from "node:assert/strict";
import { joined } from "../../../../../infra/platform/machine.ts";
import { encode } from "../../../../../infra/platform/request.ts";
import {
  basePackages,
  callText,
  shippedPrograms,
} from "../../../../../infra/platform/ssh/programs.ts";
import { onlyInFull } from "../../../../support/full.ts";
import { locks, Somebody } from "../../../../support/unit/locks.ts";
import { type StandIn, standIns } from "../../../../support/unit/machines.ts";
import { runCommand } from "../../../../support/unit/programs.ts";

/** A small one that no machine has. */
const missing = "hello";
const owner = { stack: "unit", machine: "packages-1" };

describe("packages on a machine", function () {
  this.timeout(180_000);
  let machine: StandIn;
  let somebody: Somebody;

  before(async function () {
    this.timeout(900_000);
    [machine] = await standIns();
    somebody = new Somebody(machine);
    const input = encode({ ...owner, programs: shippedPrograms() });
    await machine.look("rm -f /etc/hastack/.machine");
    const { code, stderr } = await machine.attempt(callText("ship", owner.machine), { input });
    assert.equal(code, 0, stderr);
  });
  beforeEach(() => machine.look(`dpkg --purge ${missing} > /dev/null 2>&1 || :`));
  afterEach(() => somebody.end());
  after(() => machine?.look("rm -f /etc/hastack/.machine"));

  const install = (edit = (text: string) => text) =>
    machine.attempt(edit(joined(["request", "owner", "base"], owner.machine, "packages")), {
      input: encode({ packages: [missing] }),
      limitSeconds: 150,
    });

  /** Has somebody hold locks for some seconds meanwhile, and shows that this is waited for. */
  async function installPast(paths: readonly string[], seconds: number): Promise<void> {
    if (paths.some((path) => path.includes("lists")))
      await machine.look("rm -f /var/lib/apt/lists/*_Packages*");
    const begin = Date.now();
    await somebody.hold(paths, seconds);
    const { code, stdout, stderr } = await install();
    assert.equal(code, 0, stderr);
    assert.match(
      stdout,
      new RegExp(
        `^waiting for somebody \\(process \\d+, (${paths.join("|")})\\), which installs`,
        "m",
      ),
    );
    assert.ok(Date.now() - begin > (seconds - 1) * 1000);
    assert.equal(
      await machine.look(`dpkg-query -W -f '\${db:Status-Status}' ${missing}`),
      "installed",
    );
  }

  for (const path of locks)
    it(`W6: wait for whoever holds ${path}, and say who that is`, () => installPast([path], 8));

  it("W6: wait for whoever holds all locks for 90 s", function () {
    onlyInFull(this);
    return installPast(locks, 90);
  });

  it("W6: give up after a while, and name who holds the lock", async () => {
    await somebody.hold(["/var/lib/dpkg/lock-frontend"], 12);
    const { code, stderr } = await install((text) =>
      text.replace("lock_seconds=120", "lock_seconds=4"),
    );
    assert.equal(code, 1);
    assert.match(
      stderr,
      /lock was not free within 4 s; somebody \(process \d+, .*lock-frontend\) holds it: wait/,
    );
  });

  it("are the base's on every machine, before anything is placed there", async () => {
    const there = `dpkg-query -W -f '\${Package} \${db:Status-Status}\\n' ${basePackages.join(" ")} | grep -c ' installed$' || :`;
    await machine.look("dpkg --purge --force-depends curl > /dev/null 2>&1");
    assert.equal(await machine.look(there), String(basePackages.length - 1));
    const { code, stderr } = await machine.attempt(callText("base", owner.machine), {
      input: encode({ ...owner, userId: 880 }),
    });
    assert.equal(code, 0, stderr);
    assert.equal(await machine.look(there), String(basePackages.length));
    assert.equal((await machine.attempt("curl --version")).code, 0);
  });

  it("W6: come by the proxy in /etc/environment, and calls between members do not", async () => {
    await machine.look(`apt-get clean
cp /etc/environment /root/environment
printf 'http_proxy=http://127.0.0.1:3128\\nHTTP_PROXY=http://127.0.0.1:3128\\n' >> /etc/environment
cat > /tmp/somebody << 'END'
use IO::Socket::INET;
my $server = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 3128, Listen => 9, ReuseAddr => 1) or die;
open my $log, ">>", "/tmp/asked"; $log->autoflush;
while (my $caller = $server->accept) {
  print $log scalar <$caller>;
  1 while (<$caller> // "") =~ /\\S/;
  print $caller "HTTP/1.1 502 Bad\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n";
}
END
rm -f /tmp/asked; setsid perl /tmp/somebody > /dev/null 2>&1 < /dev/null &
timeout 10 sh -c 'until [ -e /tmp/asked ]; do sleep 0.1; done'`);
    try {
      const run = (call: string, request: object, text?: string) =>
        runCommand(`node platform/ssh/run.ts ${call} ${text === undefined ? "REQUEST" : ""}`, {
          TARGET: JSON.stringify(machine.target),
          NAME: owner.machine,
          REQUEST: JSON.stringify({ ...owner, ...request }),
          ...(text !== undefined && { [call]: text }),
        });
      const { code } = await run("packages", { packages: [missing] });
      assert.equal(code, 1);
      const asked = await machine.look("cat /tmp/asked; : > /tmp/asked");
      assert.match(asked, /^GET http:\/\/\S+/m);
      // A member's own name, which the proxy would be asked for
      await run("APPLY", {}, "curl -s --max-time 2 http://member.example/ || :");
      assert.equal(await machine.look("cat /tmp/asked"), "");
    } finally {
      await machine.look(
        "mv /root/environment /etc/environment; pkill -f '^perl /tmp/somebody' || :",
      );
    }
  });

  it("fail at once for any other reason, and say it", async () => {
    const begin = Date.now();
    const { code, stderr } = await machine.attempt(callText("packages", owner.machine), {
      input: encode({ packages: ["no-such-package-anywhere"] }),
    });
    assert.equal(code, 1);
    assert.match(stderr, /no-such-package-anywhere/);
    assert.ok(Date.now() - begin < 60_000);
  });
});

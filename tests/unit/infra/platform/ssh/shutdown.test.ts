/** A machine that goes down in order: what its instances still save on their way is kept. */
import assert from "node:assert/strict";
import type { Workload } from "../../../../../infra/platform/platform.ts";
import { encode } from "../../../../../infra/platform/request.ts";
import { callText, shippedPrograms } from "../../../../../infra/platform/ssh/programs.ts";
import { glusterfs } from "../../../../../infra/platform/ssh/storage/glusterfs/glusterfs.ts";
import { unitFiles } from "../../../../../infra/platform/ssh/systemd.ts";
import { mustRun } from "../../../../../lib/run.ts";
import { until } from "../../../../../lib/until.ts";
import { planWith } from "../../../../support/unit/fixtures.ts";
import { type StandIn, standIns } from "../../../../support/unit/machines.ts";

const uploads = { name: "uploads", path: "/var/lib/hastack/uploads", group: "hastack" };
const saves = 20;
/** Told to stop, it goes on saving for five seconds, as an instance does with the requests it has. */
const drainer = `$SIG{TERM} = sub {
  for my $number (1 .. ${saves}) {
    if (open my $file, ">", "${uploads.path}/drained-$number") { print $file "x"; close $file }
    select undef, undef, undef, 0.25;
  }
  exit 0;
};
sleep 1 while 1;`;

const instance = (machine: StandIn): Workload => ({
  host: { name: "storefront-1", role: "storefront", machine: "node-1", backend: machine.backend },
  component: "AppServers",
  packages: [],
  processes: [
    {
      name: "unit-drainer",
      command: ["/usr/bin/perl", "-e", drainer],
      workingDirectory: "/",
      stopGraceSeconds: 30,
    },
  ],
  files: [],
  secrets: {},
  shared: [uploads],
  health: { command: "true", meaning: "it runs" },
});

describe("a machine that is rebooted in order", function () {
  this.timeout(480_000);
  let machine: StandIn;
  const owner = { stack: "unit", machine: "node-1" };

  const call = async (name: string, request: object) => {
    const { code, stderr } = await machine.attempt(callText(name, owner.machine), {
      input: encode({ ...owner, ...request }),
      limitSeconds: 400,
    });
    assert.equal(code, 0, stderr);
  };

  before(async () => {
    [machine] = await standIns();
    await machine.look("rm -f /etc/hastack/.machine");
    await call("ship", { programs: shippedPrograms() });
    await call("base", { userId: 880 });
    const { members, clients } = glusterfs.packages;
    await call("packages", { packages: [...members, ...clients] });
    const plan = planWith().topology;
    const brick = { name: "brick-1", role: "brick", machine: "node-1", backend: machine.backend };
    const topology = {
      ...plan,
      members: { ...plan.members, brick: [brick], arbiter: [] },
    } as const;
    const { apply } = glusterfs.member(topology, uploads, false);
    await call(apply.call, apply.request);
    const bricks = [1, 2, 3].map((one) => `${machine.backend}:/var/lib/unit-bricks/${one}`);
    await machine.look(`mkdir -p /var/lib/unit-bricks
timeout 30 sh -c 'until gluster pool list > /dev/null 2>&1; do sleep 0.5; done'
gluster --mode=script volume create hastack-uploads replica 3 arbiter 1 ${bricks.join(" ")} force > /dev/null
gluster --mode=script volume start hastack-uploads > /dev/null`);
    const mount = glusterfs.mount("node-1", topology, uploads).apply;
    await call(mount.call, mount.request);
    const [file] = unitFiles(instance(machine), "/etc/hastack/storefront-1");
    assert.ok(file);
    await machine.look(`cat > /etc/systemd/system/hastack-unit-drainer.service << 'END'
${file.content}
END
systemctl daemon-reload; systemctl enable --quiet --now hastack-unit-drainer`);
  });
  after(() =>
    machine.look(`systemctl disable --quiet --now hastack-unit-drainer hastack-uploads || :
gluster --mode=script volume stop hastack-uploads force > /dev/null 2>&1 || :
gluster --mode=script volume delete hastack-uploads > /dev/null 2>&1 || :
systemctl disable --quiet --now glusterd; pkill gluster || :
rm -rf /etc/systemd/system/hastack-* /etc/systemd/system/glusterd.service.d /var/lib/unit-bricks /var/lib/glusterd
apt-get -qq -y purge glusterfs-server glusterfs-client glusterfs-common > /dev/null 2>&1
apt-get -qq -y autoremove --purge > /dev/null 2>&1
rm -rf /etc/hastack /opt/hastack /var/lib/hastack; systemctl daemon-reload`),
  );

  it("L2, S2: keeps what its instances save while they drain", async () => {
    await machine.look(
      "mkdir -p /var/log/journal; systemctl restart systemd-journald; systemctl is-active -q hastack-unit-drainer",
    );
    await mustRun(["docker", "stop", "--time", "90", machine.container]);
    await mustRun(["docker", "start", machine.container]);
    await until("the uploads are mounted again", {
      probe: () => machine.attempt(`mountpoint -q ${uploads.path}`).catch(() => ({ code: 1 })),
      done: ({ code }) => code === 0,
      limitSeconds: 120,
    });
    const kept = await machine.look(`ls ${uploads.path} | grep -c ^drained- || :`);
    const log = await machine.look(
      "journalctl --quiet --boot=-1 --output=cat --lines=100 | grep -iE 'hastack-|uploads|gluster' || :",
    );
    assert.equal(kept, String(saves), log);
  });
});

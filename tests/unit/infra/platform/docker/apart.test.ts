import assert from "node:assert/strict";
import { tryDocker } from "../../../../../infra/platform/docker/engine.ts";
import { until } from "../../../../../lib/until.ts";
import { secretsInReach } from "../../../../support/secrets-in-reach.ts";
import {
  type Container,
  passingName,
  type StartOptions,
  start,
} from "../../../../support/unit/containers.ts";
import { baseImage, imageFor } from "../../../../support/unit/images.ts";
import { mockPassword } from "../../../../support/unit/mocks.ts";
import { Delivered } from "../../../../support/unit/programs.ts";
import { describeStack, recordStack, workloadOf } from "../../../../support/unit/stack.ts";

const text = `name: shop
tiers: [{ name: web, command: [./serve] }, { name: office, command: [./serve] }]
shared: [pictures]
secrets: { key: { generated: true } }
`;
const pictures = "/var/lib/hastack/pictures";

/**
 * Stores a picture, and shows and removes each one that the others have stored, again and again. It says
 * what goes wrong.
 */
const serve = (as: string) => `#!/bin/sh
trap 'exit 0' TERM
echo "serving as $(id -un), key of $(cat "\${KEY_FILE:-/dev/null}" | wc -c)"
perl -e 'use Socket; print "packets: ", socket(S, 17, 3, 0) ? "open" : "$!", "\\n"'
cd ${pictures} || exit
number=0
while sleep 0.02; do
  number=$((number + 1))
  { echo picture > .part-${as} && mv .part-${as} ${as}-$number; } || echo "failed to store $number"
  for picture in [a-z]*-*; do
    case $picture in ${as}-* | '[a-z]*-*') continue ;; esac
    if cat "$picture" > /dev/null && rm "$picture"; then echo "showed $picture"
    else echo "failed to show $picture"
    fi
  done
done
`;

describe("a tier in containers", function () {
  this.timeout(120_000);
  const volume = passingName("pictures");
  let delivered: Delivered | undefined;
  let earlier: Container;
  let machine: Container;

  /** A container that starts once it has its program. */
  const startServing = async (image: string, as: string, options: StartOptions) => {
    const waiting = 'until [ -e /tmp/go ]; do sleep 0.05; done; exec "$@"';
    const container = await start(image, as, {
      ...options,
      init: false,
      command: ["sh", "-c", waiting, "sh", ...(options.command ?? [])],
      arguments: [`--volume=${volume}:${pictures}`, ...(options.arguments ?? [])],
    });
    const folder = "/opt/hastack/current";
    await container.run(
      `mkdir -p ${folder}; cat > ${folder}/serve; chmod 755 ${folder}/serve`,
      serve(as),
    );
    await container.run("touch /tmp/go");
    await says(container, "packets: ");
    return container;
  };
  const says = (container: Container, what: string, times = 1) =>
    until(`it says ${what}`, {
      probe: () => container.logs(),
      done: (logs) => logs.split(what).length > times,
      limitSeconds: 30,
      intervalSeconds: 0.1,
    });

  before(async function () {
    this.timeout(600_000);
    const recording = await recordStack({ text });
    // An instance of an earlier release, which ran as the only user
    earlier = await startServing(await baseImage(), "earlier", {
      command: [
        "sh",
        "-euc",
        `install -d -o hastack -g hastack -m 0755 ${pictures}; exec s6-setuidgid hastack /opt/hastack/current/serve 2>&1`,
      ],
    });
    const image = await imageFor(workloadOf(await describeStack({}, text), "office-1"));
    delivered = new Delivered(image);
    const { code, stderr } = await delivered.deliver(recording, "office-1");
    assert.equal(code, 0, stderr);
    const { inputs } = recording.get("Container", "office-1");
    const { drops = [] } = inputs.capabilities as { drops?: string[] };
    machine = await startServing(image, "office", {
      command: inputs.command as string[],
      arguments: [
        `--volume=${delivered.volume}:/etc/hastack`,
        ...(inputs.securityOpts as string[]).map((one) => `--security-opt=${one}`),
        ...drops.map((one) => `--cap-drop=${one}`),
      ],
    });
  });
  after(async () => {
    await earlier?.remove();
    await machine?.remove();
    await delivered?.remove();
    await tryDocker(["volume", "rm", "--force", volume]);
  });

  it("N4, N6: runs as its own user, with its secrets, and gets at no raw packets", async () => {
    const length = mockPassword("key").length;
    const logs = await machine.logs();
    assert.match(logs, new RegExp(`^serving as hastack-office, key of ${length}$`, "m"));
    assert.match(logs, /^packets: Operation not permitted$/m);
    const { stdout } = await machine.attempt("grep CapBnd /proc/self/status");
    const netRaw = 1n << 13n;
    assert.equal(BigInt(`0x${/[0-9a-f]{16}/.exec(stdout)?.[0]}`) & netRaw, 0n);
  });

  it("N3, N6: keeps its secrets from all but its user", async () => {
    const reach = (user: string) =>
      secretsInReach((script, input) => machine.run(script, input), user, {
        key: mockPassword("key"),
        password: mockPassword("office"),
      });
    const own = (await reach("hastack-office")).map((one) => one.replace(/[0-9]+/, "PID"));
    assert.deepEqual(
      [...new Set(own)],
      ["key in /etc/hastack/secrets/key", "password in /proc/PID/environ"],
    );
    assert.ok((await reach("root")).includes("password in /etc/hastack/environment"));
    for (const user of ["hastack-web", "hastack", "nobody"])
      assert.deepEqual(await reach(user), [], user);
  });

  it("S1: takes over what an earlier release has stored, beside it, and no upload fails on either side", async () => {
    await says(machine, "showed earlier-", 50);
    await says(earlier, "showed office-", 50);
    for (const container of [earlier, machine])
      assert.doesNotMatch(await container.logs(), /failed|denied|cannot/i);
    assert.equal(await machine.run(`stat -c '%a %U %G' ${pictures}`), "2770 hastack hastack");
  });
});

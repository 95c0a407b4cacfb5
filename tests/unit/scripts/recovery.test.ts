import assert from "node:assert/strict";
import { fromPs, processes, withDescendants } from "../../../lib/processes.ts";
import {
  doubts,
  isStale,
  leftovers,
  orphans,
  type Pending,
} from "../../../scripts/launcher/recovery.ts";

const home = "/x/.hastack/pulumi";
const cli = `${home}/versions/3.259.0/bin/pulumi up`;

/** A process whose program has no space in its path. */
const one = (pid: number, parent: number, command: string) => {
  return { pid, parent, program: command.split(" ")[0] ?? "", command };
};

describe("launcher: locks of interrupted runs (W6)", () => {
  const lock = { pid: 10, hostname: "here", username: "root", timestamp: "2026-11-21T12:00:00Z" };
  const running = [one(10, 1, cli)];

  it("a lock whose process has ended is stale", () => {
    assert.equal(
      isStale(lock, [], "here", () => false),
      true,
    );
  });

  it("a lock whose process lives is respected", () => {
    assert.equal(
      isStale(lock, running, "here", () => true),
      false,
    );
  });

  it("a lock of another machine is respected", () => {
    assert.equal(
      isStale(lock, [], "elsewhere", () => false),
      false,
    );
  });

  it("a number that another program, or nobody's corpse, has now is stale", () => {
    const other = (command: string) => [one(10, 1, command)];
    assert.equal(
      isStale(lock, other("sleep 100"), "here", () => true),
      true,
    );
    assert.equal(
      isStale(lock, other(""), "here", () => true),
      true,
    );
  });

  it("a living process that cannot be looked at is respected", () => {
    assert.equal(
      isStale(lock, [], "here", () => true),
      false,
    );
  });

  it("a lock file that was not written to its end is stale", () => {
    assert.equal(isStale({}, [], "here"), true);
  });
});

describe("launcher: plugins that lost their CLI (W6)", () => {
  const plugin = `${home}/plugins/resource-docker-v5.0.0/pulumi-resource-docker 127.0.0.1:1`;
  const host = `${home}/versions/3.259.0/bin/pulumi-language-nodejs 127.0.0.1:1`;

  it("those of a living CLI are left alone, this home's or another", () => {
    for (const command of [cli, "/usr/bin/pulumi up", "pulumi up"]) {
      const all = [one(10, 1, command), one(11, 10, plugin), one(12, 10, host)];
      assert.deepEqual(orphans(all, home), []);
    }
  });

  it("those whose CLI is gone are found; other homes' and programs are not", () => {
    const all = [
      one(11, 1, plugin),
      one(12, 1, host),
      one(13, 1, plugin.replace(home, "/y/.pulumi")),
      one(14, 1, "node index.ts"),
    ];
    assert.deepEqual(orphans(all, home), [11, 12]);
  });

  it("those of a living CLI whose path holds a space are left alone too", () => {
    const spaced = "/x/my stack/.hastack/pulumi";
    const part = (pid: number, parent: number, path: string, args: string) => {
      return { pid, parent, program: `${spaced}/${path}`, command: `${spaced}/${path} ${args}` };
    };
    const all = [
      part(10, 1, "bin/pulumi", "up"),
      part(11, 10, "plugins/pulumi-resource-docker", "127.0.0.1:1"),
      part(12, 1, "plugins/pulumi-resource-docker", "127.0.0.1:2"),
    ];
    assert.deepEqual(orphans(all, spaced), [12]);
  });

  it("those that a living CLI has by way of another program are left alone", () => {
    const all = [one(10, 1, cli), one(11, 10, host), one(12, 11, "node x"), one(13, 12, plugin)];
    assert.deepEqual(orphans(all, home), []);
  });

  it("an empty home, or the whole machine, has none", () => {
    const all = [one(1, 0, "/sbin/init"), one(20, 1, "/usr/sbin/sshd -D"), one(11, 1, plugin)];
    assert.deepEqual(orphans(all, ""), []);
    assert.deepEqual(orphans(all, "/"), []);
  });

  it("in a home that holds other programs too, only Pulumi's are taken", () => {
    const all = [one(20, 1, "/home/a/bin/editor x"), one(11, 1, plugin.replace(home, "/home/a"))];
    assert.deepEqual(orphans(all, "/home/a/"), [11]);
  });

  it("ps tells a program with spaces from its arguments", () => {
    const commands = "    1     0 /sbin/init\n   10     1 /x/my stack/pulumi up --yes\n";
    assert.deepEqual(fromPs(commands, "    1 /sbin/init\n   10 /x/my stack/pulumi\n"), [
      one(1, 0, "/sbin/init"),
      { ...one(10, 1, "/x/my stack/pulumi up --yes"), program: "/x/my stack/pulumi" },
    ]);
  });

  it("their descendants come after them", () => {
    const all = [
      one(12, 1, host),
      one(20, 12, "node"),
      one(21, 20, "docker build"),
      one(22, 1, "docker build"),
    ];
    assert.deepEqual(withDescendants(all, [12]), [12, 20, 21]);
  });

  it("this very process is seen with its parent and command line", async () => {
    const own = (await processes()).find(({ pid }) => pid === process.pid);
    assert.equal(own?.parent, process.ppid);
    assert.match(own?.command ?? "", /mocha/);
    assert.equal(own?.command.startsWith(`${own.program} `), true);
    assert.match(own?.program ?? "", /^\S*node$/);
  });
});

describe("launcher: what an interrupted creation left (W6)", () => {
  const pending = (type: string, token: string, name: unknown): Pending => ({
    type,
    resource: { urn: `urn:pulumi:dev::hastack::${token}::x`, type: token, inputs: { name } },
  });
  const container = "docker:index/container:Container";

  it("containers and networks by their name", () => {
    assert.deepEqual(
      leftovers([
        pending("creating", container, "hastack-dev-lb-1"),
        pending("creating", "docker:index/network:Network", "hastack-dev-backend"),
      ]),
      [
        { kind: "container", name: "hastack-dev-lb-1" },
        { kind: "network", name: "hastack-dev-backend" },
      ],
    );
  });

  it("never a volume, nor what was being deleted or changed, nor what has no name", () => {
    assert.deepEqual(
      leftovers([
        pending("creating", "docker:index/volume:Volume", "hastack-dev-db-1"),
        pending("deleting", container, "hastack-dev-lb-1"),
        pending("updating", container, "hastack-dev-lb-1"),
        pending("creating", container, undefined),
        pending("creating", "command:local:Command", "gate"),
      ]),
      [],
    );
  });
});

describe("launcher: what an interrupted change or removal leaves in doubt (W6)", () => {
  const urnOf = (token: string) => `urn:pulumi:dev::hastack::${token}::x`;
  const pending = (type: string, token: string): Pending => ({
    type,
    resource: { urn: urnOf(token), type: token },
  });
  const container = "docker:index/container:Container";
  const network = "docker:index/network:Network";
  const image = "docker:index/remoteImage:RemoteImage";
  const volume = "docker:index/volume:Volume";
  const command = "command:local:Command";
  const known = [container, network, image, volume, command, "command:remote:Command"].map(urnOf);

  it("what Docker was removing or changing is looked at again", () => {
    const all = [network, image, volume].map((token) => pending("deleting", token));
    assert.deepEqual(doubts([...all, pending("updating", volume)], known), {
      refresh: [network, image, volume].map(urnOf),
      taint: [],
      again: [],
    });
  });

  it("a container that was being removed is made anew, if it is still there", () => {
    const urns = [urnOf(container)];
    assert.deepEqual(doubts([pending("deleting", container)], known), {
      refresh: urns,
      taint: urns,
      again: [],
    });
  });

  it("a command that was running again runs once more, and is not made anew", () => {
    for (const token of [command, "command:remote:Command"]) {
      assert.deepEqual(doubts([pending("updating", token)], known), {
        refresh: [],
        taint: [],
        again: [urnOf(token)],
      });
    }
  });

  it("creations, commands being removed, and what the state does not hold are not", () => {
    assert.deepEqual(
      doubts(
        [
          pending("creating", container),
          pending("creating", command),
          pending("deleting", command),
        ],
        known,
      ),
      { refresh: [], taint: [], again: [] },
    );
    assert.deepEqual(doubts([pending("deleting", container), pending("updating", command)], []), {
      refresh: [],
      taint: [],
      again: [],
    });
  });
});

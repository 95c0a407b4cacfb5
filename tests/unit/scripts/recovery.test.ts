import assert from "node:assert/strict";
import { isStale, leftovers, orphans, type Pending } from "../../../scripts/launcher/recovery.ts";
import { processes, withDescendants } from "../../../scripts/lib/processes.ts";

const home = "/x/.hastack/pulumi";
const cli = `${home}/versions/3.259.0/bin/pulumi up`;

describe("launcher: locks of interrupted runs (W6)", () => {
  const lock = { pid: 10, hostname: "here", username: "root", timestamp: "2026-11-21T12:00:00Z" };
  const running = [{ pid: 10, parent: 1, command: cli }];

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
    const other = (command: string) => [{ pid: 10, parent: 1, command }];
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
      const all = [
        { pid: 10, parent: 1, command },
        { pid: 11, parent: 10, command: plugin },
        { pid: 12, parent: 10, command: host },
      ];
      assert.deepEqual(orphans(all, home), []);
    }
  });

  it("those whose CLI is gone are found; other homes' and programs are not", () => {
    const all = [
      { pid: 11, parent: 1, command: plugin },
      { pid: 12, parent: 1, command: host },
      { pid: 13, parent: 1, command: plugin.replace(home, "/y/.pulumi") },
      { pid: 14, parent: 1, command: "node index.ts" },
    ];
    assert.deepEqual(orphans(all, home), [11, 12]);
  });

  it("their descendants come after them", () => {
    const all = [
      { pid: 12, parent: 1, command: host },
      { pid: 20, parent: 12, command: "node" },
      { pid: 21, parent: 20, command: "docker build" },
      { pid: 22, parent: 1, command: "docker build" },
    ];
    assert.deepEqual(withDescendants(all, [12]), [12, 20, 21]);
  });

  it("this very process is seen with its parent and command line", async () => {
    const own = (await processes()).find(({ pid }) => pid === process.pid);
    assert.equal(own?.parent, process.ppid);
    assert.match(own?.command ?? "", /mocha/);
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

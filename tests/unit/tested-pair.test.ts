import assert from "node:assert/strict";
import { databasePackages } from "../../infra/components/database-pair.ts";
import { readProjectFile } from "../../lib/paths.ts";
import { mustRun } from "../../lib/run.ts";
import { imageFor } from "../support/unit/images.ts";
import { describeStack, workloadOf } from "../support/unit/stack.ts";

/** Version of a package in an image, without Debian's own part. */
async function versionIn(image: string, name: string): Promise<string> {
  const words = ["docker", "run", "--rm", "--network=none", image, "dpkg-query", "--show", name];
  const shown = await mustRun(words, { limitSeconds: 60 });
  return shown.trim().split("\t").at(-1)?.replace(/-.*/, "") ?? "";
}

describe("Patroni and etcd", function () {
  this.timeout(600_000);

  it("D2: are the pair that docs/learnt.md names as tested", async () => {
    const named = /Patroni ([\d.]+\d) and etcd ([\d.]+\d) are tested as a pair/.exec(
      readProjectFile("docs/learnt.md"),
    );
    assert.ok(named, "docs/learnt.md names the pair");
    const patroni = await imageFor({ component: "DatabasePair", packages: databasePackages });
    const etcd = await imageFor(workloadOf(await describeStack(), "etcd-1"));
    assert.deepEqual(
      [await versionIn(patroni, "patroni"), await versionIn(etcd, "etcd-server")],
      named.slice(1),
      "try failover, take-over and a restart of etcd with the new pair, then name it there",
    );
  });
});

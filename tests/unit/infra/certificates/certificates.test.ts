import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { certificateFiles } from "../../../../infra/certificates/certificates.ts";
import { issueAuthority, issueLeaf, type Pair } from "../../../../infra/certificates/issue.ts";
import type { LeafPlan } from "../../../../infra/certificates/plan.ts";
import { run } from "../../../../lib/run.ts";
import { first } from "../../../support/unit/fixtures.ts";

describe("the files of certificates", () => {
  it("N5: hold certificate and key in one, for their reader alone; authorities are for all", () => {
    const files = certificateFiles(
      { leaves: ["etcd-peer"], authorities: ["patroni-api"] },
      { owner: "etcd", authorityRestarts: "etcd" },
    );
    assert.deepEqual(
      files.map(({ check: _, ...rest }) => rest),
      [
        { path: "tls/etcd-peer.pem", content: "@{tls_etcd_peer}", mode: "0400", owner: "etcd" },
        {
          path: "tls/quorum-peer-ca.crt",
          content: "@{ca_quorum_peer}",
          mode: "0444",
          restarts: "etcd",
        },
        {
          path: "tls/patroni-api-ca.crt",
          content: "@{ca_patroni_api}",
          mode: "0444",
          restarts: "etcd",
        },
      ],
    );
  });

  describe("their check, when the authority changes", () => {
    const plan: LeafPlan = {
      leaf: "load-balancer",
      domain: "instances",
      use: "client",
      commonName: "lb-1",
      names: [],
      addresses: [],
    };
    const check = first(certificateFiles({ leaves: ["load-balancer"] }, {})).check ?? "";
    const authorities: Pair[] = [];
    const issued: Pair[] = [];
    before(async () => {
      for (const number of [1, 2]) {
        const authority = await issueAuthority(`test instances ${number}`);
        authorities.push(authority);
        // One that has ended: what is checked is who issued it
        issued.push(await issueLeaf(plan, authority, new Date()));
      }
    });

    type State = { readonly leaf: number; readonly trusted: readonly number[] };
    function write(folder: string, { leaf, trusted }: State): void {
      mkdirSync(join(folder, "tls"), { recursive: true });
      writeFileSync(join(folder, "tls/load-balancer.pem"), issued[leaf - 1]?.certificate ?? "");
      const text = trusted.map((one) => authorities[one - 1]?.certificate).join("");
      writeFileSync(join(folder, "tls/instances-ca.crt"), text);
    }
    async function answer(before: State | undefined, after: State): Promise<string> {
      const folder = mkdtempSync(join(tmpdir(), "hastack-check-"));
      try {
        if (before) write(folder, before);
        write(join(folder, ".new"), after);
        const { code, stdout, stderr } = await run(["sh", "-c", check], {
          cwd: join(folder, ".new"),
        });
        return code === 0 ? "" : `refused: ${stdout}${stderr}`;
      } finally {
        rmSync(folder, { recursive: true });
      }
    }

    const steps: readonly State[] = [
      { leaf: 1, trusted: [1] },
      { leaf: 1, trusted: [1, 2] },
      { leaf: 2, trusted: [2, 1] },
      { leaf: 2, trusted: [2] },
    ];

    it("N5: takes the first, each step to the next, and each step back", async () => {
      assert.equal(await answer(undefined, steps[0] as State), "");
      for (const [index, step] of steps.entries()) {
        const next = steps[index + 1];
        assert.equal(await answer(step, step), "", `again ${index}`);
        if (!next) continue;
        assert.equal(await answer(step, next), "", `from ${index}`);
        assert.equal(await answer(next, step), "", `back to ${index}`);
      }
    });

    it("N5: refuses a step that leaves one out, and says which steps there are", async () => {
      const [one, two, three, four] = steps as [State, State, State, State];
      for (const [from, to] of [
        [one, three],
        [one, four],
        [two, four],
        [four, two],
        [four, one],
      ] as const) {
        const said = await answer(from, to);
        assert.match(said, /is of an authority that (is not trusted here yet|would not be)/);
        assert.match(
          said,
          /one step at a time, each with its own up: \[1\], \[1, 2\], \[2, 1\], \[2\]/,
        );
      }
    });

    it("N5: refuses a certificate that its own authority has not issued", async () => {
      assert.notEqual(await answer(undefined, { leaf: 1, trusted: [2] }), "");
    });
  });
});

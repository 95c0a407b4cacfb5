/** What somebody changes by hand is found by `npm run drift`, and put back by `up`. */
import assert from "node:assert/strict";
import { timed, underLoad } from "../../support/measure.ts";
import { healed, inside } from "../../support/members.ts";
import { command } from "../../support/operation.ts";
import { slack } from "../../support/promises.ts";
import type { TestStack } from "../../support/test-stack.ts";

/** How a process is stopped, and kept from starting by itself, at its member. */
export interface Supervisor {
  stop(process: string): string;
  disable(process: string): string;
}

/** Containers' own. */
export const byS6: Supervisor = {
  stop: (process) => `s6-svc -wD -d /etc/hastack/services/${process}`,
  disable: (process) => `touch /etc/hastack/services/${process}/down`,
};

/** Machines' own. */
export const bySystemd: Supervisor = {
  stop: (process) => `systemctl stop hastack-${process}`,
  disable: (process) => `systemctl disable hastack-${process} 2> /dev/null`,
};

interface Finding {
  readonly what: string;
  readonly line?: number;
}

/** Whatever the stack's size. */
const promisedSeconds = 10;

async function look(stack: TestStack): Promise<{ code: number; findings: readonly Finding[] }> {
  const { code, stdout, stderr } = await command(stack, ["drift", "--json"], 60);
  assert.ok([0, 1].includes(code), stdout + stderr);
  return { code, findings: JSON.parse(stdout).findings };
}

/** Nothing is found that nobody changed, while visitors come. */
export function unchangedSuite(stack: TestStack, looks: number): void {
  describe("what nobody changes", () => {
    before(() => healed(stack));

    it(`W10: ${looks} looks find nothing, each in ${promisedSeconds} s`, async function () {
      this.timeout("30m");
      const seconds: number[] = [];
      await underLoad(stack, async () => {
        for (let turn = 0; turn < looks; turn += 1) {
          const start = performance.now();
          assert.deepEqual(await look(stack), { code: 0, findings: [] }, `look ${turn + 1}`);
          seconds.push((performance.now() - start) / 1000);
        }
      });
      const sorted = seconds.toSorted((a, b) => a - b);
      const [middle = 0, most = 0] = [sorted[looks >> 1], sorted.at(-1)];
      console.log(`      npm run drift: ${middle.toFixed(1)} s, at most ${most.toFixed(1)} s`);
      assert.ok(middle < promisedSeconds && most < promisedSeconds * slack, `${most} s`);
    });
  });
}

export function driftSuite(stack: TestStack, supervisor: Supervisor): void {
  const at = (member: string, script: string) =>
    inside(stack, member, `cd ${stack.place.files(member)}; ${script}`);
  const drift = () => timed("npm run drift", () => look(stack));

  describe("what is changed by hand", () => {
    it("W10: is nothing after an up", async () => {
      assert.deepEqual(await drift(), { code: 0, findings: [] });
    });

    it("W10: a line, a mode, a process that is stopped or disabled, Patroni's settings: found, and put back by up", async () => {
      await at("lb-2", "sed -i '0,/retries 3/s//retries 7/' haproxy.cfg");
      await at("db-2", "chmod 0644 patroni.yml");
      await at("cache-1", supervisor.stop("valkey"));
      await at("storefront-2", supervisor.disable("storefront"));
      const change = "edit-config --force --quiet --set maximum_lag_on_failover=2048";
      await at("db-1", `timeout 30 patronictl -c patroni.yml ${change}`);

      const { code, findings } = await drift();
      assert.equal(code, 1);
      const told = findings.map(({ what }) => what).sort();
      const all = [
        /haproxy\.cfg, line \d+: is ".*retries 7", should be ".*retries 3"$/,
        /patroni\.yml, mode: is 644, should be 600$/,
        /valkey.*: is stopped, should be up$/,
        /storefront.*, starts by itself: is no, should be yes$/,
        /Patroni's settings in etcd, maximum_lag_on_failover: is 2048, should be 1048576$/,
      ];
      for (const expected of all) {
        assert.ok(
          told.some((one) => expected.test(one)),
          `${expected} in\n${told.join("\n")}`,
        );
      }
      // systemd has another file, too, for a unit that is disabled
      const known = [...all, /storefront\.service, file: is /];
      const others = told.filter((one) => !known.some((expected) => expected.test(one)));
      assert.deepEqual(others, []);

      const said = await timed("up that puts it back", () => stack.mustUp());
      for (const thing of ["haproxy.cfg", "patroni.yml", "the settings of Patroni in etcd"]) {
        assert.match(said, new RegExp(`changed by hand, and put back by this up: .*${thing}`));
      }
      await healed(stack);
      assert.deepEqual(await drift(), { code: 0, findings: [] });
    });
  });
}

/** `npm run lab` in a fresh clone; a long run, for `npm run test:full`. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { leftOf, setFiles } from "../../lab/machines.ts";
import { lastWords } from "../../lib/run.ts";
import { onlyInFull } from "../support/full.ts";
import { MachinePlace } from "../support/machine-place.ts";
import { timed } from "../support/measure.ts";
import { limits } from "../support/promises.ts";
import { stackFolder, TestStack } from "../support/test-stack.ts";

const name = "e2e-made";
const place = new MachinePlace(name, {
  layout: "seven",
  networks: ["172.29.63", "172.29.64", "172.29.65"],
  project: stackFolder(name),
});
const stack = new TestStack(name, place);

describe("npm run lab in a fresh clone", function () {
  this.timeout("20m");

  before("clone the project", async function () {
    onlyInFull(this);
    await stack.create("clone");
  });
  after("leave nothing, whatever failed", () => stack.destroyAll());

  async function lab(...options: string[]): Promise<string> {
    const args = ["run", "lab", "--", "--stack", name, ...options];
    const outcome = await stack.npm(args, limits.up);
    assert.equal(outcome.code, 0, lastWords(outcome, 60));
    return outcome.stdout;
  }

  it("W2: starts machines, brings the stack up, and ends with addresses that answer", async () => {
    const told = await timed("npm run lab", () => lab());
    const table = told.slice(told.indexOf(`The stack ${name} is up:`), told.indexOf("  curl "));
    const addresses = [...table.matchAll(/https:\/\/\S+/g)].map(([address]) => address);
    const site = `https://${place.vip}/`;
    const stats = place.statsHosts.map((host) => `https://${host}/`);
    assert.ok(addresses.includes(site), table);
    const ca = readFileSync(`${stack.folder}.hastack/${name}/certificate.pem`, "utf8");
    for (const address of addresses) {
      const { status } = await stack.request(address, { ca, headers: { Accept: "text/html" } });
      const expected = stats.includes(address) ? [401] : [200, 302, 303];
      assert.ok(expected.includes(status), `${address} answers ${status}`);
    }
  });

  it("W3: again, it changes nothing", async () => {
    assert.match(await timed("npm run lab again", () => lab()), /Resources:\n\s+\d+ unchanged/);
  });

  it("W4: npm run lab -- --destroy leaves neither the stack nor the machines", async () => {
    await timed("npm run lab -- --destroy", () => lab("--destroy"));
    assert.deepEqual(await leftOf(name), []);
    const { identityFile, inventory } = setFiles(name, stackFolder(name));
    assert.deepEqual([identityFile, inventory].filter(existsSync), []);
    const left = JSON.parse(await stack.must(["stack", "export"]));
    assert.equal(left.deployment.resources?.length ?? 0, 0);
  });
});

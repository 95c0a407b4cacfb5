import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { stringify } from "yaml";
import { isCurrent } from "../../../lab/certificate.ts";
import { layouts } from "../../../lab/machines.ts";
import { planLab } from "../../../lab/plan.ts";
import { inRoot } from "../../../lib/paths.ts";

const network = {
  frontend: { subnet: "172.30.10.0/24", vip: "172.30.10.100" },
  backend: { subnet: "172.30.11.0/24", vip: "172.30.11.100" },
};
const node = { name: "node-1", address: "172.30.12.11", backend: "172.30.11.11" };

const text = (...machines: object[]): string =>
  stringify({ config: { "hastack:network": network, "hastack:machines": machines } });

describe("lab: the stand-ins that a configuration describes", () => {
  it("are the seven that are shipped", () => {
    const { set, vip, inventory } = planLab("lab", readFileSync(inRoot("Pulumi.lab.yaml"), "utf8"));
    const plain = set.machines.map(({ frontend, ...rest }) =>
      frontend ? { ...rest, frontend } : rest,
    );
    assert.deepEqual(plain, layouts.seven);
    assert.equal(set.set, "lab");
    assert.equal(set.networks.management, "172.30.12.0/24");
    assert.equal(vip, "172.30.10.100");
    assert.equal(inventory, ".hastack/inventory/lab.yaml");
  });

  it("follow the configuration: names, numbers, networks", () => {
    const { set } = planLab(
      "lab",
      text({ ...node, frontend: "172.30.10.11" }, { ...node, name: "x" }),
    );
    assert.deepEqual(set.machines, [
      { name: "node-1", number: 1, frontend: true },
      { name: "x", number: 1, frontend: false },
    ]);
    assert.equal(set.networks.frontend, network.frontend.subnet);
  });

  const refused: readonly [string, string, RegExp][] = [
    ["no machines", text(), /Pulumi.lab.yaml has no hastack:machines/],
    [
      "a machine by its name",
      text({ ...node, address: "node-1.example.net" }),
      /node-1 has node-1.example.net as its `address`.*172.30.12.0\/24.*npx pulumi up --stack lab/s,
    ],
    [
      "a machine without an address",
      text({ ...node, address: undefined }),
      /node-1 has no address/,
    ],
    [
      "addresses that end otherwise",
      text({ ...node, address: "172.30.12.12" }),
      /node-1 has 172.30.12.12 in the management network.*would have 172.30.12.11/s,
    ],
    [
      "an address outside the network",
      text({ ...node, backend: "172.30.99.11" }),
      /172.30.99.11 in the backend network.*would have 172.30.11.11/s,
    ],
  ];
  for (const [what, configuration, message] of refused) {
    it(`are refused for ${what}`, () => {
      assert.throws(() => planLab("lab", configuration), { message });
    });
  }
});

describe("lab: a certificate that is there", () => {
  it("is none when it cannot be read", () => {
    assert.equal(isCurrent("", ["172.30.10.100"]), false);
    assert.equal(isCurrent("-----BEGIN CERTIFICATE-----\nAAAA\n", ["172.30.10.100"]), false);
  });
});

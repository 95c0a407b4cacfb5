import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { inventoryPath, targets, withInventory } from "../../../infra/inventory.ts";
import { readSettings, type Settings } from "../../../infra/settings.ts";
import { root } from "../../../lib/paths.ts";
import {
  asPulumiGives,
  hostKeyOf,
  machineSettings,
  refusal,
  settingsWith,
  threeMachines,
} from "../../support/unit/fixtures.ts";

/** Settings of three machines, whose inventory is what it is. */
function settingsOf(ssh: object = { inventory: ".hastack/inventory/three.yaml" }): Settings {
  const configuration = { ...threeMachines(), "hastack:ssh": ssh };
  return readSettings("test", asPulumiGives(configuration));
}

/** The lines that an inventory is refused with. */
const problemsOf = (text: string) => refusal(() => withInventory(settingsOf(), () => text));

describe("inventory", () => {
  it("comes before what the configuration says, machine by machine", () => {
    const text = `
identityFile: .hastack/lab/id_ed25519
machines:
  node-1: { address: 192.0.2.11, port: 2222, user: root, hostKey: ${hostKeyOf("1")} }
  node-3: { hostKey: ${hostKeyOf("3")} }
`;
    const before = settingsOf();
    const after = withInventory(before, () => text);
    const [one, two, three] = before.machines ?? [];
    const said = { address: "192.0.2.11", port: 2222, user: "root", hostKey: hostKeyOf("1") };
    assert.deepEqual(after, {
      ...before,
      machines: [{ ...one, ...said }, two, { ...three, hostKey: hostKeyOf("3") }],
      ssh: { inventory: ".hastack/inventory/three.yaml", identityFile: ".hastack/lab/id_ed25519" },
    });
    assert.equal(
      before.machines?.[0]?.address,
      "node-1.example.net",
      "nothing is changed in place",
    );
  });

  it("leaves what it does not say to the configuration", () => {
    const ssh = { inventory: "x.yaml", identityFile: "~/.ssh/mine" };
    const settings = settingsOf(ssh);
    for (const text of ["", "# nothing yet\n", "{}", "machines: {}"]) {
      assert.deepEqual(
        withInventory(settings, () => text),
        settings,
        text,
      );
    }
  });

  it("nothing can change what it gave, however deep it lies", () => {
    const text = `machines: { node-1: { address: 192.0.2.11 } }`;
    const [first] = withInventory(settingsOf(), () => text).machines ?? [];
    assert.throws(() => Object.assign(first ?? {}, { address: "x" }), TypeError);
  });

  describe("its file", () => {
    it("is the one that the setting names: absolute, at home, or in the project", () => {
      const path = (inventory: string) => inventoryPath(settingsOf({ inventory }));
      assert.equal(path("/etc/hastack.yaml"), "/etc/hastack.yaml");
      assert.equal(path("~/hastack.yaml"), join(homedir(), "hastack.yaml"));
      assert.equal(path(".hastack/x.yaml"), join(root, ".hastack/x.yaml"));
    });

    it("is read from the disk, and may be missing", () => {
      const folder = mkdtempSync(join(tmpdir(), "hastack-inventory-"));
      try {
        const settings = settingsOf({ inventory: join(folder, "lab.yaml") });
        assert.equal(withInventory(settings), settings);
        writeFileSync(join(folder, "lab.yaml"), "machines: { node-2: { port: 2022 } }\n");
        assert.equal(withInventory(settings).machines?.[1]?.port, 2022);
      } finally {
        rmSync(folder, { recursive: true });
      }
    });

    it("is not looked for where none is named, as on docker", () => {
      const read = () => assert.fail("it was looked for");
      for (const settings of [settingsWith(), settingsOf({})]) {
        assert.equal(withInventory(settings, read), settings);
      }
    });
  });

  describe("W5: refuses, by its file and the machine", () => {
    const refused: readonly [string, string, readonly string[]][] = [
      [
        "machines that the configuration has not",
        "machines: { node-1: {}, node-9: { port: 22 }, lb-1: {} }",
        [
          ".hastack/inventory/three.yaml: machines.node-9: is not in hastack:machines, remove it, or add it there",
          ".hastack/inventory/three.yaml: machines.lb-1: is not in hastack:machines, remove it, or add it there",
        ],
      ],
      [
        "values that are none",
        "machines: { node-1: { port: 70000, user: -x, address: '' } }",
        [
          '.hastack/inventory/three.yaml: machines.node-1.address: "" is not valid, it must be a host\'s name or address, such as 192.0.2.11',
          ".hastack/inventory/three.yaml: machines.node-1.port: 70000 is not valid, it must be a port, 1 to 65535",
          '.hastack/inventory/three.yaml: machines.node-1.user: "-x" is not valid, it must be a user\'s name, such as deploy',
        ],
      ],
      [
        "keys with a typing error",
        "identityfile: x\nmachines: { node-1: { hostkey: y } }",
        [
          ".hastack/inventory/three.yaml: machines.node-1.hostkey: is not a key of this file, did you mean hostKey?",
          ".hastack/inventory/three.yaml: identityfile: is not a key of this file, did you mean identityFile?",
        ],
      ],
      [
        "roles, which are the configuration's to give",
        "machines: { node-1: { roles: [cache] } }",
        [
          ".hastack/inventory/three.yaml: machines.node-1.roles: is not a key of this file, see infra/inventory.ts",
        ],
      ],
      [
        "a machine of which nothing is said",
        "machines:\n  node-1:\n",
        [
          ".hastack/inventory/three.yaml: machines.node-1: null is not valid, it must be a map of names and values",
        ],
      ],
      [
        "a list",
        "- node-1",
        [
          '.hastack/inventory/three.yaml: ["node-1"] is not valid, it must be a map of names and values',
        ],
      ],
    ];
    for (const [what, text, problems] of refused) {
      it(what, () => assert.deepEqual(problemsOf(text), problems));
    }

    it("what is no YAML, by its line", () => {
      const [problem = "", ...others] = problemsOf("machines: {\n  node-1: { port: 22\n");
      assert.match(
        problem,
        /^\.hastack\/inventory\/three\.yaml: .* at line 3, column 1, correct the YAML there$/,
      );
      assert.deepEqual(others, []);
    });

    it("a machine that is in it twice", () => {
      const [problem = ""] = problemsOf("machines:\n  node-1: {}\n  node-1: {}\n");
      assert.match(
        problem,
        /^\.hastack\/inventory\/three\.yaml: Map keys must be unique at line 3/,
      );
    });
  });

  describe("how machines are reached", () => {
    it("is all that is known of each, its key without a comment", () => {
      const machines = ["node-1", "node-2", "node-3"].map((name) => [
        name,
        { hostKey: `${hostKeyOf(name)} root@${name}\n` },
      ]);
      const text = JSON.stringify({ machines: Object.fromEntries(machines) });
      const settings = machineSettings({}, threeMachines(), text);
      assert.deepEqual(
        targets(settings),
        ["node-1", "node-2", "node-3"].map((name) => ({
          name,
          address: `${name}.example.net`,
          user: "deploy",
          hostKey: hostKeyOf(name),
        })),
      );
    });

    it("has the key file as it is named: the project's folder is not the same everywhere", () => {
      const ssh = { identityFile: ".hastack/lab/id_ed25519" };
      const inventory = { inventory: "x.yaml", ...ssh };
      const all = targets(machineSettings({ ssh: inventory }, threeMachines()));
      assert.deepEqual(
        all.map(({ identityFile }) => identityFile),
        [ssh.identityFile, ssh.identityFile, ssh.identityFile],
      );
    });

    it("cannot be told where something is not known", () => {
      assert.throws(() => targets(settingsOf()), /machine node-1: its address or host key/);
    });
  });
});

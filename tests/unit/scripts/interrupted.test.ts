/** A command that was cut off, in a state as the launcher mends it, through the real engine. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { inHastack } from "../../../lib/paths.ts";
import { interruptedVariable, withInterrupted } from "../../../scripts/launcher/recovery.ts";
import { SmallProject } from "../../toolchain/small-project.ts";

describe("launcher: a command that was interrupted (W6)", function () {
  this.timeout(180_000);
  let project: SmallProject;
  const did = () => readFileSync(join(project.folder, "did"), "utf8").trim().split("\n");
  const program = () => `import * as command from "@pulumi/command";
const dir = ${JSON.stringify(project.folder)};
for (const [name, environment] of [["member", { REQUEST: "as it is" }], ["bare", undefined]])
  new command.local.Command(name, {
    create: \`echo placed \${name} >> did\`, delete: \`echo removed \${name} >> did\`, dir, environment,
  }, { deleteBeforeReplace: true });`;
  const urns = async () => {
    const { resources = [] } = (await project.state()).deployment;
    return resources.filter(({ type }) => type.startsWith("command:")).map(({ urn }) => urn);
  };

  before(async () => {
    project = await SmallProject.create(inHastack("pulumi"));
    const { code, stdout, stderr } = await project.up(program());
    assert.equal(code, 0, stdout + stderr);
  });
  after(() => project?.remove());

  it("runs once more at the next up, and nothing is taken away, nor left of the mark", async () => {
    assert.deepEqual(did().toSorted(), ["placed bare", "placed member"]);
    const text = withInterrupted(JSON.stringify(await project.state()), await urns());
    const imported = await project.pulumi("stack", "import", "--file", project.write("s", text));
    assert.equal(imported.code, 0, imported.stderr);
    const shown = await project.preview(program());
    assert.match(shown.stdout, new RegExp(`- ${interruptedVariable}`));

    const { code, stdout, stderr } = await project.up(program());
    assert.equal(code, 0, stdout + stderr);
    assert.deepEqual(did().slice(2).toSorted(), ["placed bare", "placed member"]);
    assert.doesNotMatch(JSON.stringify(await project.state()), new RegExp(interruptedVariable));
    assert.match((await project.up(program())).stdout, /Resources:\n\s+3 unchanged/);
  });

  it("one that was not interrupted does not", async () => {
    const before = JSON.stringify(await project.state());
    assert.deepEqual(JSON.parse(withInterrupted(before, [])), JSON.parse(before));
  });
});

/** A state for new machines, through the real engine: what is placed again, and what stays as it was. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { inHastack, inRoot } from "../../../../lib/paths.ts";
import { mustRun } from "../../../../lib/run.ts";
import { forNewMachines, thingsOnMachines } from "../../../../operate/kit/new-machines.ts";
import { SmallProject } from "../../../toolchain/small-project.ts";

/** What is made here: passwords, authorities and certificates, as the stack itself makes them. */
const own = (path: string) => JSON.stringify(inRoot(path));
const program = (volume: string) => `import * as command from "@pulumi/command";
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { Authority } from ${own("infra/components/authority.ts")};
import { Credentials } from ${own("infra/components/credentials.ts")};
import { planWith } from ${own("tests/support/unit/fixtures.ts")};
const { topology, settings } = planWith();
const quorum = { ...topology, tiers: {}, members: { ...topology.members, loadBalancer: [], database: [], cache: [] } };
const passwords = new Credentials("credentials", { tiers: {}, secrets: {} });
const authority = new Authority("authority", { topology: quorum, usesCache: false, certificates: settings.certificates });
const given = authority.of("etcd-1", { leaves: ["etcd-peer"], authorities: [] });
const password = passwords.of("etcdRoot");
const on = (name, machine, stdin, dependsOn) => new command.local.Command(name, {
  create: "node platform/ssh/run.ts place REQUEST",
  delete: "node platform/ssh/run.ts remove REMOVAL",
  environment: { NAME: name, MACHINE: machine, REQUEST: "{}", REMOVAL: "{}" },
  stdin: pulumi.secret(stdin), addPreviousOutputInEnv: false,
}, { dependsOn, deleteBeforeReplace: true });
const base = on("base", "app-1", "", []);
const member = on("etcd-1", "app-1", pulumi.all([password, ...Object.values(given.secrets)]).apply(String), [base]);
on("keeper", "backup-1", password, [member]);
new docker.Volume("data", { name: ${JSON.stringify(volume)} }, { dependsOn: [member] });
export const key = password;
`;

describe("a state for new machines", function () {
  this.timeout(300_000);
  const volume = `hastack-unit-kit-${process.pid}`;
  let project: SmallProject;
  const removeVolume = () => mustRun(["docker", "volume", "rm", "--force", volume]);
  /** What was done on machines, since it was asked last. */
  const did = () => {
    const file = join(project.folder, "did");
    const lines = existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : [];
    rmSync(file, { force: true });
    return lines;
  };
  const up = async () => {
    const { code, stdout, stderr } = await project.up(program(volume));
    assert.equal(code, 0, stdout + stderr);
    return stdout;
  };
  const secrets = async () => {
    const { resources = [] } = (await project.state("--show-secrets")).deployment;
    return Object.fromEntries(
      resources
        .filter(({ type, inputs }) => /^random:/.test(type) || /make\.ts/.test(`${inputs?.create}`))
        .map(({ urn, outputs }) => [urn, outputs?.result ?? outputs?.stdout]),
    );
  };
  const put = async (state: string) => {
    const { code, stderr } = await project.pulumi(
      "stack",
      "import",
      "--file",
      project.write("s", state),
    );
    assert.equal(code, 0, stderr);
  };

  before(async () => {
    project = await SmallProject.create(inHastack("pulumi"));
    // As Pulumi runs the stack's commands in infra/
    symlinkSync(inRoot("infra/certificates"), join(project.folder, "certificates"));
    mkdirSync(join(project.folder, "platform/ssh"), { recursive: true });
    project.write(
      "platform/ssh/run.ts",
      `import { appendFileSync } from "node:fs";
      appendFileSync("did", process.argv[2] + " " + process.env.NAME + "\\n");`,
    );
    await up();
    assert.deepEqual(did(), ["place base", "place etcd-1", "place keeper"]);
  });
  after(async () => {
    project?.remove();
    await removeVolume();
  });

  it("O3: as it was, up takes all for placed: nothing comes to machines that are new", async () => {
    await up();
    assert.deepEqual(did(), []);
  });

  it("O3: places all anew, takes nothing away, and keeps every password, key and certificate", async () => {
    const before = await secrets();
    assert.ok(Object.keys(before).length > 15, `${Object.keys(before).length} secrets`);
    await removeVolume();
    const { state, dropped } = forNewMachines(JSON.stringify(await project.state()));
    assert.equal(dropped, 4, "three commands and a volume");
    assert.doesNotMatch(state, /pulumi:providers:docker/);
    assert.equal(thingsOnMachines(state), 0);
    await put(state);

    await up();
    assert.deepEqual(did(), ["place base", "place etcd-1", "place keeper"]);
    assert.deepEqual(await secrets(), before);
    await mustRun(["docker", "volume", "inspect", volume]);
    assert.match(await up(), /Resources:\n\s+\d+ unchanged/);
    assert.deepEqual(did(), []);
  });

  it("O3: leaves a machine that survived as it is", async () => {
    await put(forNewMachines(JSON.stringify(await project.state()), ["backup-1"]).state);
    await up();
    assert.deepEqual(did(), ["place base", "place etcd-1"]);
  });

  it("O3: what an up that was cut off left pending is no more", async () => {
    const exported = JSON.parse(JSON.stringify(await project.state()));
    exported.deployment.pending_operations = [{ resource: exported.deployment.resources.at(-1) }];
    const { deployment } = JSON.parse(forNewMachines(JSON.stringify(exported)).state);
    assert.equal(deployment.pending_operations, undefined);
  });
});

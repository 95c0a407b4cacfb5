import assert from "node:assert/strict";
import { Backup } from "../../../../infra/components/backup.ts";
import { wholeValue as wholeOf } from "../../../../lib/long-variable.ts";
import {
  assertNothingShown,
  assertOrder,
  platforms,
  recordAlone,
  type Surroundings,
} from "../../../support/unit/alone.ts";
import { threeMachines } from "../../../support/unit/machine-stack.ts";
import {
  type Description,
  describeStack,
  differences,
  recordStack,
  workloadOf,
} from "../../../support/unit/stack.ts";

const changes = { members: { backup: 1 } };
const s3 = { endpoint: "s3.example", bucket: "backups", keyId: "key" };
const outside = { ...changes, backup: { s3 }, backupS3Secret: "mock-password-of-s3" };

const fileOf = (stack: Description, path: string) => {
  const found = workloadOf(stack, "backup-1").files.find((one) => one.path === path);
  if (!found) throw new Error(`there is no ${path}`);
  return found;
};

describe("Backup", () => {
  it("O3: is one member with its data, files, a container and a gate", async () => {
    const recording = await recordStack({ changes });
    const children = recording.childrenOf("Backup", "backup");
    assert.deepEqual(
      children.filter((one) => !one.startsWith("RemoteImage ")),
      [
        "Command backup-1-files",
        "Command backup-1-gate",
        "Container backup-1",
        "RandomPassword backup-repository-key",
        "Volume backup-1-data",
        "Volume backup-1-files",
      ],
    );
    const { volumes } = recording.get("Container", "backup-1").inputs;
    assert.deepEqual(volumes, [
      { volumeName: "hastack-test-backup-1-files", containerPath: "/etc/hastack" },
      { volumeName: "hastack-test-backup-1-data", containerPath: "/var/lib/hastack-backup" },
      { volumeName: "hastack-test-uploads", containerPath: "/var/lib/hastack/uploads" },
    ]);
  });

  it("O3: is nothing but its key where no machine has the role, so that the key stays if one had it", async () => {
    const recording = await recordStack();
    assert.deepEqual(recording.childrenOf("Backup", "backup"), [
      "RandomPassword backup-repository-key",
    ]);
    assert.deepEqual(recording.ofType("RestoreDrill"), []);
    const { ignoreChanges } = recording.get("RandomPassword", "backup-repository-key");
    assert.deepEqual(ignoreChanges, ["*"]);
  });

  it("O3: keeps its data as the database does", async () => {
    const keeps = async (keepData: boolean) =>
      (await recordStack({ changes: { ...changes, keepData } })).get("Volume", "backup-1-data")
        .retainOnDelete;
    assert.deepEqual([await keeps(true), await keeps(false)], [true, false]);
  });

  it("O3: comes behind the load balancers, and nothing waits for it", async () => {
    const recording = await recordStack({ changes });
    const { asked } = recording.get("Command", "backup-1-files");
    assert.ok(asked > recording.get("Command", "lb-2-gate").done);
    const own = recording.childrenOf("Backup", "backup");
    const waiting = recording.all.filter(
      ({ label, dependencies }) =>
        !own.includes(label) && dependencies.some((one) => own.includes(one)),
    );
    assert.deepEqual(waiting, []);
  });

  it("O3: opens no port and has no way out, but where it keeps backups outside", async () => {
    const attachments = async (given: Readonly<Record<string, unknown>>) => {
      const { inputs } = (await recordStack({ changes: given })).get("Container", "backup-1");
      assert.deepEqual(inputs.ports, []);
      return (inputs.networksAdvanced as { name: string }[]).map(({ name }) => name);
    };
    assert.deepEqual(await attachments(changes), ["hastack-test-backend"]);
    assert.deepEqual(await attachments(outside), ["hastack-test-frontend", "hastack-test-backend"]);
  });

  it("O3, N4: runs what it receives as PostgreSQL's user, and lets nobody else read a secret", async () => {
    const stack = await describeStack(outside);
    const { processes, files } = workloadOf(stack, "backup-1");
    assert.deepEqual(
      processes.map(({ name, user = "root", command }) => [name, user, ...command]),
      [
        ["keeper", "root", "python3", "keeper/keeper.py"],
        ["receive", "postgres", "python3", "keeper/receive.py"],
      ],
    );
    const secret = files.filter(({ content }) => /@\{(?!folder)/.test(content));
    assert.deepEqual(
      secret.map(({ path, owner = "root", mode = "0644" }) => [path, owner, mode]),
      [
        ["tls/keeper.pem", "postgres", "0400"],
        ["tls/restored.pem", "postgres", "0400"],
        ["tls/database-ca.crt", "root", "0444"],
        ["pgbackrest.conf", "postgres", "0600"],
        ["repositories.json", "root", "0400"],
      ],
    );
  });

  it("O3: has every program of the folder, and starts both processes anew with another one", async () => {
    const { files } = workloadOf(await describeStack(changes), "backup-1");
    const programs = files.filter(({ path }) => path.startsWith("keeper/"));
    const names = programs.map(({ path }) => path);
    for (const one of ["common", "keeper", "receive"])
      assert.ok(names.includes(`keeper/${one}.py`));
    for (const { restarts } of programs) assert.deepEqual(restarts, ["keeper", "receive"]);
  });

  it("O3: is told the shared directories, and the queries for the files that rows name", async () => {
    const stack = await describeStack(changes);
    const { shared, filesOfRows, drill } = JSON.parse(fileOf(stack, "backup.json").content);
    assert.deepEqual(shared, { uploads: "/var/lib/hastack/uploads" });
    assert.deepEqual(filesOfRows, stack.application.backup.files);
    assert.deepEqual(drill, { everyDays: 7 });
  });

  it("N3: takes the passphrase that is given in place of its own, and goes back to that", async () => {
    const key = "a-key-of-the-recovery-kit";
    const input = async (given: Readonly<Record<string, unknown>>) => {
      const recording = await recordStack({ changes: { ...changes, ...given } });
      assert.ok(recording.get("RandomPassword", "backup-repository-key"));
      return String(recording.get("Command", "backup-1-files").inputs.stdin);
    };
    const hex = (text: string) => Buffer.from(text).toString("hex");
    assert.ok((await input({ backupRepositoryKey: key })).includes(hex(key)));
    assert.ok(!(await input({})).includes(hex(key)));
  });
});

describe("RestoreDrill", () => {
  it("O3: shows its schedule, and a change of it reaches the machine", async () => {
    const recording = await recordStack({ changes });
    const { inputs, outputs } = recording.get("RestoreDrill", "restore-drill");
    assert.deepEqual([inputs, outputs], [{ everyDays: 7, member: "backup-1" }, { everyDays: 7 }]);
    const after = await recordStack({ changes: { ...changes, backup: { drillEveryDays: 3 } } });
    assert.deepEqual(differences(recording, after), [
      "Command backup-1-files",
      "Command backup-1-gate",
      "RestoreDrill restore-drill",
    ]);
  });

  it("O3: is away where there is to be none", async () => {
    const none = { ...changes, backup: { drillEveryDays: 0 } };
    assert.deepEqual((await recordStack({ changes: none })).ofType("RestoreDrill"), []);
    const { content } = fileOf(await describeStack(none), "backup.json");
    assert.deepEqual(JSON.parse(content).drill, { everyDays: 0 });
  });
});

describe("Backup on its own", () => {
  const build = (given: Surroundings) =>
    new Backup("backup", { ...given, filesOfRows: given.application.backup.files }, given.options);
  const machines = threeMachines.map((one) =>
    one.roles.includes("arbiter") ? { ...one, roles: [...one.roles, "backup"] } : one,
  );
  const given = { docker: changes, ssh: { machines } };

  it("O3: gives out its repositories and how far back they reach", async () => {
    for (const where of platforms) {
      const recording = await recordAlone(where, build, { changes: given[where] });
      assert.deepEqual(recording.get("Backup", "backup").outputs, {
        repositories: ["local"],
        retentionDays: 14,
      });
    }
  });

  it("W1: is one command on machines, behind the mount of what they share", async () => {
    const ssh = await recordAlone("ssh", build, { changes: given.ssh });
    assert.deepEqual(ssh.childrenOf("Backup", "backup"), [
      "Command backup-1",
      "RandomPassword backup-repository-key",
    ]);
    assertOrder(ssh, "Command node-3-uploads", "Command backup-1");
    const docker = await recordAlone("docker", build, { changes });
    assertOrder(docker, "Command backup-1-files", "Container backup-1", "Command backup-1-gate");
  });

  it("W4: leaves its data on a machine where that is kept", async () => {
    const removed = async (keepData: boolean) => {
      const plan = { machines, keepData };
      const ssh = await recordAlone("ssh", build, { changes: plan });
      const { REMOVAL = "" } = ssh.get("Command", "backup-1").inputs.environment as Record<
        string,
        string
      >;
      return JSON.parse(REMOVAL).data.map(({ own }: { own: string }) => own);
    };
    assert.deepEqual(await removed(true), []);
    assert.deepEqual(await removed(false), ["/var/lib/hastack-backup"]);
  });

  it("W1: waits on machines for shared directories with what copies them, not with what receives", async () => {
    const ssh = await recordAlone("ssh", build, { changes: given.ssh });
    const { environment } = ssh.get("Command", "backup-1").inputs;
    const request = wholeOf(environment as Record<string, string>, "REQUEST") ?? "";
    const unit = (name: string): string =>
      JSON.parse(request).files[`units/hastack-${name}.service`].content;
    assert.match(unit("keeper"), /mountpoint -q \/var\/lib\/hastack\/uploads/);
    assert.doesNotMatch(unit("receive"), /uploads|ReadWritePaths=-\/var\/lib\/hastack$/m);
    for (const name of ["keeper", "receive"]) {
      assert.match(unit(name), /^ReadWritePaths=-\/var\/lib\/hastack-backup$/m);
    }
    assert.match(unit("receive"), /^User=postgres$/m);
  });

  it("N3: shows no secret", async () => {
    for (const where of platforms) {
      const secrets = { backup: { s3 }, backupS3Secret: "mock-password-of-s3" };
      const all = { ...given[where], ...secrets };
      assertNothingShown(await recordAlone(where, build, { changes: all }));
    }
  });
});

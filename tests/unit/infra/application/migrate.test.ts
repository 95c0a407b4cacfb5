import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { RequestListener } from "node:http";
import { createServer, type Server } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  migrationVariables,
  renderEnvironment,
} from "../../../../infra/application/environment.ts";
import { migrationScript } from "../../../../infra/application/migrate.ts";
import { currentReleaseDirectory } from "../../../../infra/platform/platform.ts";
import { ports } from "../../../../infra/roles.ts";
import { planWith } from "../../../support/unit/fixtures.ts";
import { Issuer } from "../../../support/unit/issuer.ts";

/** Addresses of this machine that stand for the database members'. */
const [one, two] = ["127.77.0.31", "127.77.0.32"] as const;

describe("the migrations' script", function () {
  this.timeout(20_000);
  const plan = planWith();
  const { members } = plan.topology;
  const topology = {
    ...plan.topology,
    members: {
      ...members,
      database: members.database.map((member, index) => ({
        ...member,
        backend: index === 0 ? one : two,
      })),
    },
  };
  const issuer = new Issuer(topology);
  let folder: string;
  let servers: Server[];

  beforeEach(() => {
    servers = [];
    folder = mkdtempSync(join(tmpdir(), "hastack-migrate-"));
    mkdirSync(join(folder, "release"));
    mkdirSync(join(folder, "bin"));
    mkdirSync(join(folder, "tls"));
  });
  afterEach(() => {
    for (const server of servers) {
      server.closeAllConnections();
      server.close();
    }
    rmSync(folder, { recursive: true, force: true });
  });

  /** A member's Patroni. */
  async function patroni(address: string, answer: RequestListener): Promise<void> {
    const member = topology.members.database.find(({ backend }) => backend === address);
    const pem = await issuer.leaf(member?.name ?? "", "patroni-api");
    const server = createServer({ cert: pem, key: pem }, answer);
    servers.push(server);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(ports.patroni, address, resolve);
    });
  }
  /** 200 at /primary from the given question on, as Patroni's primary. */
  const primaryFrom = (question: number): RequestListener => {
    let asked = 0;
    return (request, response) => {
      asked += 1;
      const says = request.url === "/primary" && asked >= question ? 200 : 503;
      response.writeHead(says).end();
    };
  };
  const standby: RequestListener = (_, response) => response.writeHead(503).end();

  /** A program that the script finds before the machine's own. */
  const stand = (name: string, text: string) => {
    writeFileSync(join(folder, "bin", name), `#!/bin/sh\ncd '${folder}'\n${text}\n`);
    chmodSync(join(folder, "bin", name), 0o755);
  };

  /** Runs the script as a task is run; the command notes what it is given. */
  async function run(command = ["sh", "-c", "pwd > ../where; env -0 > ../given"]) {
    const variables = migrationVariables({ ...plan, release: "0123456789ab" });
    const environment = renderEnvironment(variables)
      .replaceAll("@{folder}", folder)
      .replaceAll(/@\{\w+\}/g, "s3cret");
    writeFileSync(join(folder, "environment"), environment);
    const { certificate } = await issuer.authority("patroni-api");
    writeFileSync(join(folder, "tls/patroni-api-ca.crt"), certificate);
    const script = migrationScript(topology, command).replaceAll(
      currentReleaseDirectory,
      join(folder, "release"),
    );
    const child = spawn("sh", ["-euc", script], {
      cwd: folder,
      env: { PATH: `${join(folder, "bin")}:${process.env.PATH}` },
    });
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (data) => {
      stdout += data;
    });
    child.stderr.on("data", (data) => {
      stderr += data;
    });
    const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
    return { code, stdout, stderr };
  }

  const given = () => {
    const lines = readFileSync(join(folder, "given"), "utf8").split("\0").filter(Boolean);
    return Object.fromEntries(lines.map((line) => line.split(/=(.*)/s).slice(0, 2)));
  };

  for (const [index, address] of [one, two].entries()) {
    it(`A12: finds the primary where that is member ${index + 1}, and runs the command with it`, async () => {
      await patroni(one, address === one ? primaryFrom(1) : standby);
      await patroni(two, address === two ? primaryFrom(1) : standby);
      const { code, stdout, stderr } = await run();
      assert.deepEqual([code, stderr], [0, ""]);
      assert.equal(stdout, `the primary is ${address}\n`);
      assert.equal(readFileSync(join(folder, "where"), "utf8"), `${join(folder, "release")}\n`);
      const { DATABASE_URL, PGHOST, PGUSER, PGPASSWORD, ADMIN_PASSWORD_FILE, HASTACK_RELEASE } =
        given();
      assert.deepEqual(
        [DATABASE_URL, PGHOST, PGUSER, PGPASSWORD],
        [
          `postgresql://migrator:s3cret@${address}:5432/hastack?sslmode=verify-full&sslrootcert=${folder}/tls/database-ca.crt`,
          address,
          "migrator",
          "s3cret",
        ],
      );
      assert.equal(ADMIN_PASSWORD_FILE, `${folder}/secrets/adminPassword`);
      assert.equal(HASTACK_RELEASE, "0123456789ab");
    });
  }

  it("A12: finds it where the first member does not answer, and where it answers nothing", async () => {
    await patroni(two, primaryFrom(1));
    assert.equal((await run()).stdout, `the primary is ${two}\n`);
    await patroni(one, () => {});
    assert.equal((await run()).stdout, `the primary is ${two}\n`);
  });

  it("A12: waits for a failover to end", async () => {
    stand("sleep", "echo waited >> waits");
    await patroni(one, standby);
    await patroni(two, primaryFrom(3));
    const { code, stdout } = await run();
    assert.deepEqual([code, stdout], [0, `the primary is ${two}\n`]);
    assert.equal(readFileSync(join(folder, "waits"), "utf8"), "waited\nwaited\n");
  });

  it("W5: gives up after a minute, says what to do, and runs nothing", async () => {
    writeFileSync(join(folder, "clock"), "1000");
    stand("date", "cat clock");
    stand("sleep", "echo $(($(cat clock) + $1)) > clock.new; mv clock.new clock");
    await patroni(one, standby);
    await patroni(two, standby);
    const { code, stdout, stderr } = await run();
    assert.deepEqual([code, stdout], [1, ""]);
    assert.equal(
      stderr,
      "no database member was the primary within 60 s; patronictl list shows why; then run up again\n",
    );
    assert.equal(readFileSync(join(folder, "clock"), "utf8"), "1060\n");
    assert.throws(() => given());
  });

  it("W6: fails as the application's command fails", async () => {
    await patroni(one, primaryFrom(1));
    const { code, stderr } = await run(["sh", "-c", "echo 'no such table' >&2; exit 7"]);
    assert.deepEqual([code, stderr], [7, "no such table\n"]);
  });
});

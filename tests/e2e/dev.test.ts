/** The whole stack on Docker, from nothing to nothing. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { renameSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { lastWords, mustRun, type Outcome } from "../../lib/run.ts";
import { until } from "../../lib/until.ts";
import { ContainerPlace } from "../support/container-place.ts";
import { travelAgency } from "../support/place.ts";
import { limits } from "../support/promises.ts";
import { TestStack } from "../support/test-stack.ts";
import { absentPreviewSuite } from "./suites/absent.ts";
import { attacksSuite } from "./suites/attacks.ts";
import { cacheSuite } from "./suites/cache.ts";
import { changesSuite } from "./suites/changes.ts";
import { devAppSuite } from "./suites/dev-app.ts";
import { engineSuite, failoverSuite, faultsSuite } from "./suites/faults.ts";
import { networksSuite } from "./suites/networks.ts";
import { shippedBackupsSuite } from "./suites/shipped-backups.ts";
import { siteSuite } from "./suites/site.ts";
import { statusSuite } from "./suites/status.ts";
import { travelSuite } from "./suites/travel.ts";

const place = new ContainerPlace("e2e", travelAgency, true);
const stack = new TestStack("e2e", place);
const seconds = (start: number) => ((Date.now() - start) / 1000).toFixed(1);

describe("dev, end to end", function () {
  this.timeout("20m");

  before("clone the project", () => stack.create("clone"));
  after("leave nothing, whatever failed", () => stack.destroy());

  describe("bad input", () => {
    afterEach(() => stack.configure({}));

    it("W5: an unsafe topology is refused at preview, with all its problems", async () => {
      stack.configure({ "hastack:members": { quorum: 2, loadBalancer: 1 } });
      const { code, stdout } = await stack.pulumi(["preview"], 60);
      assert.notEqual(code, 0);
      assert.match(stdout, /hastack:members.quorum: 2 has no majority when one is lost, use 3/);
      assert.match(stdout, /hastack:members.loadBalancer: 1 leaves no second load balancer/);
      assert.doesNotMatch(stdout, /at .*\.ts:\d+/, "no stack trace");
    });

    it("W5: a wrong setting is refused with its name", async () => {
      stack.configure({ "hastack:keepdata": true });
      const { code, stdout } = await stack.pulumi(["preview"], 60);
      assert.notEqual(code, 0);
      assert.match(stdout, /hastack:keepdata: is not a setting, did you mean keepData\?/);
    });

    it("W5: a port in use is named before anything is made", async () => {
      const server = createServer().listen(18080, "127.0.0.1");
      await once(server, "listening");
      try {
        const { code, stdout } = await stack.up();
        assert.notEqual(code, 0);
        assert.match(stdout, /18080 is in use by another program on 127.0.0.1/);
      } finally {
        server.close();
      }
    });

    it("W5: a subnet that another network has is named before anything is made", async () => {
      const network = ["e2e-test-overlap", "--label=hastack.test=e2e", "--subnet=172.29.10.0/26"];
      await mustRun(["docker", "network", "create", ...network]);
      try {
        const { code, stdout } = await stack.up();
        assert.notEqual(code, 0);
        assert.match(stdout, /172.29.10.0\/24 overlaps 172.29.10.0\/26 of the Docker network e2e-/);
      } finally {
        await mustRun(["docker", "network", "rm", "e2e-test-overlap"]);
      }
    });

    it("an engine that cannot be reached is named, with what to do", async () => {
      const { code, stdout } = await stack.pulumi(["preview"], 60, {
        DOCKER_HOST: "unix:///nowhere/docker.sock",
      });
      assert.notEqual(code, 0);
      assert.match(stdout, /docker does not answer .*npm run setup/s);
    });

    it("a wrong passphrase is refused", async () => {
      const { code, stdout, stderr } = await stack.pulumi(["preview"], 60, {
        PULUMI_CONFIG_PASSPHRASE: "wrong",
      });
      assert.notEqual(code, 0);
      assert.match(stdout + stderr, /incorrect passphrase/);
    });
  });

  describe("up", () => {
    let started: Outcome = { code: -1, stdout: "", stderr: "" };

    // What the launcher made there so far
    before("as nobody has used the clone yet", () => {
      for (const made of ["state", "stacks", "passphrase"]) {
        rmSync(`${stack.folder}.hastack/${made}`, { recursive: true, force: true });
      }
    });

    it("W2, W6: npm start in a fresh clone, killed half-way, can simply be run again", async () => {
      const child = spawn("npm", ["start", "--", "--stack", stack.name], {
        cwd: stack.folder,
        env: stack.env,
        detached: true,
        stdio: "ignore",
      });
      await until("the first database member is being made", {
        probe: () => mustRun(["docker", "ps", "-a", "--format", "{{.Names}}"]),
        done: (names) => names.includes(place.container("db-1")),
        limitSeconds: 600,
      });
      // The whole process group: npm, launcher, CLI, language host and plugins
      process.kill(-(child.pid ?? 0), "SIGKILL");
      const start = Date.now();
      started = await stack.npm(["start", "--", "--stack", stack.name], limits.up);
      assert.equal(started.code, 0, lastWords(started, 60));
      console.log(`      up again, to the end: ${seconds(start)} s`);
    });

    it("W2: it ends with the addresses, and each of them answers", async () => {
      const { stdout } = started;
      const table = stdout.slice(stdout.indexOf(`The stack ${stack.name} is up:`));
      const addresses = [...table.matchAll(/https?:\/\/\S+/g)].map(([address]) => address);
      const [vip, ...published] = [stack.url, ...stack.localUrls];
      const stats = place.statsHosts.map((host) => `http://${host}/`);
      assert.deepEqual(addresses.sort(), [vip, ...published, `${vip}admin`, ...stats].sort());
      for (const address of addresses) {
        const { status } = await stack.request(address, { headers: { Accept: "text/html" } });
        const expected = stats.includes(address) ? [401] : [200, 302, 303];
        assert.ok(expected.includes(status), `${address} answers ${status}`);
      }
      assert.match(table, /npx pulumi stack output adminPassword --show-secrets --stack e2e\n/);
      assert.match(table, /`npm run destroy -- --stack e2e` removes the stack/);
    });

    it("W3: a second up changes nothing", async () => {
      const start = Date.now();
      assert.match(await stack.mustUp(), /Resources:\n\s+\d+ unchanged/);
      console.log(`      up without a change: ${seconds(start)} s`);
    });

    it("W5: a checkout whose state knows nothing of the running stack may not take it over", async () => {
      const own = `${stack.folder}.hastack`;
      const parts = ["state", "stacks"];
      for (const part of parts) renameSync(`${own}/${part}`, `${own}/${part}.aside`);
      try {
        const { code, stdout, stderr } = await stack.up();
        assert.notEqual(code, 0);
        assert.match(
          stdout + stderr,
          /another checkout made it, or the state \(.hastack\) was lost/,
        );
      } finally {
        for (const part of parts) {
          rmSync(`${own}/${part}`, { recursive: true, force: true });
          renameSync(`${own}/${part}.aside`, `${own}/${part}`);
        }
      }
      assert.match(await stack.mustUp(), /Resources:\n\s+\d+ unchanged/);
    });
  });

  siteSuite(stack);
  statusSuite(stack);
  networksSuite(stack);
  attacksSuite(stack);
  cacheSuite(stack);
  travelSuite(stack);
  devAppSuite(stack);
  shippedBackupsSuite(stack);
  absentPreviewSuite(stack);
  changesSuite(stack);
  failoverSuite(stack);
  faultsSuite(stack);
  engineSuite(stack);

  describe("destroy", () => {
    it("W4: npm run destroy leaves no container, network, volume or image of the stack", async () => {
      const start = Date.now();
      const args = ["run", "destroy", "--", "--stack", stack.name];
      const outcome = await stack.npm(args, limits.destroy);
      assert.equal(outcome.code, 0, lastWords(outcome, 60));
      console.log(`      destroy: ${seconds(start)} s`);
      assert.deepEqual(await place.leftovers(), []);
    });
  });
});

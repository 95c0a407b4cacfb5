/** The networks that Docker gives a stack, tried from outside. */
import assert from "node:assert/strict";
import { mustRun, run } from "../../../lib/run.ts";
import { until } from "../../../lib/until.ts";
import type { TestStack } from "../../support/test-stack.ts";

export function networksSuite(stack: TestStack): void {
  describe("the networks", () => {
    it("N1: from another bridge nothing in the backend answers, though a neighbour there does", async () => {
      const [stranger, neighbour] = ["e2e-test-stranger", "e2e-test-neighbour"];
      try {
        await startServer(stack, stranger);
        const address = await startServer(stack, neighbour);
        const connect = async (target: string) => {
          const curl = ["curl", "-s", "-m", "2", "-o", "/dev/null", `http://${target}/`];
          return (await run(["docker", "exec", stranger, ...curl], { limitSeconds: 30 })).code;
        };
        await until("the neighbour answers", {
          probe: () => connect(`${address}:3000`),
          done: (code) => code === 0,
          limitSeconds: 10,
        });
        const targets = [...(await listenersOf(stack)), "172.29.11.100:5000"];
        console.log(`      tried ${targets.length} ports of members`);
        for (const known of [":3000", ":3001", ":5432", ":8008", ":6379", ":2379", ":5000"]) {
          assert.ok(
            targets.some((target) => target.endsWith(known)),
            `${known} is tried`,
          );
        }
        const codes = await Promise.all(targets.map(connect));
        for (const [index, code] of codes.entries()) {
          assert.ok(code === 7 || code === 28, `${targets[index]}: curl ended with ${code}`);
        }
      } finally {
        await run(["docker", "rm", "--force", stranger, neighbour]);
      }
    });

    it("N1, L10: from the frontend network nothing answers at a load balancer's backend addresses, for one who sends packets there", async () => {
      const visitor = "e2e-test-visitor";
      const { place } = stack;
      const ofImage = ["docker", "inspect", "--format", "{{.Image}}", place.container("lb-1")];
      const image = (await mustRun(ofImage)).trim();
      const network = `--network=hastack-${stack.name}-frontend`;
      const options = ["--detach", "--init", "--label=hastack.test=e2e", "--cap-add=NET_ADMIN"];
      await run(["docker", "rm", "--force", visitor]);
      try {
        await mustRun([
          ...["docker", "run", ...options, `--name=${visitor}`, network],
          ...[image, "sleep", "infinity"],
        ]);
        const inside = (script: string) => run(["docker", "exec", visitor, "sh", "-c", script]);
        const backend = ["lb-1", "lb-2"].map((name) => place.address(name));
        const frontend = backend.map((address) => address.replace(".11.", ".10."));
        const routes = [...backend, "172.29.11.100"].map(
          (address, index) => `ip route replace ${address} via ${frontend[index % 2]}`,
        );
        assert.equal((await inside(routes.join(" && "))).code, 0);
        assert.equal((await inside(`curl -s -m 2 http://${frontend[0]}/ > /dev/null`)).code, 0);
        for (const address of [...backend, "172.29.11.100"]) {
          for (const port of [5000, 5001, 80, 8404]) {
            const { code } = await inside(`curl -s -m 2 http://${address}:${port}/`);
            assert.ok(code === 7 || code === 28, `${address}:${port}: curl ended with ${code}`);
          }
        }
      } finally {
        await run(["docker", "rm", "--force", visitor]);
      }
    });
  });
}

const members = ["lb-1", "etcd-1", "db-1", "storefront-1", "admin-1", "cache-1"];
const listening = "0A";

/** All that listens in the backend on members, one of each kind; images need no tool for that. */
async function listenersOf(stack: TestStack): Promise<string[]> {
  const found = members.map(async (member) => {
    const read = ["docker", "exec", stack.place.container(member), "cat", "/proc/net/tcp"];
    const lines = (await mustRun(read)).split("\n").map((line) => line.trim().split(/\s+/));
    return lines
      .filter(([, , , state]) => state === listening)
      .map(([, place = ""]) => placeOf(place))
      .filter(({ address }) => ["0.0.0.0", stack.place.address(member)].includes(address))
      .map(({ port }) => `${stack.place.address(member)}:${port}`);
  });
  return [...new Set((await Promise.all(found)).flat())];
}

/** From `0B0A1DAC:0BB8`: the address's bytes are in the machine's order, the port's are not. */
function placeOf(text: string): { address: string; port: number } {
  const [address = "", port = ""] = text.split(":");
  const bytes = Buffer.from(address, "hex").reverse();
  return { address: [...bytes].join("."), port: Number.parseInt(port, 16) };
}

/**
 * Starts a container on Docker's own bridge that serves HTTP on port 3000. It is of the
 * application's image, which has both a server and a client.
 * @returns its address there
 */
async function startServer(stack: TestStack, name: string): Promise<string> {
  const look = ["docker", "inspect", "--format"];
  const image = await mustRun([...look, "{{.Image}}", stack.place.container("storefront-1")]);
  const serve = 'require("node:http").createServer((_, answer) => answer.end()).listen(3000)';
  const program = ["/opt/hastack/current/node_modules/.bin/node", "--eval", serve];
  await run(["docker", "rm", "--force", name]);
  const options = ["--detach", `--name=${name}`, "--label=hastack.test=e2e", "--network=bridge"];
  await mustRun(["docker", "run", ...options, image.trim(), ...program]);
  const address = await mustRun([...look, "{{.NetworkSettings.Networks.bridge.IPAddress}}", name]);
  return address.trim();
}

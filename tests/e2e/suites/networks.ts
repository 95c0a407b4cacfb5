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
        const members = [
          ["storefront-1", 3000],
          ["admin-1", 3001],
          ["db-1", 5432],
          ["db-1", 8008],
          ["cache-1", 6379],
          ["etcd-1", 2379],
        ] as const;
        const targets = members.map(([member, port]) => `${stack.place.address(member)}:${port}`);
        for (const target of [...targets, "172.29.11.100:5000"]) {
          const code = await connect(target);
          assert.ok(code === 7 || code === 28, `${target}: curl ended with ${code}`);
        }
      } finally {
        await run(["docker", "rm", "--force", stranger, neighbour]);
      }
    });
  });
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

import assert from "node:assert/strict";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { asAdmin } from "./support/admin.ts";
import { migrateDatabase, serverConfig, serverEnvironment } from "./support/app.ts";
import { docker, postgresImage, removeContainers, startContainer } from "./support/docker.ts";
import { sharedPostgres } from "./support/hooks.ts";
import { form, png } from "./support/images.ts";
import { offerRow } from "./support/offers.ts";
import { createDatabase, type Postgres } from "./support/postgres.ts";
import { until } from "./support/until.ts";
import { visitor } from "./support/visitor.ts";

const root = join(import.meta.dirname, "../..");

// A store of its own size and rights needs a mount: the server runs in a container here.
describe("storage", function () {
  this.timeout(60_000);
  let postgres: Postgres;
  let name: string;
  let directory: string;
  const environments: Record<"admin" | "storefront", Record<string, string>> = {
    admin: {},
    storefront: {},
  };

  before(async () => {
    postgres = await sharedPostgres();
    name = await createDatabase(postgres);
    await migrateDatabase(name, postgres);
    directory = await mkdtemp(join(tmpdir(), "app-test-storage-"));
    await chmod(directory, 0o755);
    const inside = { host: postgres.address, port: 5432 };
    const listen = { host: "0.0.0.0", port: 3000 };
    for (const tier of ["admin", "storefront"] as const) {
      const config = serverConfig(tier, { name, writer: inside }, "/uploads");
      environments[tier] = await serverEnvironment({ ...config, listen }, directory);
    }
  });
  after(async () => {
    await rm(directory, { recursive: true });
  });

  const start = async (store: string, mount: string[], tier: "admin" | "storefront" = "admin") => {
    const container = await startContainer(`storage-${store}`, [
      ...["--init", "--user", "65534:65534", "--publish", "127.0.0.1::3000", ...mount],
      ...["--volume", `${root}:${root}:ro`, "--volume", `${process.execPath}:/node:ro`],
      ...["--volume", `${directory}:${directory}:ro`, "--entrypoint", "/node"],
      ...Object.entries(environments[tier]).flatMap(([key, value]) => ["--env", `${key}=${value}`]),
      ...[await postgresImage(), join(root, "app/src/run/server.ts")],
    ]);
    const port = (await docker("port", container, "3000/tcp")).split(":").at(-1);
    const url = `http://127.0.0.1:${port}`;
    await until(
      "it serves",
      async () => (await fetch(`${url}/api/health`)).status === 200,
      Boolean,
      20,
    );
    const send = (content: Buffer) =>
      fetch(`${url}/api/content`, {
        ...{ method: "POST", headers: asAdmin },
        body: form({ quote: "store" }, { content }),
      });
    const left = () =>
      docker("exec", container, "find", "/uploads", "-type", "f", "-printf", "%P\\n");
    return { url, send, left, remove: () => removeContainers([container]) };
  };
  const rows = () => postgres.sql("SELECT 1 FROM content", name);
  const storageState = async (url: string) => {
    const body = (await (await fetch(`${url}/api/health`)).json()) as {
      storage: { state: string };
    };
    return body.storage.state;
  };

  it("S4: a full store answers 507, and neither row nor file is left", async () => {
    const server = await start("full", ["--tmpfs", "/uploads:size=1m,mode=0777"]);
    const answer = await server.send(png(2 * 1024 * 1024));
    assert.equal(answer.status, 507, await answer.clone().text());
    assert.equal(((await answer.json()) as { error: string }).error, "storage-full");
    assert.equal(await server.left(), "");
    assert.deepEqual(await rows(), []);
    assert.equal(await storageState(server.url), "full");
    assert.equal((await server.send(png(1000))).status, 201);
    await postgres.sql("DELETE FROM content", name);
    await server.remove();
  });

  it("S4: a read-only store answers 503 with Retry-After, and neither row nor file is left", async () => {
    const server = await start("readonly", ["--tmpfs", "/uploads:size=9m,mode=0777,ro"]);
    const answer = await server.send(png());
    assert.equal(answer.status, 503, await answer.clone().text());
    assert.equal(((await answer.json()) as { error: string }).error, "storage-unavailable");
    assert.ok(answer.headers.get("retry-after"));
    assert.deepEqual([await server.left(), await rows()], ["", []]);
    assert.equal(await storageState(server.url), "read-only");
    await server.remove();
  });

  it("S4: a store without the right to write answers 503 likewise", async () => {
    const server = await start("denied", ["--tmpfs", "/uploads:size=9m,mode=0755"]);
    assert.equal((await server.send(png())).status, 503);
    assert.deepEqual([await server.left(), await rows()], ["", []]);
    assert.equal(await storageState(server.url), "read-only");
    await server.remove();
  });

  describe("of trips' pictures", () => {
    const startTrip = async (store: string, mount: string[]) => {
      const server = await start(`trips-${store}`, mount, "storefront");
      const { client } = await visitor(postgres, name, server.url);
      const offerId = await offerRow(postgres, name);
      const booked = await client.json("POST", "/api/bookings", { offerId, quantity: 1 });
      const { id } = (await booked.json()) as { id: number };
      const send = (content?: Buffer) =>
        client.send(`/api/bookings/${id}/items`, {
          method: "POST",
          body: form({ text: "store" }, content && { content }),
        });
      return { ...server, send };
    };
    const items = () => postgres.sql("SELECT 1 FROM trip_item", name);

    it("A8: a full store answers 507, and neither row nor file is left", async () => {
      const server = await startTrip("full", ["--tmpfs", "/uploads:size=1m,mode=0777"]);
      const answer = await server.send(png(2 * 1024 * 1024));
      assert.equal(answer.status, 507, await answer.clone().text());
      assert.deepEqual([await server.left(), await items()], ["", []]);
      assert.equal((await server.send(png(1000))).status, 201);
      assert.match(await server.left(), /^trips\/[0-9a-f]{32}\.png$/);
      await postgres.sql("DELETE FROM trip_item", name);
      await server.remove();
    });

    it("A8: a read-only store answers 503 with Retry-After, and neither is left", async () => {
      const server = await startTrip("readonly", ["--tmpfs", "/uploads:size=9m,mode=0777,ro"]);
      const answer = await server.send(png());
      assert.equal(answer.status, 503, await answer.clone().text());
      assert.ok(answer.headers.get("retry-after"));
      assert.deepEqual([await server.left(), await items()], ["", []]);
      await server.remove();
    });

    it("A8: what is to be done without a picture needs no store", async () => {
      const server = await startTrip("denied", ["--tmpfs", "/uploads:size=9m,mode=0755"]);
      assert.equal((await server.send(png())).status, 503);
      assert.equal((await server.send()).status, 201);
      await postgres.sql("DELETE FROM trip_item", name);
      await server.remove();
    });
  });
});

import assert from "node:assert/strict";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Database } from "../src/data/database.ts";
import { uploadUse } from "../src/data/upload-room.ts";
import { asAdmin } from "./support/admin.ts";
import { migrateDatabase, serverConfig, serverEnvironment } from "./support/app.ts";
import { docker, removeContainers, startContainer, storageImage } from "./support/docker.ts";
import { sharedPostgres } from "./support/hooks.ts";
import { form, png } from "./support/images.ts";
import { createDatabase, type Postgres } from "./support/postgres.ts";
import { until } from "./support/until.ts";
import { register } from "./support/visitor.ts";

const root = join(import.meta.dirname, "../..");

/** GlusterFS' own client with the bricks' part of it in one process: stopped, its files hang. */
const volume = "volume files\n type storage/posix\n option directory /data\nend-volume\n";
const mount = `
mkdir /data /uploads
chmod 777 /data
printf '${volume.replaceAll("\n", "\\n")}' > /volume
glusterfs -f /volume -N -l /dev/stdout --entry-timeout=0 --attribute-timeout=0 /uploads &
until mountpoint -q /uploads; do sleep 0.1; done
exec setpriv --reuid 65534 --regid 65534 --clear-groups /node --import "$HURRY" "$SERVER"`;

// A store that hangs as the real one does: what asks it for anything waits in the kernel.
describe("a store that hangs", function () {
  this.timeout(120_000);
  let postgres: Postgres;
  let name: string;
  let directory: string;
  let container: string;
  let url: string;
  let database: Database;

  before(async () => {
    postgres = await sharedPostgres();
    name = await createDatabase(postgres);
    await migrateDatabase(name, postgres);
    database = new Database(serverConfig("admin", { name, writer: postgres }, "/"), () => {});
    directory = await mkdtemp(join(tmpdir(), "app-test-hung-"));
    await chmod(directory, 0o755);
  });
  after(async () => {
    await database?.close();
    await rm(directory, { recursive: true });
  });

  const start = async (tier: "admin" | "storefront") => {
    const config = serverConfig(
      tier,
      { name, writer: { host: postgres.address, port: 5432 } },
      "/uploads",
    );
    const listen = { host: "0.0.0.0", port: 3000 };
    const environment: Record<string, string> = {
      ...(await serverEnvironment({ ...config, listen, stopGraceSeconds: 5 }, directory)),
      HURRY: join(root, "app/test/support/hurry-store.ts"),
      SERVER: join(root, "app/src/run/server.ts"),
    };
    container = await startContainer(`hung-${tier}`, [
      ...["--cap-add", "SYS_ADMIN", "--device", "/dev/fuse", "--init"],
      ...["--security-opt", "apparmor=unconfined", "--publish", "127.0.0.1::3000"],
      ...["--volume", `${root}:${root}:ro`, "--volume", `${process.execPath}:/node:ro`],
      ...["--volume", `${directory}:${directory}:ro`, "--entrypoint", "bash"],
      ...Object.entries(environment).flatMap(([key, value]) => ["--env", `${key}=${value}`]),
      ...[await storageImage()],
      ...["-c", mount],
    ]);
    const port = (await docker("port", container, "3000/tcp")).split(":").at(-1);
    url = `http://127.0.0.1:${port}`;
    const serves = async () => (await fetch(`${url}/api/health`)).status === 200;
    await until("it serves", serves, Boolean, 30).catch(async (error: Error) => {
      throw new Error(`${error.message}\n${await docker("logs", "--tail", "20", container)}`);
    });
  };
  afterEach(async () => {
    await signal("CONT").catch(() => {});
    await removeContainers([container]);
  });

  const signal = (what: string) => docker("exec", container, "pkill", `-${what}`, "glusterfs");
  const timed = async (send: () => Promise<Response>) => {
    const begun = performance.now();
    const answer = await send();
    return { answer, text: await answer.text(), seconds: (performance.now() - begun) / 1000 };
  };
  const storage = async () =>
    ((await (await fetch(`${url}/api/health`)).json()) as { storage: { state: string } }).storage
      .state;
  const json = { Accept: "application/json" };
  const left = () => docker("exec", container, "find", "/data", "-type", "f", "-name", "*.p*");
  const used = async () => (await database.read(uploadUse)).usedBytes;

  it("S4: uploads and pictures answer 503 in time, however many; everything else goes on", async () => {
    await start("admin");
    const send = () =>
      fetch(`${url}/api/content`, {
        ...{ method: "POST", headers: asAdmin },
        body: form({ quote: "hung" }, { content: png(300_000) }),
      });
    const first = await send();
    assert.equal(first.status, 201, await first.clone().text());
    const { image, id } = (await first.json()) as { image: string; id: number };
    await signal("STOP");
    await until("health says it", storage, (state) => state === "unavailable");
    const asked = await Promise.all([
      ...Array.from({ length: 20 }, () => timed(() => fetch(url + image, { headers: json }))),
      ...Array.from({ length: 10 }, () => timed(send)),
    ]);
    for (const { answer, text, seconds } of asked) {
      assert.equal(answer.status, 503, text);
      assert.match(text, /"error":"storage-unavailable"/);
      assert.ok(answer.headers.get("retry-after"));
      // 1 s for each operation, as hurry-store.ts says, and 1 s for cleaning up
      assert.ok(seconds < 6, `${seconds} s`);
    }
    // What needs threads, and files of our own: a password, a page, the health
    const headers = { Accept: "text/html", ...asAdmin };
    const page = await timed(() => fetch(`${url}/admin`, { headers }));
    assert.deepEqual([page.answer.status, page.seconds < 3], [200, true], `${page.seconds} s`);
    assert.match(await (await fetch(`${url}/metrics`)).text(), /store_operations_stuck [1-9]/);
    const rows = await postgres.sql("SELECT id FROM content", name);
    assert.deepEqual(rows, [{ id }]);
    await signal("CONT");
    await until("it works again", send, ({ status }) => status === 201, 20);
    await until("health says that, too", storage, (state) => state === "ok");
    const kept = await postgres.sql<{ n: number }>(
      "SELECT count(*)::integer AS n FROM content",
      name,
    );
    await until("nothing is left", left, (files) => files.split("\n").length === kept[0]?.n, 20);
    assert.equal((await fetch(url + image)).status, 200);
    await until("nor counted", used, (bytes) => bytes === 300_000 * (kept[0]?.n ?? 0), 30);
    await postgres.sql("DELETE FROM content", name);
  });

  it("S4: an upload that the store hangs in the middle of is answered; it stops within its grace", async () => {
    await start("storefront");
    const { client } = await register(url);
    await signal("STOP");
    const again = await register(url);
    assert.ok(again.id > 0, "a password can be hashed");
    const pages = await Promise.all(["/", "/offers", "/login"].map((path) => client.page(path)));
    assert.deepEqual(
      pages.map(({ status }) => status),
      [200, 200, 200],
    );
    const pictures = await Promise.all(
      Array.from({ length: 12 }, (_, i) => fetch(`${url}/images/${"0".repeat(31)}${i % 10}.png`)),
    );
    assert.deepEqual(new Set(pictures.map(({ status }) => status)), new Set([503]));
    const begun = performance.now();
    await docker("stop", "--time", "20", container);
    assert.ok(performance.now() - begun < 12_000, `${performance.now() - begun} ms`);
  });
});

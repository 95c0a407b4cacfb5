/** What the role of a proof may, at a real PostgreSQL: whoever learns its password gets no further. */
import assert from "node:assert/strict";
import { databasePackages } from "../../../../infra/components/database-pair.ts";
import { databaseText, tablesText } from "../../../../operate/prove/database.ts";
import { type Container, start } from "../../../support/unit/containers.ts";
import { imageFor } from "../../../support/unit/images.ts";

describe("the role of a proof", function () {
  this.timeout(120_000);
  let container: Container;

  before(async function () {
    this.timeout(900_000);
    const image = await imageFor({ component: "DatabasePair", packages: databasePackages });
    container = await start(image, "rights");
    await container.run(`install -d -o postgres /run/postgresql
      runuser -u postgres -- sh -c 'cd /tmp && PATH=/usr/lib/postgresql/17/bin:$PATH
        initdb -A trust data && pg_ctl -D data -o "-c listen_addresses=" -w start' > /tmp/log 2>&1`);
    await sql("postgres", "postgres", databaseText("0123"));
    await sql("postgres", "hastack_prove", tablesText);
  });
  after(() => container?.remove());

  const sql = (user: string, database: string, text: string) =>
    container.attempt(
      `psql -h /run/postgresql -U ${user} -XAtq -v ON_ERROR_STOP=1 ${database}`,
      text,
    );
  const own = (text: string) => sql("hastack_prove", "hastack_prove", text);

  it("reads and writes what clients do", async () => {
    const text = `INSERT INTO register VALUES ('a', '1') ON CONFLICT (key) DO UPDATE SET value = '2' RETURNING 1;
      INSERT INTO entry VALUES ('a', '1') ON CONFLICT (key) DO NOTHING;
      INSERT INTO visitor VALUES ('a', 1) ON CONFLICT (name) DO UPDATE SET counter = greatest(visitor.counter, 2);
      SELECT places FROM stock;`;
    assert.deepEqual(await own(text), { code: 0, stdout: "1\n", stderr: "" });
  });

  for (const text of [
    "CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "CREATE TABLE public.t ()",
    "CREATE TEMPORARY TABLE t ()",
    "CREATE SCHEMA s",
    "ALTER TABLE register RENAME TO other",
    "CREATE TRIGGER t BEFORE INSERT ON entry FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE RULE r AS ON INSERT TO entry DO NOTHING",
    "ALTER DATABASE hastack_prove SET search_path = other",
    "SELECT * FROM heartbeat",
    "INSERT INTO heartbeat VALUES ('db-1', 1)",
    "DELETE FROM entry",
    "TRUNCATE register",
    "COPY (SELECT 1) TO PROGRAM 'id'",
  ])
    it(`may not: ${text.slice(0, 50)}`, async () => {
      assert.match((await own(text)).stderr, /permission denied|must be owner/);
    });
});

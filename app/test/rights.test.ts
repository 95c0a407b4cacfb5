import assert from "node:assert/strict";
import pg from "pg";
import { migrateDatabase } from "./support/app.ts";
import { sharedPostgres } from "./support/hooks.ts";
import { offerRow } from "./support/offers.ts";
import { createDatabase, type Postgres, passwords } from "./support/postgres.ts";

type Principal = "storefront" | "admin";

const denied = { code: "42501" };

describe("rights", function () {
  this.timeout(60_000);
  let postgres: Postgres;
  let database: string;
  let account: number;
  let offer: number;

  before(async () => {
    postgres = await sharedPostgres();
    database = await createDatabase(postgres);
    await migrateDatabase(database, postgres);
    const [row] = await postgres.sql<{ id: number }>(
      `INSERT INTO account (email, name, password_hash) VALUES ('a@example.com', 'A', 'secret-hash')
       RETURNING id`,
      database,
    );
    account = row?.id ?? 0;
    offer = await offerRow(postgres, database, { quantity: 1000 });
    await postgres.sql(
      `INSERT INTO session VALUES ('\\x01', ${account}, now() + interval '1 day')`,
      database,
    );
  });

  /** Runs statements one after the other in one session of a principal. */
  const as = async (user: Principal, ...statements: string[]) => {
    const { port } = postgres;
    const client = new pg.Client({
      ...{ host: "127.0.0.1", port, database, user: `app_${user}` },
      password: passwords[user],
    });
    await client.connect();
    try {
      let rows: Record<string, unknown>[] = [];
      for (const statement of statements) rows = (await client.query(statement)).rows;
      return rows;
    } finally {
      await client.end();
    }
  };
  const stock = async () =>
    (
      await postgres.sql<{ n: number }>(
        `SELECT quantity AS n FROM offer WHERE id = ${offer}`,
        database,
      )
    )[0]?.n;

  const refusals: Record<Principal, string[]> = {
    storefront: [
      "INSERT INTO offer (kind, name, place, starts_on, ends_on, price_cents, quantity) VALUES ('bus', 'x', 'x', now(), now(), 1, 1)",
      "UPDATE offer SET quantity = 5",
      "UPDATE offer SET price_cents = 0",
      "DELETE FROM offer",
      "TRUNCATE offer CASCADE",
      "SELECT 1 FROM offer FOR UPDATE",
      "INSERT INTO content (quote, image_file, image_type, image_bytes, image_width, image_height) VALUES ('x', 'x', 'x', 1, 1, 1)",
      "UPDATE content SET quote = 'x'",
      "DELETE FROM content",
      "INSERT INTO booking (account_id, offer_id, quantity, price_cents) VALUES (1, 1, 1, 0)",
      "UPDATE booking SET cancelled_at = now()",
      "UPDATE booking SET account_id = 1",
      "DELETE FROM booking",
      "UPDATE account SET email = 'x@example.com'",
      "UPDATE account SET created_at = now()",
      "UPDATE trip_item SET booking_id = 1",
      "UPDATE trip_item SET image_file = NULL",
      "UPDATE session SET account_id = 1",
      "SELECT 1 FROM administrator",
      "INSERT INTO administrator (name, password_hash, first_hash) VALUES ('x', 'x', 'x')",
      "UPDATE administrator SET password_hash = 'x'",
      "DELETE FROM administrator",
      "SELECT 1 FROM administrator_session",
      "INSERT INTO administrator_session VALUES ('x', 1, now())",
      "DELETE FROM administrator_session",
      "UPDATE administrator_session SET expires_at = now()",
      "UPDATE administrator_session SET seen_at = now()",
      "TRUNCATE administrator_session",
      "ALTER TABLE administrator_session ALTER seen_at DROP NOT NULL",
      "CREATE TRIGGER mine BEFORE INSERT ON administrator_session FOR EACH ROW EXECUTE FUNCTION give_back_places()",
      "ALTER TABLE administrator ALTER password_hash SET DEFAULT 'x'",
      "SELECT 1 FROM administrator_login_failure",
      "INSERT INTO administrator_login_failure VALUES ('x', 1, now())",
      "UPDATE administrator_login_failure SET failures = 0",
      "DELETE FROM administrator_login_failure",
      "TRUNCATE administrator_login_failure",
      "ALTER TABLE administrator_login_failure OWNER TO app_storefront",
      "SELECT 1 FROM idempotency_key",
      "INSERT INTO idempotency_key VALUES ('x', 'x', 'x')",
      "UPDATE upload_budget SET total_bytes = 1000000000",
      "UPDATE upload_budget SET visitor_bytes = 1000000000",
      "UPDATE upload_budget SET used_bytes = 0",
      "DELETE FROM upload_budget",
      "TRUNCATE upload_budget",
      "SELECT 1 FROM account_upload",
      "UPDATE account_upload SET used_bytes = 0",
      "DELETE FROM account_upload",
      "SELECT 1 FROM upload",
      "INSERT INTO upload (name) VALUES (md5('x'))",
      "UPDATE upload SET bytes = 0",
      "DELETE FROM upload",
      "UPDATE trip_item SET image_bytes = 1",
      "SELECT take_room(md5('x'), NULL, 1)",
      "SELECT take_gallery_room(md5('x'), 1)",
      "SELECT uploads_to_remove(1)",
      "SELECT measure_upload(md5('x'), 0)",
      "SELECT 1 FROM upload_trash",
      "DELETE FROM upload_trash",
      "UPDATE upload_budget SET trash_bytes = 0",
      "SELECT uploads_to_drop(1, true)",
      "SELECT match_trash('{}')",
      "SELECT note_trash('x', 0, now())",
      "SELECT forget_trash('x')",
      "CREATE TRIGGER mine BEFORE INSERT ON trip_item FOR EACH ROW EXECUTE FUNCTION count_upload()",
      "ALTER TABLE trip_item DISABLE TRIGGER upload_kept",
      "SELECT 1 FROM migration",
    ],
    admin: [
      "SELECT book(1, 1, 1)",
      "SELECT cancel_booking(1, 1)",
      "INSERT INTO booking (account_id, offer_id, quantity, price_cents) VALUES (1, 1, 1, 0)",
      "UPDATE booking SET cancelled_at = NULL",
      "DELETE FROM booking",
      "SELECT account_id FROM booking",
      "SELECT password_hash FROM account",
      "SELECT name FROM account",
      "SELECT * FROM account",
      "UPDATE account SET password_hash = 'x'",
      "DELETE FROM account",
      "SELECT id_hash FROM session",
      "SELECT account_id FROM session",
      "INSERT INTO session VALUES ('x', 1, now())",
      "UPDATE session SET account_id = 1",
      "DELETE FROM session RETURNING id_hash",
      "SELECT token_hash FROM password_reset",
      "SELECT text FROM trip_item",
      "UPDATE trip_item SET image_file = NULL",
      "DELETE FROM trip_item",
      "SELECT answer FROM visitor_idempotency_key",
      "INSERT INTO visitor_idempotency_key VALUES ('x', 'x', 'x')",
      "UPDATE content SET quote = 'x'",
      "INSERT INTO administrator (name, password_hash, first_hash) VALUES ('x', 'x', 'x')",
      "UPDATE administrator SET name = 'x'",
      "UPDATE administrator_session SET expires_at = now()",
      "DELETE FROM administrator",
      "UPDATE upload_budget SET total_bytes = 1000000000",
      "UPDATE upload_budget SET used_bytes = 0",
      "UPDATE account_upload SET used_bytes = 0",
      "INSERT INTO upload (name) VALUES (md5('x'))",
      "UPDATE upload SET bytes = 0",
      "DELETE FROM upload",
      "SELECT take_room(md5('x'), NULL, 1)",
      "SELECT take_account_room(md5('x'), 1, 1)",
      "ALTER TABLE content DISABLE TRIGGER upload_kept",
      "SELECT 1 FROM migration",
    ],
  };
  const both = [
    "CREATE TABLE public.mine (id integer)",
    "CREATE FUNCTION public.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "CREATE SCHEMA mine",
    "ALTER TABLE offer ADD COLUMN mine integer",
    "DROP FUNCTION book",
    "ALTER FUNCTION book(integer, integer, integer) RESET search_path",
    "CREATE OR REPLACE FUNCTION book(integer, integer, integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "CREATE TRIGGER mine BEFORE INSERT ON account FOR EACH ROW EXECUTE FUNCTION give_back_places()",
    "SELECT setval('booking_id_seq', 1)",
    "SET ROLE migrator",
    "CREATE ROLE mine",
    "COPY offer TO '/tmp/offers'",
    "COPY offer TO PROGRAM 'id'",
  ];
  for (const principal of ["storefront", "admin"] as const) {
    for (const statement of [...refusals[principal], ...both]) {
      const title = statement.length > 60 ? `${statement.slice(0, 60)}…` : statement;
      it(`A5: the ${principal} may not: ${title}`, async () => {
        await assert.rejects(as(principal, statement), denied);
      });
    }
  }

  /** All that a role may do, through PUBLIC and other roles too: a right that nobody listed fails. */
  const listed: Record<Principal, string[]> = {
    storefront: [
      "account: DELETE INSERT SELECT UPDATE(name) UPDATE(password_hash)",
      "book(integer,integer,integer): EXECUTE",
      "booking: SELECT",
      "cancel_booking(integer,integer): EXECUTE",
      "content: SELECT",
      "leave_room(text,boolean): EXECUTE",
      "login_failure: DELETE INSERT SELECT UPDATE",
      "offer: SELECT",
      "password_reset: DELETE INSERT SELECT",
      "public: USAGE",
      "session: DELETE INSERT SELECT",
      "take_account_room(text,integer,integer): EXECUTE",
      "trash_upload(text): EXECUTE",
      "trip_item: DELETE INSERT SELECT UPDATE(done)",
      "upload_budget: SELECT",
      "visitor_idempotency_key: DELETE INSERT SELECT UPDATE(answer)",
    ],
    admin: [
      "account: SELECT(email) SELECT(id)",
      "administrator: SELECT UPDATE(password_hash)",
      "administrator_login_failure: DELETE INSERT SELECT UPDATE",
      "administrator_session: DELETE INSERT SELECT UPDATE(seen_at)",
      "booking: SELECT(offer_id)",
      "content: DELETE INSERT SELECT",
      "forget_trash(text): EXECUTE",
      "idempotency_key: DELETE INSERT SELECT UPDATE(answer)",
      "leave_room(text,boolean): EXECUTE",
      "login_failure: DELETE INSERT SELECT UPDATE",
      "match_trash(text[]): EXECUTE",
      "measure_upload(text,bigint): EXECUTE",
      "note_trash(text,bigint,timestamp with time zone): EXECUTE",
      "offer: DELETE INSERT SELECT UPDATE",
      "password_reset: DELETE INSERT SELECT(expires_at)",
      "public: USAGE",
      "session: DELETE SELECT(expires_at)",
      "take_gallery_room(text,integer): EXECUTE",
      "trash_upload(text): EXECUTE",
      "trip_item: SELECT(image_file)",
      "upload: SELECT",
      "upload_budget: SELECT",
      "upload_trash: SELECT",
      "uploads_to_drop(integer,boolean): EXECUTE",
      "uploads_to_remove(integer): EXECUTE",
      "visitor_idempotency_key: DELETE SELECT(created_at)",
    ],
  };
  for (const principal of ["storefront", "admin"] as const) {
    it(`A5: the ${principal} has these rights, and no other`, async () => {
      const rows = await postgres.sql<{ name: string; rights: string }>(
        rightsOf(`app_${principal}`),
        database,
      );
      assert.deepEqual(
        rows.map(({ name, rights }) => `${name}: ${rights}`),
        listed[principal],
      );
    });
  }

  it("A5: a right that is not listed would be seen: of a table, a column, a sequence, a function, a schema, another role", async () => {
    const seen = async (...statements: string[]) => {
      const client = new pg.Client({
        ...{ host: "127.0.0.1", port: postgres.port, database, user: "postgres" },
      });
      await client.connect();
      try {
        await client.query("BEGIN");
        for (const statement of statements) await client.query(statement);
        const { rows } = await client.query(rightsOf("app_storefront"));
        return rows.map(({ name, rights }) => `${name}: ${rights}`);
      } finally {
        await client.end();
      }
    };
    for (const [statements, line] of [
      [["GRANT SELECT ON administrator TO PUBLIC"], "administrator: SELECT"],
      [
        ["GRANT UPDATE (seen_at) ON administrator_session TO app_storefront"],
        "administrator_session: UPDATE(seen_at)",
      ],
      [["GRANT USAGE ON SEQUENCE offer_id_seq TO app_storefront"], "offer_id_seq: USAGE"],
      [
        ["GRANT EXECUTE ON FUNCTION give_back_places() TO app_storefront"],
        "give_back_places(): EXECUTE",
      ],
      [["GRANT CREATE ON SCHEMA public TO app_storefront"], "public: CREATE"],
      [["CREATE SCHEMA mine", "GRANT USAGE ON SCHEMA mine TO app_storefront"], "mine: USAGE"],
      [["GRANT app_admin TO app_storefront"], "app_admin: MEMBER"],
      [["ALTER ROLE app_storefront CREATEROLE"], "app_storefront: CREATEROLE"],
      [["ALTER TABLE content OWNER TO app_storefront"], "content: OWNER"],
      [
        ["ALTER DEFAULT PRIVILEGES FOR ROLE migrator GRANT SELECT ON TABLES TO app_storefront"],
        "new tables: SELECT",
      ],
    ] as const) {
      const lines = await seen(...statements);
      const [name, right = ""] = line.split(": ");
      const found = lines.find((one) => one.startsWith(`${name}: `));
      assert.ok(found?.split(" ").includes(right), `${line}\n${lines.join("\n")}`);
    }
  });

  it("A5: the storefront reads what is on offer, books, and gives back", async () => {
    assert.equal((await as("storefront", "SELECT id FROM offer"))[0]?.id, offer);
    await as("storefront", "SELECT id FROM content");
    const [row] = await as("storefront", `SELECT book(${account}, ${offer}, 2) AS id`);
    assert.equal(await stock(), 998);
    const cancel = `SELECT cancel_booking(${account}, ${row?.id}) AS done`;
    assert.equal((await as("storefront", cancel))[0]?.done, true);
    assert.equal((await as("storefront", cancel))[0]?.done, false);
    assert.equal(await stock(), 1000);
  });

  it("A5: the admin changes offers, and sees of visitors only what its work needs", async () => {
    await as("admin", "BEGIN", "UPDATE offer SET quantity = 1", "ROLLBACK");
    await as("admin", "SELECT id, email FROM account");
    await as("admin", "SELECT image_file FROM trip_item");
    await as("admin", "SELECT offer_id FROM booking");
    await as("admin", "DELETE FROM session WHERE expires_at < now()");
  });

  it("A5: the functions refuse what is not there, not enough, not one's own", async () => {
    const call = (sql: string) => as("storefront", `SELECT ${sql}`);
    await assert.rejects(call(`book(${account}, 2147483647, 1)`), { code: "HA404" });
    await assert.rejects(call(`book(${account}, ${offer}, 1001)`), {
      ...{ code: "HA409", detail: "1000" },
    });
    await assert.rejects(call(`cancel_booking(${account}, 2147483647)`), { code: "HA404" });
    await assert.rejects(call(`book(2147483647, ${offer}, 1)`), { code: "HA401" });
    for (const quantity of ["0", "-1", "NULL"]) {
      await assert.rejects(call(`book(${account}, ${offer}, ${quantity})`));
    }
    assert.equal(await stock(), 1000);
  });

  it("A5: temporary objects of the caller's do not get between the functions and their tables", async () => {
    const [row] = await as(
      "storefront",
      "CREATE TEMP TABLE offer (LIKE public.offer)",
      "INSERT INTO pg_temp.offer OVERRIDING SYSTEM VALUE SELECT * FROM public.offer",
      "UPDATE pg_temp.offer SET quantity = 1000000, price_cents = 0",
      "CREATE TEMP TABLE booking (LIKE public.booking)",
      "SET search_path = pg_temp, public",
      `SELECT public.book(${account}, ${offer}, 3) AS id`,
    );
    const found = await postgres.sql<{ price_cents: number }>(
      `SELECT price_cents FROM booking WHERE id = ${row?.id}`,
      database,
    );
    assert.deepEqual([found[0]?.price_cents, await stock()], [100, 997]);
    const [cancelled] = await as(
      "storefront",
      "CREATE TEMP TABLE booking (LIKE public.booking)",
      "SET search_path = pg_temp, public",
      `SELECT public.cancel_booking(${account}, ${row?.id}) AS done`,
    );
    assert.deepEqual([cancelled?.done, await stock()], [true, 1000]);
  });

  it("A5: temporary functions and operators do not get between them either", async () => {
    const [row] = await as(
      "storefront",
      `CREATE FUNCTION pg_temp.cheat(integer, integer) RETURNS boolean LANGUAGE plpgsql
         AS 'BEGIN UPDATE public.offer SET quantity = 77; RETURN false; END'`,
      `CREATE OPERATOR pg_temp.< (LEFTARG = integer, RIGHTARG = integer, FUNCTION = pg_temp.cheat)`,
      `CREATE FUNCTION pg_temp.now() RETURNS timestamptz LANGUAGE plpgsql
         AS 'BEGIN UPDATE public.offer SET quantity = 77; RETURN NULL; END'`,
      "SET search_path = pg_temp, public, pg_catalog",
      `SELECT public.book(${account}, ${offer}, 1) AS id`,
    );
    await as(
      "storefront",
      `CREATE FUNCTION pg_temp.now() RETURNS timestamptz LANGUAGE plpgsql
         AS 'BEGIN UPDATE public.offer SET quantity = 77; RETURN NULL; END'`,
      "SET search_path = pg_temp, public, pg_catalog",
      `SELECT public.cancel_booking(${account}, ${row?.id})`,
    );
    assert.equal(await stock(), 1000);
  });

  it("A5: every function that runs with its owner's rights has a fixed search_path, pg_temp last", async () => {
    const rows = await postgres.sql<{ name: string; config: string[] | null }>(
      `SELECT proname AS name, proconfig AS config FROM pg_proc
       WHERE pronamespace = 'public'::regnamespace AND prosecdef ORDER BY 1`,
      database,
    );
    assert.deepEqual(
      rows.map(({ name }) => name),
      [
        ...["book", "cancel_booking", "count_trash", "count_upload", "drop_upload"],
        ...["forget_trash", "give_back_places", "keep_upload", "leave_room", "match_trash"],
        ...["measure_upload", "note_trash", "take_account_room", "take_gallery_room"],
        ...["trash_upload", "uploads_to_drop", "uploads_to_remove"],
      ],
    );
    for (const { name, config } of rows) {
      assert.deepEqual(config, ["search_path=pg_catalog, public, pg_temp"], name);
    }
  });

  it("A5: nobody else may do anything: PUBLIC has no right in the schema", async () => {
    const rows = await postgres.sql(
      `SELECT relname FROM pg_class, aclexplode(relacl) AS acl
       WHERE relnamespace = 'public'::regnamespace AND acl.grantee = 0
       UNION SELECT proname FROM pg_proc,
         aclexplode(coalesce(proacl, acldefault('f', proowner))) AS acl
       WHERE pronamespace = 'public'::regnamespace AND acl.grantee = 0
       UNION SELECT nspname FROM pg_namespace, aclexplode(nspacl) AS acl
       WHERE nspname = 'public' AND acl.grantee = 0`,
      database,
    );
    assert.deepEqual(rows, []);
  });
});

/**
 * A query for all that a role may do in this database, outside of PostgreSQL's own schemas: rows of a
 * thing's name and the rights, sorted. A right to a whole table is not listed by its columns again.
 */
function rightsOf(role: string): string {
  const own = "NOT IN ('pg_catalog', 'information_schema', 'pg_toast')";
  const each = (rights: string) => `unnest('{${rights}}'::text[]) AS one`;
  return `
    WITH relation AS (
      SELECT c.oid AS id, relname, relkind, relowner FROM pg_class c
      JOIN pg_namespace n ON n.oid = relnamespace
      WHERE nspname ${own} AND nspname !~ '^pg_(toast_)?temp_' AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    ), found(name, "right") AS (
      SELECT relname, one FROM relation,
        ${each("SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER,MAINTAIN")}
      WHERE relkind <> 'S' AND has_table_privilege('${role}', id, one)
      UNION ALL
      SELECT relname, one || '(' || attname || ')' FROM relation
        JOIN pg_attribute ON attrelid = id AND attnum > 0 AND NOT attisdropped,
        ${each("SELECT,INSERT,UPDATE,REFERENCES")}
      WHERE relkind <> 'S' AND has_column_privilege('${role}', id, attnum, one)
        AND NOT has_table_privilege('${role}', id, one)
      UNION ALL
      SELECT relname, one FROM relation, ${each("USAGE,SELECT,UPDATE")}
      WHERE relkind = 'S' AND has_sequence_privilege('${role}', id, one)
      UNION ALL
      SELECT relname, 'OWNER' FROM relation WHERE relowner = '${role}'::regrole
      UNION ALL
      SELECT p.oid::regprocedure::text, 'EXECUTE' FROM pg_proc p
        JOIN pg_namespace n ON n.oid = pronamespace
      WHERE nspname ${own} AND has_function_privilege('${role}', p.oid, 'EXECUTE')
      UNION ALL
      SELECT nspname, one FROM pg_namespace, ${each("USAGE,CREATE")}
      WHERE nspname ${own} AND nspname !~ '^pg_(toast_)?temp_'
        AND has_schema_privilege('${role}', oid, one)
      UNION ALL
      SELECT roleid::regrole::text, 'MEMBER' FROM pg_auth_members
      WHERE member = '${role}'::regrole
      UNION ALL
      SELECT rolname, one FROM pg_roles, LATERAL (VALUES
        (rolsuper, 'SUPERUSER'), (rolcreaterole, 'CREATEROLE'), (rolcreatedb, 'CREATEDB'),
        (rolreplication, 'REPLICATION'), (rolbypassrls, 'BYPASSRLS')) AS attribute(has, one)
      WHERE rolname = '${role}' AND has
      UNION ALL
      SELECT 'new ' || CASE defaclobjtype::text WHEN 'r' THEN 'tables' ELSE defaclobjtype::text END, privilege_type
      FROM pg_default_acl, aclexplode(defaclacl) 
      WHERE grantee IN (0, '${role}'::regrole)
    )
    SELECT name, string_agg("right", ' ' ORDER BY "right") AS rights FROM found GROUP BY name ORDER BY name COLLATE "C"`;
}

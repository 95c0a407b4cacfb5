import assert from "node:assert/strict";
import { secretsInput } from "../../../../infra/platform/request.ts";
import { renderParameters, renderPatroni } from "../../../../infra/render/patroni.ts";
import {
  principalsScript,
  renderDatabase,
  renderFormerRoles,
  renderPrincipals,
} from "../../../../infra/render/principals.ts";
import { until } from "../../../../lib/until.ts";
import { type Container, start } from "../../../support/unit/containers.ts";
import { first, planWith } from "../../../support/unit/fixtures.ts";
import { imageFor } from "../../../support/unit/images.ts";
import { taskScript } from "../../../support/unit/requests.ts";
import { describeStack, taskOf, workloadOf } from "../../../support/unit/stack.ts";

/** Two tiers, as the travel agency's. */
const agencyWishes = { roles: ["app_storefront", "app_admin"], extensions: [], jobs: {} };

/** Another application that takes the agency's place. */
const shop = `
name: shop
tiers:
  - { name: web, command: [./web], port: 8000 }
  - { name: back-office, command: [./work] }
  - { name: mailer, command: [./mail], poolSize: 1 }
jobs:
  - { name: tidy-up, tier: back-office, command: [./tidy], everySeconds: 3600 }
  - { name: count, tier: back-office, command: [./count], everySeconds: 3600 }
  - { name: greet, tier: mailer, command: [./greet], everySeconds: 3600 }
database:
  extensions: [pg_trgm, uuid-ossp]
  formerRoles: [shop, clerk]
`;
const shopWishes = {
  roles: ["app_web", "app_back_office", "app_mailer"],
  extensions: ["pg_trgm", "uuid-ossp"],
  jobs: { app_back_office: ["tidy-up", "count"], app_mailer: ["greet"] },
};

describe("principals.sql", () => {
  it("D6: is this", () => assert.equal(renderPrincipals(agencyWishes), agencyPrincipals));

  it("A5: makes nobody but postgres a superuser, and lets nobody make roles or databases", () => {
    const rights = [
      ...renderPrincipals(agencyWishes).matchAll(/ALTER ROLE (\w+) WITH (.*) PASSWORD/g),
    ].map(([, name, right]) => `${name}: ${right}`);
    assert.deepEqual(rights, [
      "postgres: SUPERUSER LOGIN",
      "replicator: REPLICATION LOGIN",
      "rewinder: LOGIN",
      "migrator: LOGIN",
      "app_storefront: LOGIN",
      "app_admin: LOGIN",
    ]);
  });

  it("O3: lets whoever fetches backups read all by its certificate alone, where somebody does", () => {
    const text = renderPrincipals({ ...agencyWishes, isKept: true });
    const [part = ""] = /^DO \$\$ BEGIN\n {2}CREATE ROLE keeper;.*?\n\n/ms.exec(text) ?? [];
    assert.equal(part.trim(), fetching);
    assert.match(
      principalsScript({ ...agencyWishes, isKept: true }),
      /GRANT CONNECT ON DATABASE hastack TO app_storefront, app_admin, keeper'/,
    );
  });

  it("O3: ends that login, and who uses it, where nobody fetches them any more", () => {
    const text = renderPrincipals(agencyWishes);
    assert.match(
      text,
      /ALTER ROLE keeper WITH NOREPLICATION NOBYPASSRLS NOLOGIN;\nEXCEPTION WHEN undefined_object/,
    );
    assert.match(
      text,
      /pg_terminate_backend\(pid\) FROM pg_stat_activity WHERE usename = 'keeper'/,
    );
    assert.doesNotMatch(principalsScript(agencyWishes), /keeper/);
  });

  it("N3: keeps the passwords out of PostgreSQL's log before the first of them", () => {
    const text = renderPrincipals(agencyWishes);
    const before = text.slice(0, text.indexOf("PASSWORD"));
    for (const setting of ["log_statement = none", "log_min_duration_statement = -1"]) {
      assert.ok(before.includes(`SET ${setting};`), setting);
    }
  });

  it("N3: leaves the script around it without passwords", () => {
    assert.doesNotMatch(principalsScript(agencyWishes), /@\{|PASSWORD/);
  });
});

describe("principals.sh", () => {
  it("A5, O6: lets each tier's role connect to the database, and nobody else", () => {
    assert.equal(principalsScript(shopWishes), shopScript);
  });
});

describe("database.sql", () => {
  it("O6: has nothing to do for an application that wants nothing", () => {
    assert.equal(
      renderDatabase(agencyWishes),
      `-- What the application wants of its database, beside its own migrations
-- The details of an error are for the client alone: they show the row, with all its values
ALTER DATABASE hastack SET log_error_verbosity = terse;
`,
    );
  });

  it("O6: makes extensions, and the table of the jobs' runs, where each tier has those of its own jobs", () => {
    assert.equal(renderDatabase(shopWishes), shopDatabase);
  });
});

describe("former-roles.sql", () => {
  it("O6: is this", () => {
    assert.equal(renderFormerRoles(shopWishes.roles, ["shop", "clerk"]), formerRoles);
  });

  it("O6: is SQL without former roles, too", () => {
    assert.match(renderFormerRoles(["app_web"], []), /= ANY \(ARRAY\[\]::name\[\]\)/);
  });
});

describe("principals on PostgreSQL 17", function () {
  this.timeout(60_000);
  const { settings, topology } = planWith();
  let machine: Container;
  const roles = ["postgres", "replicator", "rewinder", "migrator", "app_storefront", "app_admin"];
  const passwords = (generation: string) =>
    Object.fromEntries(roles.map((role) => [`${role}_password`, `${role}-${generation}`]));
  let give: (generation: string) => ReturnType<Container["attempt"]>;
  let asSuperuser: (wish: string) => Promise<string>;

  /** Starts a server as Patroni would configure it, with its access rules. */
  before(async function () {
    this.timeout(900_000);
    machine = await start(await imageFor(workloadOf(await describeStack(), "db-1")), "principals", {
      arguments: ["--cap-add=NET_ADMIN"],
    });
    const addresses = ["11", "31", "32", "41"].map((host) => `10.2.0.${host}`);
    await machine.run(addresses.map((one) => `ip address add ${one}/32 dev lo`).join("; "));
    const text = renderPatroni(settings, topology, first(topology.members.database));
    // Without TLS: who may come by it is tried in database-tls.test.ts
    const rules = [...text.matchAll(/^ {4}- ((?:local|host|hostssl) .*)$/gm)].map(([, rule = ""]) =>
      rule.replace(/^hostssl/, "host").replace(" clientcert=verify-full", ""),
    );
    assert.ok(rules.length > 5);
    const bin = "/usr/lib/postgresql/17/bin";
    await machine.run("install -d -o postgres /tmp/pg /run/postgresql");
    await machine.run(
      `runuser -u postgres -- ${bin}/initdb -D /tmp/pg/data -A peer -E UTF8 --locale-provider=builtin --locale=C.UTF-8 > /dev/null`,
    );
    await machine.run("cat > /tmp/pg/data/pg_hba.conf", `${rules.join("\n")}\n`);
    await machine.run(
      "cat >> /tmp/pg/data/postgresql.conf",
      `${renderParameters(settings, topology)}listen_addresses = '*'\nlog_statement = 'all'\nfsync = off\n`,
    );
    await machine.run(
      `runuser -u postgres -- ${bin}/pg_ctl -D /tmp/pg/data -l /tmp/pg/log -w start > /dev/null`,
    );
    const task = taskOf(await describeStack(), "db-1-principals");
    asSuperuser = (wish) =>
      machine.run(`runuser -u postgres -- psql -XAtq hastack -c "$(cat)"`, wish);
    give = (generation) => machine.attempt(taskScript(task), secretsInput(passwords(generation)));
  });

  /**
   * Runs SQL over the network. The address that is called is also the caller's: 10.2.0.11 is a
   * load balancer, 10.2.0.31 a database member, 10.2.0.41 a storefront.
   */
  const sql = (
    user: string,
    text: string,
    { from = "11", database = "hastack", password = "" } = {},
  ) =>
    machine.attempt(
      `PGPASSWORD='${password || `${user}-one`}' psql -XAtq "host=10.2.0.${from} user=${user} dbname=${database}" -c "$(cat)"`,
      text,
    );

  it("D6: are made, and made again without harm", async () => {
    for (const _ of [1, 2]) {
      const { code, stdout, stderr } = await give("one");
      assert.equal(code, 0, stderr);
      assert.match(stdout, /^the database roles have their passwords$/m);
    }
  });

  it("D6: have their passwords as SCRAM verifiers", async () => {
    const list = await machine.run(
      `runuser -u postgres -- psql -XAtc "SELECT rolname FROM pg_authid WHERE rolpassword LIKE 'SCRAM-SHA-256$%' ORDER BY 1"`,
    );
    assert.deepEqual(list.split("\n"), [...roles].sort());
  });

  it("D6: get in through a load balancer with their password, and with no other", async () => {
    for (const user of ["app_storefront", "app_admin", "migrator"]) {
      assert.equal((await sql(user, "SELECT current_user")).stdout, `${user}\n`);
      const { stderr } = await sql(user, "SELECT 1", { password: "wrong" });
      assert.match(stderr, /password authentication failed/);
    }
  });

  it("A5, D6: do not get in past the load balancers, nor into another database", async () => {
    for (const user of ["app_storefront", "app_admin"]) {
      assert.match((await sql(user, "SELECT 1", { from: "41" })).stderr, /pg_hba\.conf rejects/);
      const other = await sql(user, "SELECT 1", { database: "postgres" });
      assert.match(other.stderr, /pg_hba\.conf rejects/);
    }
    assert.match((await sql("postgres", "SELECT 1")).stderr, /pg_hba\.conf rejects/);
    assert.equal((await sql("migrator", "SELECT 1", { from: "41" })).stdout, "1\n");
  });

  it("A5: of the tiers can connect, and nothing else", async () => {
    for (const user of ["app_storefront", "app_admin"]) {
      for (const wish of [
        "CREATE TABLE t (a int)",
        "CREATE TEMP TABLE t (a int)",
        "CREATE SCHEMA s",
        "CREATE DATABASE d",
        "CREATE ROLE r",
        "ALTER ROLE migrator PASSWORD 'x'",
        "SELECT pg_read_file('/etc/passwd')",
        "COPY (SELECT 1) TO PROGRAM 'id'",
      ]) {
        const { code, stderr } = await sql(user, wish);
        assert.notEqual(code, 0, `${user}: ${wish}`);
        assert.match(stderr, /permission denied|must be/, `${user}: ${wish}`);
      }
    }
  });

  it("A12: of the migrations owns the database, and is no superuser", async () => {
    const made = await sql("migrator", "CREATE TABLE t (a int); DROP TABLE t; SELECT 'made'");
    assert.deepEqual([made.code, made.stdout], [0, "made\n"]);
    const { stderr } = await sql("migrator", "SELECT pg_read_file('/etc/passwd')");
    assert.match(stderr, /permission denied/);
  });

  it("N3: have nothing of what they send logged, be it slow, refused or all that is logged", async () => {
    await sql(
      "migrator",
      "CREATE TABLE account (hash text CHECK (hash NOT LIKE 'refused%')); GRANT INSERT ON account TO app_storefront",
    );
    // A client may ask for more, and gets none of it
    const { stderr } = await machine.attempt(
      "PGPASSWORD=app_storefront-one psql -XAtq 'host=10.2.0.11 user=app_storefront dbname=hastack'",
      `SET log_parameter_max_length_on_error = -1;
INSERT INTO account SELECT $1 FROM pg_sleep(1.1) \\bind 'slow-needle' \\g
INSERT INTO account VALUES ($1) \\bind 'refused-needle' \\g
`,
    );
    assert.match(stderr, /Failing row contains .*refused-needle/);
    const log = await machine.run("cat /tmp/pg/log");
    assert.match(log, /LOG: {2}execute <unnamed>: INSERT INTO account SELECT \$1 /);
    assert.match(log, /LOG: {2}duration: 1\d{3}\.\d+ ms$/m);
    assert.match(log, /ERROR: {2}new row for relation "account" violates check constraint/);
    assert.doesNotMatch(log, /-needle/);
    await sql("migrator", "DROP TABLE account");
  });

  it("D1: of replication gets in from a database member only", async () => {
    const replicate = (from: string) =>
      machine.attempt(
        `PGPASSWORD=replicator-one psql -XAt "host=10.2.0.${from} user=replicator replication=1" -c IDENTIFY_SYSTEM`,
      );
    assert.equal((await replicate("32")).code, 0);
    assert.match((await replicate("11")).stderr, /no pg_hba\.conf entry/);
  });

  it("D2: of pg_rewind may read the other member's files, and is no superuser", async () => {
    const from = { from: "32", database: "postgres" };
    const read = await sql(
      "rewinder",
      "SELECT length(pg_read_binary_file('PG_VERSION', 0, 2, true))",
      from,
    );
    assert.equal(read.stdout, "2\n", read.stderr);
    assert.equal((await sql("rewinder", "SHOW is_superuser", from)).stdout, "off\n");
  });

  it("N3: get new passwords in place of the old ones", async () => {
    assert.equal((await give("two")).code, 0);
    const old = await sql("app_storefront", "SELECT 1", { password: "app_storefront-one" });
    assert.match(old.stderr, /password authentication failed/);
    const now = await sql("app_storefront", "SELECT 1", { password: "app_storefront-two" });
    assert.equal(now.stdout, "1\n");
  });

  describe("that are replaced", () => {
    const tasks = ["[1]", "[1, 2]", "[2, 1]", "[2]", "[2, 3]", "[3, 2]", "[3]"];
    /** Each generation's password, whatever the login. */
    const values = {
      ...passwords("two"),
      app_storefront_password: "of-an-odd-one",
      app_storefront_2_password: "of-an-even-one",
    };
    const step = async (generations: string) => {
      const changes = { credentials: { storefront: JSON.parse(generations) } };
      const task = taskOf(await describeStack(changes), "db-1-principals");
      const those = Object.fromEntries(
        Object.keys(task.secrets).map((key) => [key, values[key as never]]),
      );
      const { code, stderr } = await machine.attempt(taskScript(task), secretsInput(those));
      assert.equal(code, 0, stderr);
    };
    const odd = { password: "of-an-odd-one" };
    const even = { password: "of-an-even-one" };
    const gets = async (login: string, options: { password: string }) =>
      (await sql(login, "SELECT current_user || ' ' || session_user", options)).stdout.trim();

    after(async () => {
      await give("two");
    });

    it("N3: have two logins in turns, each of which is the tier's role", async () => {
      for (const generations of tasks) {
        await step(generations);
        const numbers: number[] = JSON.parse(generations);
        const has = (rest: number) => numbers.some((one) => one % 2 === rest);
        const said = `at ${generations}`;
        const asOdd = has(1) ? "app_storefront app_storefront" : "";
        const asEven = has(0) ? "app_storefront app_storefront_2" : "";
        assert.equal(await gets("app_storefront", odd), asOdd, said);
        assert.equal(await gets("app_storefront_2", even), asEven, said);
      }
    });

    it("N3: are taken back step by step, too, and each step is made again without harm", async () => {
      for (const generations of [...tasks.toReversed(), "[1]"]) await step(generations);
      assert.equal(await gets("app_storefront", odd), "app_storefront app_storefront");
    });

    it("N3: by the other login may do and own the same, and see their own rows", async () => {
      await step("[2, 1]");
      await sql(
        "migrator",
        "CREATE TABLE mine (a int); GRANT INSERT, SELECT ON mine TO app_storefront; GRANT CREATE ON SCHEMA public TO app_storefront",
        { password: "migrator-two" },
      );
      const made = await sql(
        "app_storefront_2",
        "INSERT INTO mine VALUES (1); CREATE TABLE own (a int); SELECT tableowner FROM pg_tables WHERE tablename = 'own'",
        even,
      );
      assert.equal(made.stdout.trim(), "app_storefront", made.stderr);
      assert.equal(
        (await sql("app_storefront", "DROP TABLE own; SELECT a FROM mine", odd)).stdout.trim(),
        "1",
      );
      const more = await sql("app_storefront_2", "CREATE ROLE r", even);
      assert.match(more.stderr, /permission denied/);
      await sql("migrator", "DROP TABLE mine; REVOKE CREATE ON SCHEMA public FROM app_storefront", {
        password: "migrator-two",
      });
    });

    it("N3: end the sessions of a login that is closed, and of no other", async () => {
      const held = (more: string) =>
        asSuperuser(
          `SELECT ${more} FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND usename <> 'postgres'`,
        );
      const names = "string_agg(usename, ' ' ORDER BY usename)";
      for (const [login, { password }] of [
        ["app_storefront", odd],
        ["app_storefront_2", even],
      ] as const) {
        await step("[2, 1]");
        await machine.run(
          `PGPASSWORD=${password} psql -XAtq "host=10.2.0.11 user=${login} dbname=hastack" -c 'SELECT pg_sleep(200)' > /tmp/held-${login} 2>&1 &`,
        );
      }
      await until("both are there", {
        probe: () => held(names),
        done: (seen) => seen.trim() === "app_storefront app_storefront_2",
        limitSeconds: 20,
      });
      await step("[2]");
      assert.equal((await held(names)).trim(), "app_storefront_2");
      assert.match(await machine.run("cat /tmp/held-app_storefront"), /terminating connection/);
      await held("pg_terminate_backend(pid)");
      // What former-roles.sql closes behind it is tried below
      for (const back of ["[2, 1]", "[1, 2]"]) await step(back);
      await asSuperuser("ALTER ROLE app_storefront_2 NOLOGIN");
      await step("[1]");
    });
  });

  describe("of another application in its place", () => {
    const shopPasswords = Object.fromEntries(
      [...roles.slice(0, 4), ...shopWishes.roles].map((role) => [
        `${role}_password`,
        `${role}-one`,
      ]),
    );
    const giveShop = async () =>
      machine.attempt(
        taskScript(taskOf(await describeStack({}, shop), "db-1-principals")),
        secretsInput(shopPasswords),
      );
    const note = (job: string, due = 60) =>
      `INSERT INTO hastack.job_run (job, due) VALUES ('${job}', to_timestamp(${due})) ON CONFLICT DO NOTHING RETURNING 'mine'`;
    /** Roles that a person, or a release long ago, made; one has a name that wants quotes. */
    const others = ["shop", "clerk", "reporter", "apple", 'app_Old "one"; DROP ROLE apple'];
    const quoted = (role: string) => `"${role.replaceAll('"', '""')}"`;
    const takeAway = async () =>
      machine.attempt(taskScript(taskOf(await describeStack({}, shop), "db-1-former-roles")));

    it("O6: are made beside the old ones, and made again without harm", async () => {
      for (const _ of [1, 2]) {
        const { code, stderr } = await giveShop();
        assert.equal(code, 0, stderr);
      }
      for (const user of shopWishes.roles) {
        assert.equal((await sql(user, "SELECT current_user")).stdout, `${user}\n`);
      }
      const old = await sql("app_admin", "SELECT 1", { password: "app_admin-two" });
      assert.equal(old.stdout, "1\n", "the old release still works");
    });

    it("O6: have the extensions that it wants", async () => {
      const there = await asSuperuser(
        "SELECT extname FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1",
      );
      assert.deepEqual(there.split("\n"), ["pg_trgm", "uuid-ossp"]);
      const { stdout } = await sql("app_web", "SELECT similarity('shop', 'shop')");
      assert.equal(stdout, "1\n");
    });

    it("O6: note a job's run, so that one of all that try is the first", async () => {
      assert.equal((await sql("app_back_office", note("tidy-up"))).stdout, "mine\n");
      assert.equal((await sql("app_back_office", note("tidy-up"))).stdout, "");
      assert.equal((await sql("app_back_office", note("count"))).stdout, "mine\n");
      const wishes = [
        "DROP TABLE hastack.job_run",
        "CREATE TABLE hastack.t (a int)",
        "ALTER TABLE hastack.job_run DISABLE ROW LEVEL SECURITY",
        "DROP POLICY app_back_office ON hastack.job_run",
      ];
      for (const wish of wishes) {
        const { stderr } = await sql("app_back_office", wish);
        assert.match(stderr, /permission denied|must be owner/, wish);
      }
      const stranger = await sql("app_admin", "SELECT * FROM hastack.job_run", {
        password: "app_admin-two",
      });
      assert.match(stranger.stderr, /permission denied/);
    });

    it("D6, O6: touch no run of another tier's job, and none at all without a job", async () => {
      const all = "SELECT job FROM hastack.job_run";
      assert.equal((await sql("app_mailer", all)).stdout, "");
      assert.equal(
        (await sql("app_mailer", "DELETE FROM hastack.job_run RETURNING job")).stdout,
        "",
      );
      const { stderr } = await sql("app_mailer", note("tidy-up", 120));
      assert.match(stderr, /violates row-level security policy/);
      assert.equal((await sql("app_mailer", note("greet"))).stdout, "mine\n");
      for (const wish of [all, note("greet", 120), "DELETE FROM hastack.job_run"]) {
        assert.match((await sql("app_web", wish)).stderr, /permission denied/, wish);
      }
      const removed = await sql("app_back_office", "DELETE FROM hastack.job_run RETURNING job");
      assert.equal(removed.stdout, "tidy-up\ncount\n");
    });

    it("O6: stay, while those that no tier has any more lose login, connections and right to connect", async () => {
      for (const role of others) {
        await asSuperuser(
          `CREATE ROLE ${quoted(role)} LOGIN PASSWORD 'other-one'; GRANT CONNECT ON DATABASE hastack TO ${quoted(role)}`,
        );
      }
      const sessions = ["app_storefront", "app_web", "shop", "reporter"];
      const password = (role: string) =>
        role === "app_storefront"
          ? "app_storefront-two"
          : role === "app_web"
            ? "app_web-one"
            : "other-one";
      for (const role of sessions) {
        await machine.run(
          `PGPASSWORD=${password(role)} psql -XAtq "host=10.2.0.11 user=${role} dbname=hastack" -c 'SELECT pg_sleep(100)' > /tmp/session-${role} 2>&1 &`,
        );
      }
      const open = () =>
        asSuperuser(
          "SELECT string_agg(usename, ' ' ORDER BY usename) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND usename <> 'postgres'",
        );
      await until("all sessions are open", {
        probe: open,
        done: (seen) => seen === "app_storefront app_web reporter shop",
        limitSeconds: 10,
      });
      const { code, stderr } = await takeAway();
      assert.equal(code, 0, stderr);
      assert.deepEqual(
        [...stderr.matchAll(/NOTICE: +(.*) has no login any more/g)].map(([, one]) => one).sort(),
        ['app_Old "one"; DROP ROLE apple', "app_admin", "app_storefront", "clerk", "shop"],
      );
      assert.equal(await open(), "app_web reporter");
      const logins = await asSuperuser(
        "SELECT rolname FROM pg_roles WHERE rolcanlogin AND has_database_privilege(rolname, 'hastack', 'CONNECT') ORDER BY 1",
      );
      assert.deepEqual(logins.split("\n"), [
        "app_back_office",
        "app_mailer",
        "app_web",
        "apple",
        "migrator",
        "postgres",
        "reporter",
      ]);
      const connect = await asSuperuser(
        "SELECT rolname FROM pg_roles WHERE NOT rolcanlogin AND rolname !~ '^pg_' AND has_database_privilege(rolname, 'hastack', 'CONNECT')",
      );
      assert.equal(connect, "");
      const refused = await sql("app_storefront", "SELECT 1", { password: "app_storefront-two" });
      assert.match(refused.stderr, /password authentication failed|not permitted to log in/);
    });

    it("O6: take nothing away a second time", async () => {
      const { code, stderr } = await takeAway();
      assert.deepEqual([code, stderr], [0, ""]);
    });

    it("O6: get their login back when their tier is there again", async () => {
      assert.equal((await give("two")).code, 0);
      const again = await sql("app_storefront", "SELECT 1", { password: "app_storefront-two" });
      assert.equal(again.stdout, "1\n");
    });
  });

  describe("in the end", () => {
    it("N3: leave no password in PostgreSQL's log, even where it logs every statement", async () => {
      const log = await machine.run("cat /tmp/pg/log");
      assert.match(log, /SELECT current_user/);
      for (const role of roles) assert.doesNotMatch(log, new RegExp(`${role}-(one|two)`));
    });

    it("D1: are left to the primary where this member is a standby", async () => {
      await machine.run(
        "touch /tmp/pg/data/standby.signal && runuser -u postgres -- /usr/lib/postgresql/17/bin/pg_ctl -D /tmp/pg/data -l /tmp/pg/log -w restart > /dev/null",
      );
      const { code, stdout } = await give("three");
      assert.equal(code, 0);
      assert.match(stdout, /^this member is a standby: the roles are set at the primary$/m);
      const task = taskOf(await describeStack(), "db-1-former-roles");
      const former = await machine.attempt(taskScript(task));
      assert.equal(former.code, 0);
      assert.match(
        former.stdout,
        /^this member is a standby: the roles are changed at the primary$/m,
      );
    });
  });
});

const shopScript = `sql() {
  psql --host=/run/postgresql --username=postgres --no-psqlrc --quiet \\
    --tuples-only --no-align --set=ON_ERROR_STOP=1 "$@"
}
standby=$(sql --dbname=postgres --command='SELECT pg_is_in_recovery()')
if [ "$standby" = t ]; then
  echo 'this member is a standby: the roles are set at the primary'
  exit 0
fi
sql --dbname=postgres --file=principals.sql
there=$(sql --dbname=postgres --command="SELECT 1 FROM pg_database WHERE datname = 'hastack'")
[ "$there" = 1 ] || sql --dbname=postgres --command='CREATE DATABASE hastack OWNER migrator'
sql --dbname=postgres --command='REVOKE ALL ON DATABASE hastack FROM PUBLIC' \\
  --command='GRANT CONNECT ON DATABASE hastack TO app_web, app_back_office, app_mailer'
sql --dbname=hastack --file=database.sql
echo 'the database roles have their passwords'`;

const shopDatabase = `-- What the application wants of its database, beside its own migrations
-- The details of an error are for the client alone: they show the row, with all its values
ALTER DATABASE hastack SET log_error_verbosity = terse;
CREATE EXTENSION IF NOT EXISTS "pg_trgm";
CREATE EXTENSION IF NOT EXISTS "uuid-ossp";
BEGIN;
CREATE SCHEMA IF NOT EXISTS hastack;
CREATE TABLE IF NOT EXISTS hastack.job_run (
  job text NOT NULL,
  due timestamptz NOT NULL,
  PRIMARY KEY (job, due)
);
ALTER TABLE hastack.job_run ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON hastack.job_run FROM app_web, app_back_office, app_mailer;
GRANT USAGE ON SCHEMA hastack TO app_back_office;
GRANT SELECT, INSERT, DELETE ON hastack.job_run TO app_back_office;
DROP POLICY IF EXISTS app_back_office ON hastack.job_run;
CREATE POLICY app_back_office ON hastack.job_run TO app_back_office USING (job IN ('tidy-up', 'count'));
GRANT USAGE ON SCHEMA hastack TO app_mailer;
GRANT SELECT, INSERT, DELETE ON hastack.job_run TO app_mailer;
DROP POLICY IF EXISTS app_mailer ON hastack.job_run;
CREATE POLICY app_mailer ON hastack.job_run TO app_mailer USING (job IN ('greet'));
COMMIT;
`;

const formerRoles = `DO $$
DECLARE role name;
BEGIN
  FOR role IN
    SELECT rolname FROM pg_roles
    WHERE rolcanlogin AND rolname <> ALL (ARRAY['app_web', 'app_back_office', 'app_mailer']::name[])
      AND (rolname LIKE 'app\\_%' OR rolname = ANY (ARRAY['shop', 'clerk']::name[]))
  LOOP
    EXECUTE format('ALTER ROLE %I NOLOGIN PASSWORD NULL', role);
    EXECUTE format('REVOKE CONNECT ON DATABASE hastack FROM %I', role);
    RAISE NOTICE '% has no login any more', role;
  END LOOP;
END $$;
DO $$
BEGIN
  PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE usename <> ALL (ARRAY['app_web', 'app_back_office', 'app_mailer']::name[])
      AND (usename LIKE 'app\\_%' OR usename = ANY (ARRAY['shop', 'clerk']::name[]));
END $$;
`;

/** What a stack with backups says of who fetches them. */
const fetching = `DO $$ BEGIN
  CREATE ROLE keeper;
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;
ALTER ROLE keeper WITH REPLICATION BYPASSRLS LOGIN PASSWORD NULL;
GRANT pg_read_all_data, pg_monitor TO keeper;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text) TO keeper;
GRANT CONNECT ON DATABASE postgres TO keeper;`;

const agencyPrincipals = `-- A standby without the new password of replication cannot confirm a commit
SET synchronous_commit = local;
SET log_statement = none;
SET log_min_duration_statement = -1;
SET log_min_error_statement = panic;
DO $$ BEGIN
  CREATE ROLE postgres;
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;
ALTER ROLE postgres WITH SUPERUSER LOGIN PASSWORD '@{postgres_password}';

DO $$ BEGIN
  CREATE ROLE replicator;
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;
ALTER ROLE replicator WITH REPLICATION LOGIN PASSWORD '@{replicator_password}';

DO $$ BEGIN
  CREATE ROLE rewinder;
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;
ALTER ROLE rewinder WITH LOGIN PASSWORD '@{rewinder_password}';

GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text, boolean, boolean) TO rewinder;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_stat_file(text, boolean) TO rewinder;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text) TO rewinder;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean) TO rewinder;
DO $$ BEGIN
  CREATE ROLE migrator;
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;
ALTER ROLE migrator WITH LOGIN PASSWORD '@{migrator_password}';

DO $$ BEGIN
  ALTER ROLE keeper WITH NOREPLICATION NOBYPASSRLS NOLOGIN;
EXCEPTION WHEN undefined_object THEN NULL;
END $$;
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'keeper';

DO $$ BEGIN
  CREATE ROLE app_storefront;
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;
ALTER ROLE app_storefront WITH LOGIN PASSWORD '@{app_storefront_password}';

DO $$ BEGIN
  CREATE ROLE app_admin;
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;
ALTER ROLE app_admin WITH LOGIN PASSWORD '@{app_admin_password}';
`;

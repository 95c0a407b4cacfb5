/** A restore in the stack's place on a pair under Patroni with etcd: that it serves, is undone, and again. */
import assert from "node:assert/strict";
import type { Workload } from "../../../../infra/platform/platform.ts";
import { copyBy } from "../../../../operate/backup/data.ts";
import type { RestoreNote } from "../../../../operate/backup/note.ts";
import {
  accept,
  complete,
  putBack,
  settle,
  takePlace,
} from "../../../../operate/backup/takeover.ts";
import { PatroniPair, passwordOf } from "../../../support/unit/patroni-pair.ts";
import { PairHands } from "../../../support/unit/takeover-hands.ts";

describe("a restore in the stack's place, on a pair under Patroni", function () {
  this.timeout(600_000);
  let pair: PatroniPair;
  const { signal } = new AbortController();
  /** The others of etcd are not there, and a look for them takes seconds. */
  const withOneQuorum = (workload: Workload): Workload => ({
    ...workload,
    files: workload.files.map((file) =>
      file.path === "patroni.yml" && typeof file.content === "string"
        ? { ...file, content: file.content.replaceAll(/^ +- \S+\.2[23]:2379\n/gm, "") }
        : file,
    ),
  });
  const wanted = { roles: ["app_storefront", "app_admin"], extensions: [], jobs: {} };
  const note: RestoreNote = {
    id: "0123456789abcd",
    operator: "ann@desk",
    since: "2026-11-27T14:00:00.000Z",
    to: "2026-11-27T13:59:59Z",
    phase: "copied",
    target: "db-1",
    done: [],
  };

  before(async () => {
    pair = await PatroniPair.start();
    await pair.startQuorum("https");
    for (const member of ["db-1", "db-2"]) {
      await pair.place(member, withOneQuorum);
      // A machine that does much else takes its time
      await pair.healthy(member, 45).catch(async ({ message }: Error) => {
        throw new Error(
          `${message}\n${await pair.on(member).run("tail -30 /tmp/log; ps axfo pid,etimes,args; s6-svstat /etc/hastack/services/*; ls -l /etc/hastack /var/lib/postgresql/17")}`,
        );
      });
      await pair.mustTask(`${member}-principals`);
    }
    assert.equal(await pair.whole(), "db-1");
    await pair.sql("db-1", "CREATE TABLE kept (id int); INSERT INTO kept VALUES (1)", "hastack");
  });
  after(() => pair?.remove());

  const rows = async () => {
    const primary = await pair.primary();
    return pair.sql(primary, "SELECT string_agg(id::text, ',' ORDER BY id) FROM kept", "hastack");
  };
  /** Of the primary as it is now, as of a database that was restored. */
  const copy = () => {
    const address = pair.address("db-1");
    const tls = [
      "rootcert=/etc/hastack/tls/database-ca.crt",
      "cert=/etc/hastack/tls/replicator.pem",
    ];
    const words = `host=${address} user=replicator password=${passwordOf("replicator")} sslmode=verify-full ssl${tls.join(" ssl")} sslkey=/etc/hastack/tls/replicator.pem`;
    return pair.on("db-1").run(copyBy(`'--dbname=${words}'`, note.id));
  };
  const bring = async (hands: PairHands) => {
    await hands.note(note);
    return takePlace(hands, note, "db-1", wanted, signal);
  };

  it("O3: that was cut off anywhere leaves the former data serving, and can be done again", async () => {
    await copy();
    await pair.sql("db-1", "INSERT INTO kept VALUES (2)", "hastack");
    for (const cut of [
      "marks set",
      "db-1: hold",
      "forget the cluster",
      "db-1: put the restored data in place",
      "db-1: release",
      "db-1: give the roles",
    ]) {
      const hands = new PairHands(pair);
      hands.cutOffAt = [cut];
      await assert.rejects(bring(hands), /cut off/, cut);
      hands.cutOffAt = [];
      assert.ok(hands.kept);
      await settle(hands, await putBack(hands, hands.kept));
      assert.equal((await rows()).trim(), "1,2", cut);
      assert.equal((await pair.whole()).trim(), "db-1", cut);
      // Once it may have started it is no copy any more
      if (!["db-1: release", "db-1: give the roles"].includes(cut)) {
        assert.equal(hands.kept?.phase, "copied", cut);
        continue;
      }
      assert.equal(hands.kept, undefined, cut);
      await copy();
    }
  });

  it("O3: serves with the passwords of now, on both members, and is put back by --undo", async () => {
    await pair.sql("db-1", "DELETE FROM kept WHERE id = 2", "hastack");
    await pair.sql("db-1", "CREATE ROLE old_login LOGIN PASSWORD 'x'");
    await copy();
    await pair.sql("db-1", "INSERT INTO kept VALUES (3)", "hastack");
    await pair.sql("db-1", "DROP ROLE old_login; CREATE ROLE new_login LOGIN PASSWORD 'y'");
    await pair.sql("db-1", "ALTER ROLE migrator PASSWORD 'changed'");
    const secret =
      "SELECT rolname || rolpassword FROM pg_authid WHERE rolname ~ '^(migrator|new_login)' ORDER BY 1";
    const before = await pair.sql("db-1", secret);
    const hands = new PairHands(pair);
    const serves = await bring(hands);
    await complete(hands, serves, signal);
    assert.equal(hands.kept?.phase, "waits");
    assert.equal((await rows()).trim(), "1");
    assert.equal(await pair.sql("db-1", secret), before);
    const logins = "SELECT count(*) FROM pg_roles WHERE rolname = 'old_login' AND rolcanlogin";
    assert.equal((await pair.sql("db-1", logins)).trim(), "0");
    assert.equal((await pair.sql("db-2", "SELECT count(*) FROM kept", "hastack")).trim(), "1");
    await pair.sql("db-1", "INSERT INTO kept VALUES (4)", "hastack");

    assert.ok(hands.kept);
    await settle(hands, await putBack(hands, hands.kept));
    assert.equal((await rows()).trim(), "1,3");
    await pair.whole();
    assert.equal(hands.kept, undefined);
    assert.equal(hands.calls.filter((one) => one === "ask lineage").length, 2);
    // What is acknowledged until the end is received, and what is written from the beginning on
    const first = (call: string) => hands.calls.indexOf(call);
    assert.ok(first("db-1: hold") < first("receive stop"), hands.calls.join("\n"));
    assert.ok(first("receive start") < first("ask bring-files"), hands.calls.join("\n"));
  });

  it("O3: goes on where it was cut off once it serves, and is accepted", async () => {
    await copy();
    await pair.sql("db-1", "INSERT INTO kept VALUES (5)", "hastack");
    const hands = new PairHands(pair);
    const serves = await bring(hands);
    // Files are brought back while the standby is copied
    for (const cut of [
      ["db-2: release", "ask bring-files"],
      ["ask bring-files"],
      ["ask discard"],
    ]) {
      hands.cutOffAt = cut;
      await assert.rejects(complete(hands, hands.kept ?? serves, signal), /cut off/);
    }
    hands.cutOffAt = [];
    await complete(hands, hands.kept ?? serves, signal);
    assert.equal((await rows()).trim(), "1,3");
    assert.equal(hands.calls.filter((one) => one === "ask bring-files").length, 1);
    assert.ok(hands.kept);
    await accept(hands, hands.kept);
    for (const member of ["db-1", "db-2"])
      assert.equal((await pair.on(member).run("ls /var/lib/postgresql/17")).trim(), "hastack");
    await pair.whole();
  });
});

import assert from "node:assert/strict";
import { parse } from "yaml";
import { secretsInput } from "../../../../infra/platform/request.ts";
import {
  dataDirectory,
  dynamicConfiguration,
  judgeState,
  patroniHealth,
  patroniStart,
  renderParameters,
  renderPatroni,
  settingsScript,
} from "../../../../infra/render/patroni.ts";
import { until } from "../../../../lib/until.ts";
import { type Container, start } from "../../../support/unit/containers.ts";
import { first, planWith } from "../../../support/unit/fixtures.ts";
import { imageFor } from "../../../support/unit/images.ts";
import { Issuer } from "../../../support/unit/issuer.ts";
import { taskScript } from "../../../support/unit/requests.ts";
import { describeStack, taskOf, workloadOf } from "../../../support/unit/stack.ts";

function rendered(changes: Readonly<Record<string, unknown>> = {}): string {
  const { settings, topology } = planWith(changes);
  return renderPatroni(
    settings,
    topology,
    topology.members.database[1] ?? first(topology.members.database),
  );
}

/** The access rules of a Patroni file, in their order. */
function accessRules(text: string): string[] {
  return [...text.matchAll(/^ {4}- ((?:local|host|hostssl|include_if_exists) .*)$/gm)].map(
    ([, rule = ""]) => rule,
  );
}

describe("patroni.yml", () => {
  it("D1, D2: is this for the second member", () => {
    assert.equal(rendered(), whole);
  });

  it("D2: takes times and PostgreSQL's parameters from the settings", () => {
    const text = rendered({
      database: {
        maxConnections: 120,
        sharedBuffersMegabytes: 256,
        ttlSeconds: 40,
        loopWaitSeconds: 2,
        retryTimeoutSeconds: 5,
        maximumLagOnFailoverBytes: 0,
        parameters: { work_mem: "8MB", wal_keep_size: "1GB", jit: false },
      },
    });
    for (const line of [
      "    ttl: 40",
      "    loop_wait: 2",
      "    retry_timeout: 5",
      "    maximum_lag_on_failover: 0",
      "        max_connections: 120",
      "        shared_buffers: 256MB",
      "        work_mem: 8MB",
      "        wal_keep_size: 1GB",
      "        jit: false",
    ]) {
      assert.ok(text.split("\n").includes(line), line);
    }
    assert.doesNotMatch(text, /wal_keep_size: 128MB/);
  });

  it("D6: lets no application in but through the load balancers, and nobody without SCRAM", () => {
    const rules = accessRules(rendered());
    assert.equal(rules.length, 13);
    const byName = /^(\S+ \S+ (postgres|replicator|rewinder|migrator) |include)/;
    const others = rules.filter((rule) => !byName.test(rule) && !rule.endsWith(" reject"));
    assert.deepEqual(others, [
      "hostssl hastack all 10.2.0.11/32 scram-sha-256",
      "hostssl hastack all 10.2.0.12/32 scram-sha-256",
      "hostssl hastack_prove hastack_prove 10.2.0.11/32 scram-sha-256",
      "hostssl hastack_prove hastack_prove 10.2.0.12/32 scram-sha-256",
    ]);
    for (const rule of rules.filter((one) => one.startsWith("host"))) {
      assert.match(rule, /^(hostssl .* scram-sha-256( clientcert=verify-full)?|host .* reject)$/);
    }
    assert.equal(rules.at(-1), "host all all all reject");
  });

  it("D6: lets the superuser in by the member's own socket only, and members by certificates", () => {
    const rules = accessRules(rendered()).filter((rule) =>
      / postgres|replicator|rewinder/.test(rule),
    );
    assert.deepEqual(rules, [
      "local all postgres peer",
      "hostssl replication replicator 10.2.0.31/32 scram-sha-256 clientcert=verify-full",
      "hostssl replication replicator 10.2.0.32/32 scram-sha-256 clientcert=verify-full",
      "hostssl postgres rewinder 10.2.0.31/32 scram-sha-256 clientcert=verify-full",
      "hostssl postgres rewinder 10.2.0.32/32 scram-sha-256 clientcert=verify-full",
      "host all postgres,replicator,rewinder all reject",
    ]);
  });

  it("O3: lets backups be fetched through the load balancers alone, by a certificate alone", () => {
    const rules = accessRules(rendered({ members: { backup: 1 } }));
    const balancers = ["10.2.0.11/32", "10.2.0.12/32"];
    assert.deepEqual(
      rules.filter((rule) => / keeper /.test(rule)),
      ["replication", "hastack", "postgres"].flatMap((database) =>
        balancers.map((one) => `hostssl ${database} keeper ${one} cert`),
      ),
    );
    const refused = rules.indexOf("host all postgres,replicator,rewinder,keeper all reject");
    assert.ok(refused > 0 && refused < rules.findIndex((rule) => / hastack all /.test(rule)));
  });

  it("O3: has a slot that keeps what is not fetched yet, and ends a segment in time, where there are backups", () => {
    const { settings, topology } = planWith({
      members: { backup: 1 },
      backup: { archiveTimeoutSeconds: 30 },
    });
    const { slots, postgresql } = dynamicConfiguration(settings, topology);
    assert.deepEqual(slots, { keeper: { type: "physical" } });
    assert.equal(postgresql.parameters.archive_timeout, "30s");
    assert.match(renderParameters(settings, topology), /^archive_timeout = '30s'$/m);
    const without = planWith();
    const plain = dynamicConfiguration(without.settings, without.topology);
    assert.equal("slots" in plain, false);
    assert.equal("archive_timeout" in plain.postgresql.parameters, false);
  });

  it("N3, D5: while passwords are replaced, members know each other by certificates alone", () => {
    const { settings, topology } = planWith();
    const [, second] = topology.members.database;
    if (!second) throw new Error("there is no second member");
    const text = renderPatroni(settings, topology, second, {
      etcdUser: "patroni_2",
      changing: ["replicator", "patroniApi"],
    });
    const rules = accessRules(text).filter((rule) => / (replicator|rewinder) /.test(rule));
    assert.deepEqual(rules, [
      "hostssl replication replicator 10.2.0.31/32 cert",
      "hostssl replication replicator 10.2.0.32/32 cert",
      "hostssl postgres rewinder 10.2.0.31/32 scram-sha-256 clientcert=verify-full",
      "hostssl postgres rewinder 10.2.0.32/32 scram-sha-256 clientcert=verify-full",
    ]);
    const { restapi, ctl, etcd3 } = parse(text);
    // It asks for none, and shows what one that has not changed yet asks for
    assert.equal(restapi.authentication, undefined);
    assert.equal(restapi.verify_client, "optional");
    const login = { username: "patroni", password: "@{patroni_api_password}" };
    assert.deepEqual(ctl.authentication, login);
    assert.deepEqual([etcd3.username, etcd3.password], ["patroni_2", "@{etcd_patroni_password}"]);
  });

  it("N3: holds no password, only the places of these", () => {
    assert.deepEqual(rendered().match(/@\{\w+_password\}/g), [
      "@{patroni_api_password}",
      "@{etcd_patroni_password}",
      "@{postgres_password}",
      "@{replicator_password}",
      "@{rewinder_password}",
    ]);
  });
});

describe("PostgreSQL's parameters", () => {
  it("D2: are this for PostgreSQL's own check", () => {
    const { settings, topology } = planWith();
    assert.equal(renderParameters(settings, topology), parameters);
  });

  it("D2: keep a quote in a value", () => {
    const { settings, topology } = planWith({
      database: { parameters: { log_line_prefix: "it's %m " } },
    });
    assert.match(renderParameters(settings, topology), /^log_line_prefix = 'it''s %m '$/m);
  });
});

describe("health of a database member", () => {
  it("D1: asks this member's own Patroni, whose authority it knows", () => {
    const { topology } = planWith();
    const text = patroniHealth(first(topology.members.database));
    assert.match(
      text,
      /^curl --cacert tls\/patroni-api-ca\.crt -sS --max-time 3 https:\/\/10\.2\.0\.31:8008\/patroni \| python3 -c '$/m,
    );
  });
});

describe("Patroni's settings", () => {
  it("D2: go to the first member, and restarts go to both", () => {
    const script = settingsScript(planWith().topology);
    assert.match(script, /-X PUT .* https:\/\/10\.2\.0\.31:8008\/config/);
    assert.match(script, /for url in https:\/\/10\.2\.0\.31:8008 https:\/\/10\.2\.0\.32:8008; do/);
  });

  it("D7, N3: identify themselves by a file; no argument holds the password", () => {
    const script = settingsScript(planWith().topology);
    assert.match(script, /--config credentials/);
    assert.doesNotMatch(script, /@\{/);
  });
});

/** Patroni's own schema. What it says of other machines, which cannot be reached here, is left out. */
const validate = `
import json, sys, yaml
from patroni.validator import populate_validate_params, schema
populate_validate_params(ignore_listen_port=True)
errors = schema(yaml.safe_load(sys.stdin))
print(json.dumps([one for one in errors if not one.startswith("etcd3.hosts")]))`;

/**
 * A stand-in for Patroni's interface, one process for each member; it takes down what changes
 * something. The members' states and the configuration in etcd are files. `/tmp/refused` holds a
 * word that no configuration may have, `/tmp/broken` the members that cannot restart, and a standby
 * that has restarted is synchronous again once it was asked as often as its `catch_up` says. Where members
 * have a `log`, the primary's grows by its restart, a standby follows as it is asked, and takes what it is
 * to restart for only when it has what the primary has.
 */
const patroniStandIn = `
import http.server, json, os, ssl, sys
me, config = sys.argv[1], "/tmp/patroni-config"
def read(path): return open(path).read() if os.path.exists(path) else ""
def state_of(name): return json.loads(read("/tmp/patroni-" + name))
def keep(state): open("/tmp/patroni-" + me, "w").write(json.dumps(state))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/config": return self.answer(200, read(config))
        state = state_of(me)
        if "log" in state:
            mine, primary = state["log"], state_of("db-1")["log"]
            if me == "db-1": state["xlog"] = {"location": mine}
            else: state["xlog"] = {"replayed_location": mine}
            if mine < primary:
                state["log"] = mine + 10
                keep(state)
        if "left" in state:
            state["left"] -= 1
            if state["left"] == 0:
                del state["left"]
                state["sync_standby"] = True
            keep(state)
        self.answer(200, json.dumps(state))
    def do_PUT(self):
        body = self.body()
        refused = read("/tmp/refused").strip()
        if refused and refused in body: return self.answer(400, "refused " + refused)
        open(config, "w").write(body)
        self.answer(200, body)
    def do_POST(self):
        self.body()
        if me in read("/tmp/broken"): return self.answer(503, "the restart failed")
        state = state_of(me)
        if state.get("log", 0) >= state_of("db-1").get("log", 0): state.pop("pending_restart", None)
        if "log" in state and me == "db-1": state["log"] += 200
        if "log" in state and me == "db-2" and not state.get("known"):
            state.update(known=True, pending_restart=True)
        if state["role"] == "replica":
            state.pop("sync_standby", None)
            state["left"] = state.get("catch_up", 1)
        keep(state)
        self.answer(200, "{}")
    def body(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        ready = any(state_of(one).get("sync_standby") for one in ("db-1", "db-2"))
        with open("/tmp/requests", "a") as log:
            entry = [me, self.command, self.path, self.headers.get("Authorization"), text, ready]
            log.write(json.dumps(entry) + "\\n")
        return text
    def answer(self, code, text):
        self.send_response(code)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())
server = http.server.ThreadingHTTPServer((sys.argv[2], 8008), Handler)
tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile="/tmp/folder/tls/patroni-api-ca.crt")
tls.load_cert_chain("/tmp/" + me + ".pem")
tls.verify_mode = ssl.CERT_OPTIONAL
server.socket = tls.wrap_socket(server.socket, server_side=True)
server.serve_forever()`;

describe("Patroni's files with the real programs", function () {
  this.timeout(60_000);
  const { settings, topology } = planWith();
  let machine: Container;

  before(async function () {
    this.timeout(900_000);
    const workload = workloadOf(await describeStack(), "db-1");
    machine = await start(await imageFor(workload), "patroni", {
      arguments: ["--cap-add=NET_ADMIN"],
    });
    const addresses = ["11", "31", "32", "41"].map((host) => `10.2.0.${host}`);
    await machine.run(addresses.map((one) => `ip address add ${one}/32 dev lo`).join("; "));
  });
  after(() => machine?.remove());

  describe("patroni.yml", () => {
    const problems = async (text: string) =>
      JSON.parse(await machine.run(`python3 -c '${validate}'`, text)) as string[];
    const text = renderPatroni(settings, topology, first(topology.members.database)).replaceAll(
      "@{folder}",
      "/tmp/folder",
    );

    before(() => machine.run("install -D -m 0755 /dev/null /tmp/folder/bin/pg_rewind"));

    it("D2: is accepted by Patroni's schema", async () => {
      assert.deepEqual(await problems(text), []);
    });

    const broken: readonly [string, string, RegExp][] = [
      ["ttl: 20", "ttl: 5", /bootstrap\.dcs\.ttl/],
      ["listen: 10.2.0.31:8008", "listen: 8008", /restapi\.listen/],
      ["noloadbalance: false", "noloadbalance: no way", /tags\.noloadbalance/],
      ["bin_dir: /usr/lib/postgresql/17/bin", "bin_dir: /usr/lib", /postgresql\.bin_dir/],
      ["/tmp/folder/bin/pg_rewind", "/tmp/folder/bin/none", /postgresql\.bin_name\.pg_rewind/],
      ["etcd3:", "etcd4:", /etcd3|dcs/i],
      ["scope: hastack\n", "", /scope/],
    ];
    for (const [good, bad, problem] of broken) {
      it(`W5: would be refused with ${bad ? JSON.stringify(bad) : `no ${good.trim()}`}`, async () => {
        const found = await problems(text.replace(good, bad));
        assert.ok(
          found.some((one) => problem.test(one)),
          JSON.stringify(found),
        );
      });
    }
  });

  describe("the start of a member", () => {
    /** Starts it with stand-ins for Patroni and, with its answer, Python. @returns what they did */
    const launch = async (answer: string, ...files: string[]) => {
      const making = files.map((file) => `install -D /dev/null ${dataDirectory}/${file}`);
      await machine.run(`rm -rf ${dataDirectory} && install -d ${dataDirectory}`);
      await machine.run(making.join("\n") || ":");
      await machine.run("install -d /tmp/stand-ins && cat > /tmp/stand-ins/patroni", called);
      await machine.run("cat > /tmp/stand-ins/python3", `${called}echo ${answer}\n`);
      await machine.run("chmod +x /tmp/stand-ins/*; cat > /tmp/patroni-start", patroniStart);
      const said = await machine.run("PATH=/tmp/stand-ins:$PATH sh -eu /tmp/patroni-start 2>&1");
      const left = await machine.run(
        `find ${dataDirectory} -type f -printf '%P\\n' | sort | xargs`,
      );
      return { calls: said.split("\n").filter((line) => !line.startsWith("the making")), left };
    };
    const called = '#!/bin/sh\nbasename "$0" >&2\n';

    it("D2: is Patroni, with a directory that is empty or whole as it is", async () => {
      assert.deepEqual(await launch(""), { calls: ["python3", "patroni"], left: "" });
      const whole = ["PG_VERSION", "global/pg_control", "postgresql.base.conf"];
      assert.deepEqual(await launch("", ...whole), { calls: ["patroni"], left: whole.join(" ") });
      // A standby that stopped before it had replayed its base backup
      const label = ["backup_label", "global/pg_control", "postgresql.base.conf"];
      assert.deepEqual(await launch("", ...label), { calls: ["patroni"], left: label.join(" ") });
      // A control file that is lost is for people to look at
      const lost = ["PG_VERSION", "base/1/1259", "postgresql.base.conf"];
      assert.equal((await launch("", ...lost)).left.split(" ").length, 3);
    });

    const unstarted = ["PG_VERSION", "global/pg_control", "postgresql.conf"];

    it("W6, W7: begins anew where initdb was cut off, and etcd says that it had not ended", async () => {
      for (const files of [["pg_wal/x"], unstarted]) {
        const calls = ["python3", "patroni"];
        assert.deepEqual(await launch("unfinished", ...files), { calls, left: "" });
      }
      // Cut off once more, in beginning anew
      assert.deepEqual(await launch("", "hastack.begin-anew", "PG_VERSION"), {
        calls: ["patroni"],
        left: "",
      });
    });

    /** What etcd knows, what is in the directory, and whether the making of the cluster begins anew. */
    const made: readonly [string, readonly string[], readonly string[], boolean][] = [
      ["''", [], [], true],
      ["''", [], ["db-1"], true],
      ["''", [], ["db-1", "db-2"], false],
      ["''", ["PG_VERSION"], ["db-1", "db-2"], true],
      ["'7123456789'", [], [], false],
      ["'7123456789'", ["PG_VERSION"], [], false],
      ["None", [], [], false],
    ];
    for (const [initialize, files, members, anew] of made) {
      const others = members.join(" and ") || "nobody";
      it(`W6: ${anew ? "begins anew" : "leaves etcd alone"} where initialize is ${initialize}, the directory has ${files.length} files and etcd knows ${others}`, async () => {
        const fake = "/tmp/fake-patroni/patroni";
        await machine.run(`rm -rf ${dataDirectory} ${fake} && install -d ${dataDirectory} ${fake}`);
        for (const file of files) await machine.run(`: > ${dataDirectory}/${file}`);
        await machine.run(`: > ${fake}/__init__.py`);
        await machine.run(`cat > ${fake}/config.py`, "Config = lambda file: {'name': 'db-1'}\n");
        const known = members.map((name) => `Member(${JSON.stringify(name)})`).join(", ");
        const dcs = `from collections import namedtuple
Member = namedtuple("Member", "name")
Cluster = namedtuple("Cluster", "initialize members")
class Dcs:
    def get_cluster(self): return Cluster(${initialize}, [${known}])
    def cancel_initialization(self): open("${fake}/cancelled", "w").close()
get_dcs = lambda config: Dcs()
`;
        await machine.run(`cat > ${fake}/dcs.py`, dcs);
        await machine.run(
          "install -d /tmp/only-patroni && cat > /tmp/only-patroni/patroni",
          called,
        );
        await machine.run(
          "chmod +x /tmp/only-patroni/patroni; cat > /tmp/patroni-start",
          patroniStart,
        );
        await machine.run(
          "PYTHONPATH=/tmp/fake-patroni PATH=/tmp/only-patroni:$PATH sh -eu /tmp/patroni-start 2>&1",
        );
        const { code } = await machine.attempt(`test -e ${fake}/cancelled`);
        assert.equal(code === 0, anew);
        const left = await machine.run(`find ${dataDirectory} -type f -printf '%P '`);
        assert.equal(left.trim(), anew ? "" : files.join(" "));
      });
    }

    it("W6, W7: begins anew where the copy of the primary was cut off", async () => {
      const files = ["PG_VERSION", "backup_label", "postgresql.base.conf", "base/1/1259"];
      assert.deepEqual(await launch("", ...files), { calls: ["patroni"], left: "" });
    });

    it("W4: never touches a directory that somebody restored", async () => {
      const left = unstarted.join(" ");
      assert.deepEqual(await launch("", ...unstarted), { calls: ["python3", "patroni"], left });
    });
  });

  describe("the start of a member with kept data, where etcd knows no cluster", function () {
    this.timeout(120_000);
    const bin = "/usr/lib/postgresql/17/bin";
    const primary = "/tmp/kept-primary";
    const ctl = (data: string, words: string) =>
      machine.run(`runuser -u postgres -- ${bin}/pg_ctl -D ${data} -w ${words} > /dev/null 2>&1`);
    const startMember = (data: string, port: number) =>
      ctl(data, `-l /tmp/kept-${port}.log -o '-p ${port} -k /tmp -h ""' start`);
    const crash = (data: string) => ctl(data, "-m immediate stop");

    /** Starts the member, and ends it when it waits. @returns whether it became Patroni, and what it said */
    const launch = async (etcd: "none" | "there") => {
      const stand = (name: string, text: string) =>
        machine.run(`cat > /tmp/kept-${name} && chmod +x /tmp/kept-${name}`, text);
      await machine.run("install -d /tmp/kept-stand-ins");
      await stand("stand-ins/patroni", "#!/bin/sh\necho it is Patroni\n");
      await stand("stand-ins/python3", `#!/bin/sh\necho ${etcd}\n`);
      await stand("stand-ins/sleep", '#!/bin/sh\nkill "$PPID"\n');
      await stand("start", patroniStart);
      const { stdout, stderr } = await machine.attempt(
        "runuser -u postgres -- env PATH=/tmp/kept-stand-ins:$PATH /tmp/kept-start",
      );
      return { starts: stdout === "it is Patroni\n", said: stderr };
    };

    /** A primary, and this member as its standby that streams. */
    before(async () => {
      const as = "runuser -u postgres --";
      await machine.run(`rm -rf ${dataDirectory} ${primary}`);
      await machine.run(`${as} ${bin}/initdb -D ${primary} -A trust > /dev/null`);
      await startMember(primary, 5499);
      await machine.run(`install -d -o postgres -m 0700 ${dataDirectory}`);
      await machine.run(
        `${as} ${bin}/pg_basebackup -R -c fast -h /tmp -p 5499 -D ${dataDirectory}`,
      );
      await machine.run(`${as} touch ${dataDirectory}/postgresql.base.conf`);
    });
    after(() => machine.run(`rm -rf ${dataDirectory} ${primary}`));

    /** Has the standby replay all that the primary has written. */
    const streaming = async () => {
      await startMember(dataDirectory, 5498);
      await machine.run(
        "psql -U postgres -h /tmp -p 5499 -qc 'CREATE TABLE IF NOT EXISTS t AS SELECT 1'",
      );
      await machine.run(
        `lsn=$(psql -U postgres -h /tmp -p 5499 -XAtc 'SELECT pg_current_wal_flush_lsn()')
        for _ in $(seq 100); do
          [ "$(psql -U postgres -h /tmp -p 5498 -XAtc "SELECT pg_last_wal_replay_lsn() >= '$lsn'")" = t ] && exit 0
          sleep 0.1
        done
        exit 1`,
      );
    };

    it("D4, W4: waits with the data of a standby that left while its primary went on", async () => {
      await streaming();
      await ctl(dataDirectory, "-m fast stop");
      const { starts, said } = await launch("none");
      assert.equal(starts, false);
      assert.match(said, /its state is 'shut down in recovery'/);
      assert.match(said, /create \S+\/hastack\.adopt/);
    });

    it("D4, W4: waits with the data of a member that died", async () => {
      await streaming();
      await crash(dataDirectory);
      const { starts, said } = await launch("none");
      assert.equal(starts, false);
      assert.match(said, /its state is 'in archive recovery'/);
    });

    it("W7: does not wait where etcd knows the cluster", async () => {
      assert.deepEqual(await launch("there"), { starts: true, said: "" });
    });

    it("W4: does not wait where a person says that the data is the newest, for this once", async () => {
      await machine.run(`touch ${dataDirectory}/hastack.adopt`);
      assert.deepEqual(await launch("none"), { starts: true, said: "" });
      assert.equal((await launch("none")).starts, false);
    });

    it("W4: takes the data of a standby that has seen its primary end", async () => {
      await streaming();
      await ctl(primary, "-m fast stop");
      await ctl(dataDirectory, "-m fast stop");
      assert.deepEqual(await launch("none"), { starts: true, said: "" });
    });

    it("W4: takes the data of a primary that ended in order, not of one that died", async () => {
      await machine.run(`rm ${dataDirectory}/standby.signal`);
      await startMember(dataDirectory, 5498);
      await crash(dataDirectory);
      assert.match((await launch("none")).said, /its state is 'in production'/);
      await startMember(dataDirectory, 5498);
      await ctl(dataDirectory, "-m fast stop");
      assert.deepEqual(await launch("none"), { starts: true, said: "" });
    });
  });

  describe("health of a member", () => {
    const states: readonly [string, Record<string, unknown>, number, string][] = [
      ["the primary", { role: "primary", state: "running" }, 0, ""],
      [
        "the standby that the primary waits for",
        { role: "replica", state: "running", sync_standby: true, replication_state: "streaming" },
        0,
        "",
      ],
      [
        "a standby that the primary does not wait for",
        { role: "replica", state: "running", replication_state: "streaming" },
        1,
        "role replica, state running, replication streaming, synchronous False\n",
      ],
      [
        "a member that starts",
        { role: "replica", state: "starting" },
        1,
        "role replica, state starting, replication None, synchronous False\n",
      ],
      [
        "a primary that has crashed",
        { role: "primary", state: "crashed" },
        1,
        "role primary, state crashed, replication None, synchronous False\n",
      ],
    ];
    const issuer = new Issuer(topology);
    before(async () => {
      const { certificate } = await issuer.authority("patroni-api");
      await machine.run(
        "install -d /tmp/folder/tls && cat > /tmp/folder/tls/patroni-api-ca.crt",
        certificate,
      );
      for (const name of ["db-1", "db-2"]) {
        await machine.run(`cat > /tmp/${name}.pem`, await issuer.leaf(name, "patroni-api"));
      }
      // The member's workload, as it is delivered
      await machine.run(
        `install -d /etc/hastack/tls && touch /etc/hastack/.files
        cp /tmp/folder/tls/patroni-api-ca.crt /etc/hastack/tls
        cp /tmp/db-1.pem /etc/hastack/tls/patroni-api.pem`,
      );
      await machine.run("echo '{}' > /tmp/patroni-db-1; echo '{}' > /tmp/patroni-db-2");
      await machine.run("cat > /tmp/stand-in.py", patroniStandIn);
      const launch = (name: string, address: string) =>
        machine.run(`python3 /tmp/stand-in.py ${name} ${address} > /dev/null 2>&1 &`);
      await launch("db-1", "10.2.0.31");
      await launch("db-2", "10.2.0.32");
      await until("the stand-ins answer", {
        probe: () => machine.attempt("curl -fsk https://10.2.0.31:8008/ https://10.2.0.32:8008/"),
        done: ({ code }) => code === 0,
        limitSeconds: 10,
      });
    });
    for (const [what, state, expected, message] of states) {
      it(`D1: ${expected === 0 ? "passes" : "refuses"} ${what}`, async () => {
        const { code, stderr } = await machine.attempt(judgeState, JSON.stringify(state));
        assert.deepEqual([code, stderr], [expected, message]);
      });
    }

    it("D2: refuses a member whose Patroni does not answer", async () => {
      const nobody = { ...first(topology.members.database), backend: "10.2.0.11" };
      assert.notEqual((await machine.attempt(patroniHealth(nobody))).code, 0);
    });

    describe("settings", () => {
      /** What is in etcd before: a parameter more, an operator's pause, another lease. */
      const before = {
        ttl: 30,
        pause: true,
        postgresql: { use_slots: true, parameters: { work_mem: "64MB" } },
      };
      const credentials = Buffer.from("patroni:api-password").toString("base64");
      const standby = { role: "replica", state: "running", sync_standby: true };

      interface Outcome {
        readonly code: number;
        readonly stdout: string;
        readonly stderr: string;
        /** Each as `MEMBER METHOD PATH`. */
        readonly requests: readonly string[];
        /** Whether a standby was synchronous when each came. */
        readonly ready: readonly boolean[];
        readonly authorizations: readonly string[];
        /** What is in etcd at the end. */
        readonly config: Record<string, unknown>;
        /** What is noted of that, to see a change by hand. */
        readonly noted: Record<string, unknown>;
        /** Whether the standby still wants a restart. */
        readonly pending: boolean;
      }

      /** Runs the task, with a clock that goes faster, on members that both want a restart. */
      async function apply({
        refused = "",
        broken = "",
        catchUp = 3,
        pending = true,
        smaller = false,
      } = {}) {
        const state = (rest: object) =>
          JSON.stringify({
            ...rest,
            ...(pending && { pending_restart: true }),
            ...(smaller && { log: 1000 }),
          });
        const files: Record<string, string> = {
          "patroni-db-1": state({ role: "primary", state: "running" }),
          "patroni-db-2": state({ ...standby, catch_up: catchUp }),
          "patroni-config": JSON.stringify(before),
          refused,
          broken,
          requests: "",
          "fast/sleep": "#!/bin/sh\nexec /bin/sleep 0.01\n",
        };
        await machine.run("install -d /tmp/fast");
        for (const [name, text] of Object.entries(files)) {
          await machine.run(`cat > /tmp/${name}`, text);
        }
        const task = taskOf(await describeStack(), "database-settings");
        const result = await machine.attempt(
          `chmod +x /tmp/fast/sleep; PATH=/tmp/fast:$PATH; ${taskScript(task)}`,
          secretsInput({ api_password: "api-password" }),
        );
        const log = (await machine.run("cat /tmp/requests")).split("\n").filter(Boolean);
        const entries = log.map((line): [string, string, string, string, string, boolean] =>
          JSON.parse(line),
        );
        return {
          ...result,
          requests: entries.map(([member, method, path]) => `${member} ${method} ${path}`),
          ready: entries.map((entry) => entry[5]),
          authorizations: entries.map((entry) => entry[3]),
          config: JSON.parse(await machine.run("cat /tmp/patroni-config")),
          noted: JSON.parse(await machine.run("cat /etc/hastack/.dynamic || echo {}")),
          pending: JSON.parse(await machine.run("cat /tmp/patroni-db-2")).pending_restart === true,
        } satisfies Outcome;
      }

      it("D2, D7: go in with the password; who must restart does, the standby first", async () => {
        const { code, stdout, stderr, requests, authorizations } = await apply();
        assert.equal(code, 0, stderr);
        assert.deepEqual(requests, [
          "db-1 PUT /config",
          "db-2 POST /restart",
          "db-1 POST /restart",
        ]);
        assert.deepEqual([...new Set(authorizations)], [`Basic ${credentials}`]);
        assert.match(stdout, /^the settings are in force$/m);
      });

      it("D2: take the place of all there was: a parameter that is not set any more is gone", async () => {
        const { config } = await apply({ pending: false });
        const { pause: _, ...rest } = config;
        assert.deepEqual(rest, dynamicConfiguration(settings, topology));
        assert.ok(!JSON.stringify(config).includes("work_mem"));
      });

      it("D2: leave an operator's pause as it is", async () => {
        assert.equal((await apply({ pending: false })).config.pause, true);
      });

      it("D2: restart nobody who need not", async () => {
        const { code, requests } = await apply({ pending: false });
        assert.deepEqual([code, requests], [0, ["db-1 PUT /config"]]);
      });

      it("D2: restart the primary only once the standby is synchronous again", async () => {
        const { requests, ready } = await apply({ catchUp: 20 });
        assert.equal(ready[requests.indexOf("db-1 POST /restart")], true);
      });

      it("D2: restart the standby once more where it takes a smaller value after the primary, when it has replayed that", async () => {
        const { code, requests, pending, stderr } = await apply({ smaller: true });
        assert.equal(code, 0, stderr);
        assert.deepEqual(requests, [
          "db-1 PUT /config",
          "db-2 POST /restart",
          "db-1 POST /restart",
          "db-2 POST /restart",
        ]);
        assert.equal(pending, false);
      });

      it("W10: are noted on the machine as they are in etcd, also when they are taken back", async () => {
        const done = await apply({ pending: false });
        assert.deepEqual(done.noted, done.config);
        const failed = await apply({ broken: "db-2" });
        assert.deepEqual([failed.noted, failed.config], [before, before]);
      });

      it("W6: that Patroni refuses leave in etcd what was there, and fail", async () => {
        const { code, stderr, requests, config } = await apply({ refused: "failsafe_mode" });
        assert.deepEqual(requests, ["db-1 PUT /config", "db-1 PUT /config"]);
        assert.deepEqual(config, before);
        assert.notEqual(code, 0);
        assert.match(stderr, /the settings before are back in etcd/);
      });

      for (const [member, who, requests] of [
        ["db-2", "the standby", ["db-2 POST /restart"]],
        ["db-1", "the primary", ["db-2 POST /restart", "db-1 POST /restart"]],
      ] as const) {
        it(`W6: are taken back where ${who} cannot restart with them`, async () => {
          const outcome = await apply({ broken: member });
          assert.deepEqual(outcome.requests, ["db-1 PUT /config", ...requests, "db-1 PUT /config"]);
          assert.deepEqual(outcome.config, before);
          assert.notEqual(outcome.code, 0);
          assert.match(outcome.stdout, /the restart failed/);
          assert.match(outcome.stderr, /the settings before are back in etcd/);
        });
      }

      it("W6: are taken back where the standby does not come back, and the primary is let be", async () => {
        const { code, stderr, requests, config } = await apply({ catchUp: 10_000 });
        assert.deepEqual(requests, ["db-1 PUT /config", "db-2 POST /restart", "db-1 PUT /config"]);
        assert.deepEqual(config, before);
        assert.notEqual(code, 0);
        assert.match(stderr, /^no member is a synchronous standby$/m);
      });
    });
  });
});

const whole = `scope: hastack
namespace: /service/
name: db-2
restapi:
  listen: 10.2.0.32:8008
  connect_address: 10.2.0.32:8008
  certfile: "@{folder}/tls/patroni-api.pem"
  cafile: "@{folder}/tls/patroni-api-ca.crt"
  verify_client: optional
  authentication:
    username: patroni
    password: "@{patroni_api_password}"
ctl:
  cacert: "@{folder}/tls/patroni-api-ca.crt"
  certfile: "@{folder}/tls/patroni-api.pem"
etcd3:
  protocol: https
  hosts:
    - 10.2.0.21:2379
    - 10.2.0.22:2379
    - 10.2.0.23:2379
  username: patroni
  password: "@{etcd_patroni_password}"
  cacert: "@{folder}/tls/quorum-client-ca.crt"
  cert: "@{folder}/tls/etcd-client.pem"
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 1
    retry_timeout: 3
    primary_start_timeout: 0
    maximum_lag_on_failover: 1048576
    synchronous_mode: true
    synchronous_mode_strict: false
    failsafe_mode: true
    postgresql:
      use_pg_rewind: true
      use_slots: true
      parameters:
        max_connections: 100
        shared_buffers: 128MB
        wal_sender_timeout: 1800ms
        wal_receiver_timeout: 3s
        wal_keep_size: 128MB
        max_wal_size: 512MB
        max_slot_wal_keep_size: 1024MB
        password_encryption: scram-sha-256
        idle_in_transaction_session_timeout: 60s
        tcp_keepalives_idle: 5
        tcp_keepalives_interval: 2
        tcp_keepalives_count: 3
        log_min_duration_statement: 1s
        log_parameter_max_length: 0
        log_parameter_max_length_on_error: 0
        log_min_error_statement: panic
  initdb:
    - data-checksums
    - encoding: UTF8
    - locale-provider: builtin
    - locale: C.UTF-8
postgresql:
  listen: 10.2.0.32:5432
  connect_address: 10.2.0.32:5432
  bin_dir: /usr/lib/postgresql/17/bin
  data_dir: /var/lib/postgresql/17/hastack
  pgpass: /run/hastack-database/pgpass
  use_unix_socket: true
  remove_data_directory_on_diverged_timelines: false
  remove_data_directory_on_rewind_failure: false
  bin_name:
    pg_rewind: "@{folder}/bin/pg_rewind"
  create_replica_methods:
    - standby_care
  standby_care:
    command: "@{folder}/bin/standby-care copy"
    keep_data: true
  authentication:
    superuser:
      username: postgres
      password: "@{postgres_password}"
    replication:
      username: replicator
      password: "@{replicator_password}"
      sslmode: verify-full
      sslrootcert: "@{folder}/tls/database-ca.crt"
      sslcert: "@{folder}/tls/replicator.pem"
      sslkey: "@{folder}/tls/replicator.pem"
    rewind:
      username: rewinder
      password: "@{rewinder_password}"
      sslmode: verify-full
      sslrootcert: "@{folder}/tls/database-ca.crt"
      sslcert: "@{folder}/tls/rewinder.pem"
      sslkey: "@{folder}/tls/rewinder.pem"
  parameters:
    ssl: true
    ssl_cert_file: "@{folder}/tls/postgres.pem"
    ssl_key_file: "@{folder}/tls/postgres.pem"
    ssl_ca_file: "@{folder}/tls/database-ca.crt"
    ssl_min_protocol_version: TLSv1.3
    unix_socket_directories: /run/postgresql
    hastack.member: db-2
  pg_hba:
    - local all postgres peer
    - include_if_exists @{folder}/plaintext-rules.conf
    - hostssl replication replicator 10.2.0.31/32 scram-sha-256 clientcert=verify-full
    - hostssl replication replicator 10.2.0.32/32 scram-sha-256 clientcert=verify-full
    - hostssl postgres rewinder 10.2.0.31/32 scram-sha-256 clientcert=verify-full
    - hostssl postgres rewinder 10.2.0.32/32 scram-sha-256 clientcert=verify-full
    - host all postgres,replicator,rewinder all reject
    - hostssl hastack all 10.2.0.11/32 scram-sha-256
    - hostssl hastack all 10.2.0.12/32 scram-sha-256
    - hostssl hastack_prove hastack_prove 10.2.0.11/32 scram-sha-256
    - hostssl hastack_prove hastack_prove 10.2.0.12/32 scram-sha-256
    - hostssl hastack migrator 10.2.0.0/24 scram-sha-256
    - host all all all reject
tags:
  nofailover: false
  noloadbalance: false
`;

const parameters = `max_connections = '100'
shared_buffers = '128MB'
wal_sender_timeout = '1800ms'
wal_receiver_timeout = '3s'
wal_keep_size = '128MB'
max_wal_size = '512MB'
max_slot_wal_keep_size = '1024MB'
password_encryption = 'scram-sha-256'
idle_in_transaction_session_timeout = '60s'
tcp_keepalives_idle = '5'
tcp_keepalives_interval = '2'
tcp_keepalives_count = '3'
log_min_duration_statement = '1s'
log_parameter_max_length = '0'
log_parameter_max_length_on_error = '0'
log_min_error_statement = 'panic'
`;

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { commandLine } from "../../../../infra/platform/shell.ts";
import {
  haproxyHasRead,
  leavingVariable,
  renderHaproxy,
  statsSocket,
} from "../../../../infra/render/haproxy.ts";
import { until } from "../../../../lib/until.ts";
import { keepDrained, readServers } from "../../../../operate/act/balancers.ts";
import { type Container, start } from "../../../support/unit/containers.ts";
import { first, planWith } from "../../../support/unit/fixtures.ts";
import { imageFor } from "../../../support/unit/images.ts";
import { Issuer } from "../../../support/unit/issuer.ts";
import { onMachines } from "../../../support/unit/machine-stack.ts";
import { Delivered } from "../../../support/unit/programs.ts";
import { describeStack, recordStack, workloadOf } from "../../../support/unit/stack.ts";

function rendered(changes: Readonly<Record<string, unknown>> = {}, text?: string): string {
  const { settings, topology, application } = planWith(changes, text);
  return renderHaproxy(settings, topology, application, first(topology.members.loadBalancer));
}

/** The hash by which a configuration describes itself. */
function versionOf(text: string): string {
  const [, version] = /^ {2}description configuration ([0-9a-f]{12})$/m.exec(text) ?? [];
  if (version === undefined) throw new Error("the configuration describes itself by no hash");
  return version;
}

/** Lines of one section, such as `backend admin`. */
function section(text: string, title: string): string[] {
  const found = text.split("\n\n").find((part) => part.startsWith(`${title}\n`));
  if (!found) throw new Error(`there is no ${title}`);
  return found.split("\n").map((line) => line.trim());
}

/** How a listener names the interface of a network. */
const on = (network: string) => `interface "$\{${network}_INTERFACE}"`;

describe("haproxy.cfg", () => {
  it("L1 to L7: is this for the first load balancer", () => {
    const text = rendered();
    assert.equal(text.replace(versionOf(text), "VERSION"), whole);
  });

  it("L8: describes itself by a hash that differs for every other configuration", () => {
    const changes: readonly Readonly<Record<string, unknown>>[] = [
      {},
      // These stand in the global section alone
      { loadBalancer: { maxConnections: 500, perSource: { connections: 100 } } },
      { loadBalancer: { reloadDrainSeconds: 60 } },
      { loadBalancer: { balance: "leastconn" } },
      { tiers: { storefront: { instances: 3 } } },
      { database: { maxConnections: 101 } },
    ];
    const versions = changes.map((one) => versionOf(rendered(one)));
    const { settings, topology, application } = planWith();
    const self = first(topology.members.loadBalancer);
    const other = renderHaproxy(settings, topology, application, self, "other certificates");
    versions.push(versionOf(other));
    assert.equal(new Set(versions).size, changes.length + 1);
    assert.equal(versionOf(rendered()), versions[0]);
  });

  it("L8: describes itself by the same hash where only keepalived's settings differ, so that it is not reloaded", () => {
    const changed = rendered({ loadBalancer: { advertSeconds: 0.5, trackSeconds: 0.5 } });
    assert.equal(changed, rendered());
  });

  it("A6: leads to the mail server where there is one, from the backend only", () => {
    assert.doesNotMatch(rendered(), /mail/);
    const smtp = { host: "mail.example", port: 465, from: "a@example.org" };
    assert.deepEqual(section(rendered({ smtp }), "listen mail"), [
      "listen mail",
      "mode tcp",
      "option tcplog",
      "timeout connect 5s",
      "timeout client 1m",
      "timeout server 1m",
      `bind 10.2.0.11:2525,10.2.0.100:2525 ${on("BACKEND")}`,
      "bind 10.2.0.11:2525,10.2.0.100:2525 interface lo",
      "tcp-request connection reject unless { src 10.2.0.41 10.2.0.42 }",
      "server mail mail.example:465 init-addr none resolvers system",
    ]);
  });

  it("L1: takes algorithm and connection limits from the settings", () => {
    const text = rendered({
      loadBalancer: {
        ...{ balance: "leastconn", maxConnections: 500, maxConnectionsPerInstance: 50 },
        perSource: { connections: 100 },
      },
    });
    assert.ok(section(text, "global").includes("maxconn 500"));
    for (const backend of ["storefront", "storefront_writes", "admin", "admin_writes"]) {
      const lines = section(text, `backend ${backend}`);
      assert.ok(lines.includes("balance leastconn"));
      assert.ok(lines.some((line) => line.startsWith("default-server maxconn 50 ")));
    }
  });

  it("L1: has as many threads as the settings say, or as HAProxy chooses", () => {
    const global = (changes = {}) => section(rendered(changes), "global");
    assert.ok(global({ loadBalancer: { threads: 1 } }).includes("nbthread 1"));
    assert.ok(!global().some((line) => line.startsWith("nbthread")));
  });

  it("L2: takes the checks' intervals from the settings", () => {
    const text = rendered({
      loadBalancer: { checkIntervalMilliseconds: 900, checkFastIntervalMilliseconds: 300 },
    });
    const line = "default-server inter 900ms fastinter 300ms downinter 300ms fall 2 rise 1";
    assert.ok(section(text, "defaults").includes(line));
  });

  it("L1: takes weights, shares and time limits from the settings", () => {
    const text = rendered({
      loadBalancer: {
        weights: { "storefront-1": 50 },
        rise: 3,
        fall: 4,
        timeouts: { clientSeconds: 31, requestSeconds: 11, keepAliveSeconds: 12, queueSeconds: 6 },
        perSource: { connections: 7, requestsPerTenSeconds: 8, unlimited: ["192.0.2.0/24"] },
        uploads: { perSource: 2, perInstance: 9, queueSeconds: 21 },
        operators: ["198.51.100.0/24"],
        databaseClients: ["10.2.0.200/32"],
      },
    });
    for (const kind of ["", "_writes", "_uploads"]) {
      const servers = section(text, `backend storefront${kind}`).filter((one) =>
        /^server/.test(one),
      );
      assert.deepEqual(
        servers.map((one) => / weight (\d+) /.exec(one)?.[1]),
        ["50", "100"],
      );
    }
    assert.doesNotMatch(section(text, "backend admin").join("\n"), /weight/);
    const defaults = section(text, "defaults");
    for (const line of ["client 31s", "http-request 11s", "http-keep-alive 12s", "queue 6s"]) {
      assert.ok(defaults.includes(`timeout ${line}`), line);
    }
    assert.ok(defaults.some((line) => line.endsWith(" fall 4 rise 3")));
    const web = section(text, "frontend web").join("\n");
    assert.match(web, /accept if \{ src 10\.1\.0\.1 192\.0\.2\.0\/24 \}/);
    assert.match(web, /reject if \{ sc_conn_cur\(0\) gt 7 \} \|\| \{ sc_conn_rate\(0\) gt 8 \}/);
    assert.match(web, /wait-for-body time 11s/);
    assert.match(web, /429 if \{ sc_conn_cur\(1\) gt 2 \}/);
    const long = section(text, "backend storefront_uploads");
    assert.ok(long.includes("timeout queue 21s"));
    assert.ok(long.some((line) => line.startsWith("default-server maxconn 9 ")));
    assert.match(text, /unless \{ src 10\.1\.0\.0\/24 127\.0\.0\.1 198\.51\.100\.0\/24 \}/);
    assert.match(text, /unless \{ src 10\.2\.0\.200\/32 10\.2\.0\.41 /);
  });

  it("W8: has one server line for each instance that there is", () => {
    const text = rendered({ tiers: { storefront: { instances: 3 }, admin: { instances: 1 } } });
    const servers = (title: string) =>
      section(text, title).filter((line) => line.startsWith("server "));
    assert.deepEqual(servers("backend storefront"), [
      "server storefront-1 10.2.0.41:3000 verifyhost 10-2-0-41-3000.instance tcp-ut 2s check",
      "server storefront-2 10.2.0.42:3000 verifyhost 10-2-0-42-3000.instance tcp-ut 2s check",
      "server storefront-3 10.2.0.43:3000 verifyhost 10-2-0-43-3000.instance tcp-ut 2s check",
    ]);
    assert.deepEqual(servers("backend admin"), [
      "server admin-1 10.2.0.51:3001 verifyhost 10-2-0-51-3001.instance tcp-ut 2s check",
    ]);
    assert.deepEqual(servers("backend admin_writes"), [
      "server admin-1 10.2.0.51:3001 verifyhost 10-2-0-51-3001.instance tcp-ut 2s track admin/admin-1 pool-conn-name var(txn.alone)",
    ]);
  });

  it("L5: never lets more sessions to a member than PostgreSQL accepts connections", () => {
    const text = rendered({ database: { maxConnections: 250 } });
    for (const title of ["backend primary", "backend standby"]) {
      const line = "default-server maxconn 250 on-marked-down shutdown-sessions";
      assert.ok(section(text, title).includes(line), title);
    }
  });

  it("L3: shows statistics with a password, not at the virtual address, without a version", () => {
    const lines = section(rendered(), "frontend statistics");
    assert.deepEqual(
      lines.filter((line) => line.startsWith("bind")),
      [
        `bind 10.1.0.11:8404 ${on("FRONTEND")}`,
        "bind 10.1.0.11:8404 interface lo",
        "bind 127.0.0.1:8404",
      ],
    );
    assert.ok(lines.includes("http-request auth realm hastack unless { http_auth(operators) }"));
    assert.ok(lines.includes("stats hide-version"));
  });

  it("N3: holds no password, only its place", () => {
    assert.deepEqual(rendered().match(/@\{\w+\}/g), ["@{stats_password}"]);
  });
});

/** Another application: two tiers with routes, one of which keeps connections open, and a worker. */
const shop = `
name: shop
tiers:
  - { name: web, command: [./web], port: 8000, health: { path: /ok }, responseSeconds: 7, instances: 1 }
  - name: office
    command: [./office]
    port: 8001
    routes: [{ path: /office }, { path: /api, methods: [POST, DELETE] }, { path: /api/read/ }]
    bodyLimitMegabytes: 1
    instances: 1
  - name: live
    command: [./live]
    port: 8002
    routes: [{ path: /office/live }, { path: /api, methods: [GET, PUT] }]
    webSocket: true
    serverSentEvents: true
    instances: 1
  - { name: worker, command: [./work] }
outside:
  payments: { host: pay.example, port: 443 }
  stockLevels: { host: 192.0.2.7, port: 8443 }
`;

describe("haproxy.cfg of another application", () => {
  it("O6: has the longest path last, where it wins, and each kind of request apart", () => {
    const lines = section(rendered({}, shop), "frontend web");
    const choose = (tier: string, path: string, below: string, methods?: string) => {
      const only = methods ? ` { method ${methods} }` : "";
      return `http-request set-var(txn.tier) str(${tier}) if { path,url_dec ${path} }${only} || { path,url_dec -m beg ${below} }${only}`;
    };
    assert.deepEqual(
      lines.filter((line) => /set-var\(txn.tier\)|_backend/.test(line)),
      [
        "http-request set-var(txn.tier) str(web)",
        choose("office", "/api", "/api/", "POST DELETE"),
        choose("live", "/api", "/api/", "GET PUT"),
        choose("office", "/office", "/office/"),
        choose("office", "/api/read/", "/api/read/"),
        choose("live", "/office/live", "/office/live/"),
        "use_backend %[var(txn.tier)]_uploads if { var(txn.long) -m bool }",
        "use_backend %[var(txn.tier)]_writes if !METH_GET",
        "use_backend %[var(txn.tier)]",
      ],
    );
  });

  it("O6: has each tier's port, health, times and body limit, and no worker", () => {
    const text = rendered({}, shop);
    const [web, office, live] = ["web", "office", "live"].map((name) =>
      section(text, `backend ${name}`),
    );
    for (const [index, reading] of [web, office, live].entries()) {
      const name = ["web", "office", "live"][index];
      // All that the kinds have in common
      const common = /^(timeout (?!queue)|balance|http-re\w+ deny|default-server ssl|retries)/;
      for (const kind of ["writes", "uploads"]) {
        assert.deepEqual(
          section(text, `backend ${name}_${kind}`).filter((line) => common.test(line)),
          reading?.filter((line) => common.test(line)),
        );
      }
    }
    assert.ok(
      web?.includes(
        "server web-1 10.2.0.41:8000 verifyhost 10-2-0-41-8000.instance tcp-ut 2s check",
      ),
    );
    assert.ok(web?.includes("http-check send meth GET uri /ok"));
    assert.ok(web?.includes("timeout server 7s"));
    assert.ok(office?.includes("timeout server 30s"));
    assert.ok(live?.includes("timeout server 1h"));
    assert.ok(live?.includes("timeout tunnel 1h"));
    const limit =
      "http-request deny deny_status 413 if { var(txn.tier) -m str office } { req.hdr(content-length) -m int gt 1048576 }";
    assert.deepEqual(
      section(text, "frontend web").filter((line) => line.includes("deny_status 413")),
      [limit],
    );
    assert.equal([web, office].flat().filter((line) => line?.includes("tunnel")).length, 0);
    assert.doesNotMatch(text, /worker/);
  });

  it("O6: leads to hosts outside from the backend only, by one port each", () => {
    const text = rendered({}, shop);
    assert.deepEqual(section(text, "listen outside_payments"), [
      "listen outside_payments",
      "mode tcp",
      "option tcplog",
      "timeout connect 5s",
      "timeout client 1m",
      "timeout server 1m",
      `bind 10.2.0.11:2600,10.2.0.100:2600 ${on("BACKEND")}`,
      "bind 10.2.0.11:2600,10.2.0.100:2600 interface lo",
      "tcp-request connection reject unless { src 10.2.0.41 10.2.0.51 10.2.0.71 10.2.0.81 10.2.0.82 }",
      "server outside_payments pay.example:443 init-addr none resolvers system",
    ]);
    const second = section(text, "listen outside_stockLevels");
    assert.ok(second.includes("bind 10.2.0.11:2601,10.2.0.100:2601 interface lo"));
    assert.ok(
      second.includes("server outside_stockLevels 192.0.2.7:8443 init-addr none resolvers system"),
    );
    assert.ok(section(text, "resolvers system").includes("parse-resolv-conf"));
    assert.doesNotMatch(rendered(), /outside_|resolvers/);
  });

  it("N1: lets in who comes from the virtual address where instances share a load balancer's machine", () => {
    const smtp = { host: "mail.example", port: 465, from: "a@example.org" };
    const text = rendered({ ...onMachines, smtp });
    const from = "tcp-request connection reject unless { src 10.2.0.100 10.2.0.11 10.2.0.12 }";
    for (const one of ["frontend primary", "frontend replicas", "listen mail"]) {
      assert.ok(section(text, one).includes(from), one);
    }
  });

  it("O6: has no way to an application of workers alone", () => {
    const text = rendered({}, "{ name: shop, tiers: [{ name: worker, command: [./work] }] }");
    const lines = section(text, "frontend web");
    assert.equal(lines.at(-1), "http-request deny deny_status 404");
    assert.doesNotMatch(text, /use_backend (?!standby)|backend worker|wait-for-body/);
  });
});

/**
 * Stand-ins for the application and the database members, played by a second HAProxy: each answers
 * with its name and what it got, by TLS as the proxies of instances. Maps in memory say who is well:
 * `set map` changes that.
 */
const standIns = `global
  stats socket /run/stand-ins.sock mode 600 level admin
  tune.bufsize 32768
defaults
  mode http
  timeout client 5s
  timeout server 5s
  timeout connect 1s
${[
  "storefront-1 10.2.0.41:3000",
  "storefront-2 10.2.0.42:3000",
  "admin-1 10.2.0.51:3001",
  "admin-2 10.2.0.52:3001",
]
  .map((line) => line.split(" "))
  .map(
    ([name, address]) => `frontend ${name}
  bind ${address} ssl crt /tmp/${name}.pem ca-file /etc/hastack/tls/instances-ca.crt verify required
  http-request return status 425 if { str(${name}),map(/tmp/away) -m found } !{ path /api/health }
  http-request return status 503 if { path /api/health } { str(${name}),map(/tmp/ill) -m found }
  http-request reject if !{ path /api/health } { str(${name}),map(/tmp/dying) -m found }
  http-request return status 200 hdr X-Stand-In ${name} content-type text/plain lf-string "${name} %[method] %[path] for=%[req.fhdr(x-forwarded-for)] fors=%[req.fhdr_cnt(x-forwarded-for)] id=%[req.fhdr(x-request-id)] forwarded=%[req.fhdr_cnt(forwarded)]" if !{ path /api/slow }
  use_backend nowhere if { path /api/slow }
`,
  )
  .join("")}
backend nowhere
  timeout connect 20s
  server nowhere 10.2.0.99:9
${["db-1 10.2.0.31", "db-2 10.2.0.32"]
  .map((line) => line.split(" "))
  .map(
    ([name, address]) => `frontend ${name}-patroni
  bind ${address}:8008 ssl crt /tmp/${name}.pem
  http-request return status 200 if { path /primary } { str(primary),map(/tmp/roles) ${name} }
  http-request return status 200 if { path /replica } { str(standby),map(/tmp/roles) ${name} }
  http-request return status 503
frontend ${name}
  bind ${address}:5432
  http-request return status 200 content-type text/plain string ${name}
`,
  )
  .join("")}`;

const startStandIns = "haproxy -D -p /tmp/stand-ins.pid -f /tmp/stand-ins.cfg";

describe("haproxy.cfg in HAProxy", function () {
  this.timeout(60_000);
  const issuer = new Issuer(planWith().topology);
  let machine: Container;
  let files: Delivered;
  let secrets: Readonly<Record<string, string>>;

  before(async function () {
    this.timeout(600_000);
    const workload = workloadOf(await describeStack(), "lb-1");
    const image = await imageFor(workload);
    files = new Delivered(image);
    secrets = await issuer.values("lb-1", workload.secrets);
    const { code, stderr } = await files.deliver(await recordStack(), "lb-1", { secrets });
    assert.equal(code, 0, stderr);
    machine = await start(image, "haproxy", {
      arguments: ["--cap-add=NET_ADMIN", `--volume=${files.volume}:/etc/hastack:ro`],
    });
    const addresses = ["10.1.0.11", "10.1.0.100", "10.2.0.11", "10.2.0.100"].concat(
      ["31", "32", "41", "42", "51", "52", "99"].map((host) => `10.2.0.${host}`),
    );
    await machine.run(addresses.map((one) => `ip address add ${one}/32 dev lo`).join("; "));
    await machine.run("cat > /tmp/stand-ins.cfg", standIns);
    for (const name of ["storefront-1", "storefront-2", "admin-1", "admin-2"]) {
      await machine.run(`cat > /tmp/${name}.pem`, await issuer.leaf(name, "instance"));
    }
    for (const name of ["db-1", "db-2"]) {
      await machine.run(`cat > /tmp/${name}.pem`, await issuer.leaf(name, "patroni-api"));
    }
    await machine.run(
      ": > /tmp/ill; : > /tmp/dying; : > /tmp/away; printf 'primary db-1\\nstandby db-2\\n' > /tmp/roles",
    );
    await machine.run(startStandIns);
    const command = commandLine(first(workload.processes).command);
    await machine.run(
      `install -d /run/haproxy; cd /etc/hastack; ${command} > /tmp/log 2>&1 & echo $! > /tmp/pid; until [ -S /run/haproxy/admin.sock ]; do sleep 0.1; done`,
    );
    await settled("storefront-1", "storefront-2", "admin-1", "admin-2");
  });
  after(async () => {
    await machine?.remove();
    await files?.remove();
  });

  /** Answer of the site: `CODE BODY`, by curl's arguments. */
  const ask = (request: string) =>
    machine.run(`: > /tmp/body; curl -s -o /tmp/body -w '%{http_code} ' ${request}; cat /tmp/body`);
  const site = "http://10.1.0.100";
  const bodyName = (answer: string) => answer.split(" ")[1];

  /** Takes effect at the stand-ins without a restart. */
  const tell = (command: string) =>
    machine.run("socat - UNIX-CONNECT:/run/stand-ins.sock", `${command}\n`);

  /** Waits until exactly these instances are up. */
  function settled(...names: string[]): Promise<string> {
    const script =
      "echo 'show servers state' | socat - UNIX-CONNECT:/run/haproxy/admin.sock | " +
      `awk '$2 ~ /^(storefront|admin)$/ && $6 == 2 { print $4 }' | sort | xargs`;
    return until(`${names} are up`, {
      probe: () => machine.run(script),
      done: (up) => up === [...names].sort().join(" "),
      limitSeconds: 30,
    });
  }

  it("L1: goes round robin over the storefronts", async () => {
    const script = `for i in 1 2 3 4; do curl -s ${site}/ | cut -d' ' -f1; done | sort | uniq -c`;
    const counts = (await machine.run(script)).split("\n").map((line) => line.trim());
    assert.deepEqual(counts, ["2 storefront-1", "2 storefront-2"]);
  });

  const routes: readonly [string, string, string][] = [
    ["GET", "/", "storefront"],
    ["GET", "/api/content", "storefront"],
    ["HEAD", "/api/content", "storefront"],
    ["POST", "/api/content", "admin"],
    ["DELETE", "/api/content/7", "admin"],
    ["POST", "/api/offers", "admin"],
    ["PUT", "/api/offers/7", "admin"],
    ["PATCH", "/api/offers/7", "admin"],
    ["GET", "/api/offers", "storefront"],
    ["POST", "/api/bookings", "storefront"],
    ["DELETE", "/api/bookings/7", "storefront"],
    ["POST", "/api/bookings/7/items", "storefront"],
    ["POST", "/api/account", "storefront"],
    ["POST", "/api/session", "storefront"],
    ["GET", "/api/openapi.json", "storefront"],
    ["POST", "/offers/7", "storefront"],
    ["POST", "/admin/reset-links", "admin"],
    ["GET", "/admin", "admin"],
    ["GET", "/admin/offers", "admin"],
    ["POST", "/admin/offers", "admin"],
    ["GET", "/administrators", "storefront"],
  ];
  it("L1, A5: sends the admin pages and the write API to the admin tier, all else to the storefront", async () => {
    const lines = routes.map(([method, path]) => {
      const request =
        method === "HEAD" ? "--head" : `--request ${method} --output /dev/null --dump-header -`;
      return `curl -s ${request} ${site}${path} | grep -i ^x-stand-in`;
    });
    const answers = (await machine.run(lines.join("\n"))).split("\n");
    assert.deepEqual(
      answers.map((answer) => answer.replace(/^.*: (\w+)-\d\s*$/, "$1")),
      routes.map(([, , tier]) => tier),
    );
  });

  it("L7: sets X-Forwarded-For and X-Request-Id anew, whatever a client brings along", async () => {
    const forged = ["X-Forwarded-For: 6.6.6.6", "X-Request-Id: mine", "Forwarded: for=6.6.6.6"];
    const headers = forged.map((line) => `-H '${line}' -H '${line}'`).join(" ");
    const answer = await ask(`--interface 10.1.0.11 ${headers} ${site}/`);
    assert.match(
      answer,
      /^200 storefront-\d GET \/ for=10\.1\.0\.11 fors=1 id=[0-9a-f]{8}-[0-9a-f-]{27} forwarded=0$/,
    );
    const id = (text: string) => text.match(/id=(\S+)/)?.[1];
    assert.notEqual(id(answer), id(await ask(`${site}/`)));
  });

  it("L3: does not show the instances' metrics to visitors, however the path is written", async () => {
    for (const path of [
      "/metrics",
      "/metrics?a=b",
      "/metrics/",
      "/METRICS",
      "/Metrics/",
      "/%6Detrics",
    ]) {
      assert.match(await ask(`${site}${path}`), /^404 /, path);
    }
    assert.match(await ask(`${site}/metrics-of-travel`), /^200 storefront/);
  });

  it("L3: shows its statistics with the password only, on their own port, without its version", async () => {
    const stats = "http://10.1.0.11:8404";
    const operator = "-u operator:mock-password-1-of-statistics";
    assert.match(await ask(`${stats}/`), /^401 /);
    assert.match(await ask(`-u operator:wrong ${stats}/`), /^401 /);
    assert.match(await ask(`${stats}/metrics`), /^401 /);
    const page = await ask(`${operator} ${stats}/`);
    assert.match(page, /^200 [\s\S]*storefront-1/);
    assert.doesNotMatch(page, /version 3\.|Version/);
    assert.match(await ask(`${operator} ${stats}/metrics`), /haproxy_server_status/);
    assert.match(await ask(`${stats}/healthz`), /^200 /);
    assert.equal(await ask("http://10.1.0.100:8404/ || true"), "000 ");
  });

  it("L2: takes an ill instance out, and lets it come back", async () => {
    await tell("add map /tmp/ill storefront-1 yes");
    await settled("storefront-2", "admin-1", "admin-2");
    assert.equal(bodyName(await ask(`${site}/`)), "storefront-2");
    assert.equal(bodyName(await ask(`${site}/`)), "storefront-2");
    await tell("del map /tmp/ill storefront-1");
    await settled("storefront-1", "storefront-2", "admin-1", "admin-2");
  });

  it("A7: repeats a read whose instance dies over it, and no booking: that one is told, with a 502", async () => {
    await tell("add map /tmp/dying storefront-1 yes");
    const codes = async (method: string) => {
      const curl = `curl -s -o /dev/null -w '%{http_code}\\n' -X ${method}`;
      const script = `for i in 1 2 3 4; do ${curl} ${site}/api/bookings; done | sort | uniq -c | xargs`;
      return machine.run(script);
    };
    assert.equal(await codes("GET"), "4 200");
    assert.equal(await codes("POST"), "2 200 2 502");
    assert.equal(await codes("DELETE"), "2 200 2 502");
    await tell("clear map /tmp/dying");
  });

  /** Nothing gets to these addresses any more, as to machines without power. */
  const cut = (...addresses: string[]) =>
    machine.run(`nft -f - << END
table ip cut
delete table ip cut
table ip cut {
  chain into {
    type filter hook input priority 0
    ip daddr { ${["10.2.0.99", ...addresses].join(", ")} } drop
  }
}
END`);

  it("A7: a write that an instance has got does not wait for long where its machine loses its power", async () => {
    await cut();
    const curl = `curl -s -m 15 -o /dev/null -w '%{http_code} %{time_total}' -X POST ${site}/api/slow || :`;
    const waiting = machine.run(curl);
    await sleep(1000);
    await cut("10.2.0.41", "10.2.0.42");
    const [code, seconds] = (await waiting).split(" ");
    await cut();
    await settled("storefront-1", "storefront-2", "admin-1", "admin-2");
    assert.equal(code, "502");
    assert.ok(Number(seconds) < 1 + 3 + 1, seconds);
  });

  it("A7: no write fails on a connection from before an instance's machine lost its power", async () => {
    // Where its own connection is closed instead of an answer, curl makes another and asks again
    const posts = () =>
      machine.run(
        `curl -s -o /dev/null -w '%{http_code} %{num_connects}\\n' -X POST "${site}/api/bookings?[1-8]" | sort | uniq -c | xargs`,
      );
    const withOne = "7 200 0 1 200 1";
    assert.equal(await posts(), withOne);
    await cut("10.2.0.41", "10.2.0.42");
    // With its power its connections are lost, and no goodbye is sent
    await machine.run("ss --kill --tcp state established sport = :3000; sleep 3");
    await cut();
    await settled("storefront-1", "storefront-2", "admin-1", "admin-2");
    assert.equal(await posts(), withOne);
  });

  it("A7: has another instance answer what one did not get, whatever it is; visitors see no 425", async () => {
    const codes = (method: string) =>
      machine.run(
        `for i in 1 2 3 4; do curl -s -o /dev/null -w '%{http_code}\\n' -X ${method} ${site}/api/bookings; done | sort | uniq -c | xargs`,
      );
    await tell("add map /tmp/away storefront-1 yes");
    for (const method of ["GET", "POST", "POST -d text", "DELETE"]) {
      assert.equal(await codes(method), "4 200", method);
    }
    await tell("add map /tmp/away storefront-2 yes");
    for (const method of ["GET", "POST", "DELETE"]) assert.equal(await codes(method), "4 503");
    await tell("clear map /tmp/away");
  });

  it("N5: talks to an instance of this name only, with a certificate of this stack's", async () => {
    const other = new Issuer(planWith().topology);
    const wrong: readonly (readonly [string, string])[] = [
      ["another's", await issuer.leaf("storefront-2", "instance")],
      ["another stack's", await other.leaf("storefront-1", "instance")],
    ];
    const own = await issuer.leaf("storefront-1", "instance");
    const show = async (pem: string) => {
      await machine.run("cat > /tmp/storefront-1.pem", pem);
      // A new process knows no session that could be resumed
      await machine.run(`${startStandIns} -sf $(cat /tmp/stand-ins.pid)`);
    };
    for (const [what, pem] of wrong) {
      await show(pem);
      await settled("storefront-2", "admin-1", "admin-2");
      assert.equal(bodyName(await ask(`${site}/`)), "storefront-2", what);
    }
    await show(own);
    await settled("storefront-1", "storefront-2", "admin-1", "admin-2");
  });

  it("N3: logs a path without what follows it: the token of a reset link is nobody's to read", async () => {
    assert.match(await ask(`${site}/reset?token=of-a-reset-link`), /^200 /);
    const log = await until("the request is logged", {
      probe: () => machine.run("cat /tmp/log"),
      done: (text) => text.includes(" /reset"),
      limitSeconds: 5,
    });
    assert.ok(!log.includes("of-a-reset-link"));
  });

  it("L6: has an error page of its own when no instance is left", async () => {
    await tell("add map /tmp/ill admin-1 yes");
    await tell("add map /tmp/ill admin-2 yes");
    await settled("storefront-1", "storefront-2");
    const answer = await machine.run(`curl -si ${site}/admin`);
    assert.match(answer, /^HTTP\/1\.1 503 [\s\S]*Retry-After: 3\r?\n[\s\S]*We will be right back/i);
    assert.match(await ask(`${site}/`), /^200 storefront/);
    for (const how of ["-X POST", "-H 'Accept: application/json'"]) {
      const path = how === "-X POST" ? "/api/offers" : "/admin";
      const json = await machine.run(`curl -si ${how} ${site}${path}`);
      assert.match(json, /^content-type: application\/json\r?$/im, path);
      assert.match(json, /\{"error":"unavailable",.*"requestId":"[0-9a-f-]{36}"\}$/, path);
    }
    assert.match(answer, /^content-type: text\/html; charset=utf-8\r?$/im);
    assert.match(answer, /Error 503, request <span>[0-9a-f-]{36}</);
    await tell("clear map /tmp/ill");
    await settled("storefront-1", "storefront-2", "admin-1", "admin-2");
    const { stdout } = await machine.attempt(`curl -si ${site}/api/offers`);
    assert.match(stdout, /^content-type: text\/plain/im, "the application's own stay as they are");
  });

  it("L10: answers 431 where the headers leave no room for a body", async () => {
    const headers = (bytes: number) =>
      `-H "Cookie: $(head -c ${bytes} /dev/zero | tr '\\0' a)" ${site}/api/offers`;
    assert.match(await ask(headers(15_000)), /^200 /);
    assert.match(await ask(headers(15_500)), /^431 \{"error":"headers-too-large"/);
    assert.match(await ask(`-d text ${headers(15_000)}`), /^200 /);
  });

  it("L10: lets one address try so many passwords in ten seconds, and no more", async () => {
    const tries = `for i in $(seq 22); do curl -s -o /dev/null -w '%{http_code}\\n' --interface 10.2.0.31`;
    const counted = "; done | sort | uniq -c | xargs";
    assert.equal(await machine.run(`${tries} -d a=b ${site}/login${counted}`), "20 200 2 429");
    const { stdout } = await machine.attempt(
      `curl -si --interface 10.2.0.31 -d a=b ${site}/admin/login/`,
    );
    assert.match(stdout, /^HTTP\/1\.1 429 [\s\S]*retry-after: 10[\s\S]*Too many requests/i);
    assert.equal(await machine.run(`${tries} ${site}/login${counted}`), "22 200");
    assert.match(await ask(`--interface 10.2.0.32 -d a=b ${site}/login`), /^200 /);
  });

  it("L10: shows its statistics to the frontend network and this machine alone", async () => {
    const answer = await ask("--interface 10.2.0.41 http://10.1.0.11:8404/healthz || true");
    assert.equal(answer, "000 ");
  });

  /** The database's listeners answer the tiers alone. */
  const storefront = "--interface 10.2.0.41";

  it("L10: lets nobody but the tiers to the database's listeners", async () => {
    for (const port of [5000, 5001]) {
      const url = `http://10.2.0.100:${port}/`;
      for (const other of ["10.2.0.11", "10.2.0.31", "10.1.0.11"]) {
        assert.equal(await ask(`--interface ${other} ${url} || true`), "000 ", other);
      }
      assert.match(await ask(`${storefront} ${url}`), /^200 db-/);
    }
  });

  it("L5: brings writes to the primary and reads to the standby, and follows a failover", async () => {
    for (const host of ["10.2.0.100", "10.2.0.11"]) {
      assert.equal(await ask(`${storefront} http://${host}:5000/`), "200 db-1");
      assert.equal(await ask(`${storefront} http://${host}:5001/`), "200 db-2");
    }
    await tell("set map /tmp/roles primary db-2");
    await tell("set map /tmp/roles standby db-1");
    await until("writes reach db-2", {
      probe: () => ask(`${storefront} http://10.2.0.100:5000/ || true`),
      done: (answer) => answer === "200 db-2",
      limitSeconds: 20,
    });
  });

  it("L5: brings reads to the primary while there is no standby", async () => {
    await tell("set map /tmp/roles standby nobody");
    await until("reads reach the primary", {
      probe: () => ask(`${storefront} http://10.2.0.100:5001/ || true`),
      done: (answer) => answer === "200 db-2",
      limitSeconds: 20,
    });
    await tell("set map /tmp/roles primary nobody");
    await until("writes reach nobody", {
      probe: () => ask(`${storefront} http://10.2.0.100:5000/ || true`),
      done: (answer) => answer.startsWith("000"),
      limitSeconds: 20,
    });
  });

  it("has nothing in its configuration that HAProxy warns of", async () => {
    const text = await machine.run("cd /etc/hastack && bin/haproxy-start -c -f haproxy.cfg 2>&1");
    assert.doesNotMatch(text, /WARNING/);
  });

  it("A6: with a mail server is a file that HAProxy takes where no name can be looked up", async () => {
    for (const host of ["mail.example", "10.2.0.200"]) {
      const changes = { smtp: { host, from: "a@example.org" } };
      const other = new Delivered(await imageFor(workloadOf(await describeStack(), "lb-1")));
      try {
        const recording = await recordStack({ changes });
        const { code, stderr } = await other.deliver(recording, "lb-1", { secrets });
        assert.equal(code, 0, stderr);
      } finally {
        await other.remove();
      }
    }
  });

  it("L2: each answer is its connection's last once it is about to give its addresses away", async () => {
    const admin = (command: string) =>
      machine.run(`echo '${command}' | socat - UNIX-CONNECT:${statsSocket}`);
    const connections = () =>
      machine.run(`curl -s -o /dev/null -w '%{num_connects} ' ${site}/ -o /dev/null ${site}/`);
    assert.equal(await connections(), "1 0 ");
    await admin(`experimental-mode on; set var ${leavingVariable} bool(true)`);
    assert.equal(await connections(), "1 1 ");
    await admin(`experimental-mode on; set var ${leavingVariable} bool(false)`);
    assert.equal(await connections(), "1 0 ");
  });

  it("L2: what an operator has drained stays so over a reload, and nothing else does", async () => {
    const admin = (command: string) =>
      machine.run(`echo '${command}' | socat - UNIX-CONNECT:${statsSocket}`);
    const reload = async () => {
      const version = "echo 'show info' | socat - UNIX-CONNECT:/run/haproxy/admin.sock | grep ^Pid";
      const before = await machine.run(version);
      await machine.run(`mkdir -p /run/hastack; ${keepDrained}; kill -USR2 $(cat /tmp/pid)`);
      await until("another worker serves", {
        probe: () => machine.attempt(version),
        done: ({ code, stdout }) => code === 0 && stdout.trim() !== before.trim(),
        limitSeconds: 30,
      });
    };
    const states = async () =>
      readServers(await admin("show stat"))
        .filter(({ backend }) => backend.startsWith("storefront"))
        .map(({ backend, name, status }) => `${backend}/${name} ${status.split(" ")[0]}`);
    const all = ["storefront", "storefront_writes", "storefront_uploads"];
    await admin("set server storefront/storefront-1 state drain");
    await admin("set server admin/admin-1 state maint");
    await reload();
    assert.deepEqual(
      await states(),
      all.flatMap((one) => [`${one}/storefront-1 DRAIN`, `${one}/storefront-2 UP`]),
    );
    await settled("storefront-1", "storefront-2", "admin-1", "admin-2");
    await admin("set server storefront/storefront-1 state ready");
    await reload();
    assert.deepEqual(
      await states(),
      all.flatMap((one) => [`${one}/storefront-1 UP`, `${one}/storefront-2 UP`]),
    );
  });

  it("L8: passes as read only once the HAProxy that serves has read it", async () => {
    const hasRead = async (text: string) =>
      (await machine.attempt(haproxyHasRead(text))).code === 0;
    const changes = { loadBalancer: { balance: "leastconn" } };
    const delivered = async (wanted: Readonly<Record<string, unknown>>) =>
      workloadOf(await describeStack(wanted), "lb-1").files.find(
        ({ path }) => path === "haproxy.cfg",
      )?.content ?? "";
    const [before, after] = [await delivered({}), await delivered(changes)];
    assert.deepEqual([await hasRead(before), await hasRead(after)], [true, false]);
    const { code, stderr } = await files.deliver(await recordStack({ changes }), "lb-1", {
      secrets,
    });
    assert.equal(code, 0, stderr);
    assert.deepEqual([await hasRead(before), await hasRead(after)], [true, false], "delivered");
    await machine.run("kill -USR2 $(cat /tmp/pid)");
    await until("HAProxy serves with the new file", {
      probe: () => hasRead(after),
      done: Boolean,
      limitSeconds: 30,
    });
    assert.equal(await hasRead(before), false);
  });

  it("L8: does not pass as read where no HAProxy answers", async () => {
    await machine.run(
      "kill -TERM $(cat /tmp/pid); while kill -0 $(cat /tmp/pid); do sleep 0.1; done",
    );
    const { code } = await machine.attempt(haproxyHasRead(rendered()));
    assert.notEqual(code, 0);
  });
});

/**
 * The shop's tiers, in Perl: each request is answered with the tier's name, but `/events`, which is
 * a stream that is silent for a while, and a connection that is upgraded, which echoes.
 */
const shopTiers = `
use IO::Socket::INET;
$SIG{CHLD} = "IGNORE";
for my $tier (["web", "127.0.0.1:8000"], ["office", "127.0.0.1:8001"], ["live", "127.0.0.1:8002"]) {
  next if fork;
  my ($name, $address) = @$tier;
  my $server = IO::Socket::INET->new(LocalAddr => $address, Listen => 64, ReuseAddr => 1) or die;
  while (my $client = $server->accept) {
    next if fork;
    $client->autoflush(1);
    my ($path, $upgrade, $length) = ("", 0, 0);
    while (my $line = <$client>) {
      $path = $1 if $line =~ m{^\\w+ (\\S+) HTTP};
      $upgrade = 1 if $line =~ /^upgrade:/i;
      $length = $1 if $line =~ /^content-length: (\\d+)/i;
      last if $line eq "\\r\\n";
    }
    read $client, my $body, $length if $length;
    if ($upgrade) {
      print $client "HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\\r\\n\\r\\n";
      while (my $line = <$client>) { print $client "echo $line" }
    } elsif ($path =~ m{/events}) {
      print $client "HTTP/1.1 200 OK\\r\\nContent-Type: text/event-stream\\r\\nConnection: close\\r\\n\\r\\ndata: 1\\n\\n";
      sleep 4;
      print $client "data: 2\\n\\n";
    } else {
      printf $client "HTTP/1.1 200 OK\\r\\nX-Tier: $name\\r\\nContent-Length: %d\\r\\nConnection: close\\r\\n\\r\\n$name", length $name;
    }
    exit;
  }
  exit;
}
`;

describe("haproxy.cfg of another application in HAProxy, by the proxies of its instances", function () {
  this.timeout(60_000);
  const instances = ["web-1", "office-1", "live-1"];
  const proxies = new Map<string, Delivered>();
  let machine: Container;
  let files: Delivered;

  before(async function () {
    this.timeout(600_000);
    const workload = workloadOf(await describeStack(), "lb-1");
    const image = await imageFor(workload);
    files = new Delivered(image);
    const { topology } = planWith({}, shop);
    const issuer = new Issuer(topology);
    const { code, stderr } = await files.deliver(await recordStack({ text: shop }), "lb-1", {
      secrets: await issuer.values("lb-1", workload.secrets),
    });
    assert.equal(code, 0, stderr);
    for (const name of instances) {
      const beside = new Delivered(image);
      proxies.set(name, beside);
      const { secrets } = workloadOf(await describeStack({}, shop), name);
      const made = await beside.deliver(await recordStack({ text: shop }), name, {
        secrets: await issuer.values(name, secrets),
      });
      assert.equal(made.code, 0, made.stderr);
    }
    const volumes = [...proxies].map(([name, { volume }]) => `--volume=${volume}:/${name}:ro`);
    machine = await start(image, "haproxy-shop", {
      arguments: ["--cap-add=NET_ADMIN", `--volume=${files.volume}:/etc/hastack:ro`, ...volumes],
    });
    const own = ["10.1.0.11", "10.1.0.100", "10.2.0.11", "10.2.0.100", "10.2.0.31", "10.2.0.32"];
    const backends = Object.values(topology.tiers).flatMap((all) => all.map((one) => one.backend));
    await machine.run(
      [...own, ...backends].map((one) => `ip address add ${one}/32 dev lo`).join("; "),
    );
    await machine.run("cat > /tmp/tiers.pl; perl /tmp/tiers.pl > /tmp/tiers.log 2>&1 &", shopTiers);
    for (const name of instances) {
      const {
        user = "",
        command,
        directories,
      } = first(workloadOf(await describeStack({}, shop), name).processes);
      const { path } = first(directories ?? []);
      await machine.run(
        `install -d -o ${user} ${path}; cd /${name}; setpriv --reuid=${user} --regid=${user} --clear-groups ${commandLine(command)} > /tmp/${name}.log 2>&1 &`,
      );
    }
    // A client that is silent is given one second, as if it were the half minute
    await machine.run(
      "cp -a /etc/hastack /tmp/short && cd /tmp/short && sed -i 's/timeout client 30s/timeout client 1s/' haproxy.cfg",
    );
    await machine.run(
      "install -d /run/haproxy; cd /tmp/short; bin/haproxy-start -W -db -f haproxy.cfg > /tmp/log 2>&1 & until [ -S /run/haproxy/admin.sock ]; do sleep 0.1; done",
    );
    await until("all tiers are up", {
      probe: () =>
        machine.run("curl -s http://10.1.0.100/ http://10.1.0.100/office/ http://10.1.0.100/api"),
      done: (answer) => answer === "webofficelive",
      limitSeconds: 20,
    });
  });
  after(async () => {
    await machine?.remove();
    for (const one of [files, ...proxies.values()]) await one?.remove();
  });

  it("has nothing in its configuration that HAProxy warns of", async () => {
    const text = await machine.run("cd /etc/hastack && bin/haproxy-start -c -f haproxy.cfg 2>&1");
    // Here there is no network, and no name server in it
    const warnings = text.split("\n").filter((line) => line.includes("WARNING"));
    const others = warnings.filter((line) => !line.includes("resolvers 'system': can't connect"));
    assert.deepEqual(others, []);
    assert.doesNotMatch(text, /ALERT/);
  });

  const routes: readonly [string, string, string][] = [
    ["GET", "/", "web"],
    ["GET", "/officer", "web"],
    ["GET", "/office", "office"],
    ["GET", "/office?next=/office/live", "office"],
    ["GET", "/office/live", "live"],
    ["POST", "/office/live/1", "live"],
    ["POST", "/office/lives", "office"],
    ["POST", "/api", "office"],
    ["DELETE", "/api/things/1", "office"],
    ["GET", "/api", "live"],
    ["PUT", "/api/things/1", "live"],
    ["GET", "/api/read/1", "office"],
    ["PUT", "/api/read/", "office"],
    ["GET", "/api/read", "live"],
    ["PATCH", "/api", "web"],
    ["GET", "/apis", "web"],
    ["GET", "/%6Fffice", "office"],
    ["GET", "/%6fffice%2Fbooks", "office"],
    ["GET", "/office%3Fbooks", "web"],
  ];
  it("O6: sends each request to the tier whose route has the longest path", async () => {
    const lines = routes.map(
      ([method, path]) => `curl -s -X ${method} 'http://10.1.0.100${path}'; echo`,
    );
    assert.deepEqual(
      (await machine.run(lines.join("\n"))).split("\n"),
      routes.map(([, , tier]) => tier),
    );
  });

  /** Asks with this body length announced; a body of `sent` bytes follows. @returns the first line */
  const announce = (path: string, length: string, sent: number) =>
    machine.run(
      `{ printf 'POST ${path} HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: ${length}\\r\\n\\r\\n'; head -c ${sent} /dev/zero; sleep 1; } | socat -t 2 - TCP:10.1.0.100:80 | head -1`,
    );

  it("O6: refuses a body that is announced as larger than the tier takes, and no other", async () => {
    assert.match(await announce("/office", "1048576", 1_048_576), /^HTTP\/1\.1 200 /);
    for (const length of ["1048577", "4294967396", "9223372036854775807"]) {
      assert.match(await announce("/office", length, 0), /^HTTP\/1\.1 413 /, length);
    }
    assert.match(await announce("/", "1048577", 1_048_577), /^HTTP\/1\.1 200 /);
  });

  it("L10: answers 408 where a short body does not come, before an instance has seen any of it", async () => {
    const script = `{ printf 'POST /api HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: 100\\r\\n\\r\\nabc'; sleep 12; } | socat -t 1 - TCP:10.1.0.100:80`;
    const [answer, log] = [await machine.run(script), await machine.run("cat /tmp/log")];
    assert.match(answer, /^HTTP\/1\.1 408 [\s\S]*^connection: close\r?$/im);
    assert.match(log, / \/api POST 408 .* web\/<NOSRV> /);
  });

  it("L10: lets one address send four long bodies at a time, of whatever kind, and short ones besides", async () => {
    const kinds = ["Content-Length: 500000", "Transfer-Encoding: chunked"];
    for (const kind of kinds) {
      const chunk = kind.includes("chunked") ? "printf '5000\\r\\n'; " : "";
      const send = `{ printf 'POST /office HTTP/1.1\\r\\nHost: a\\r\\n${kind}\\r\\n\\r\\n'; ${chunk}head -c 20000 /dev/zero; sleep 5; } | socat -t 0.1 - TCP:10.1.0.100:80,bind=10.1.0.11 | head -1`;
      const answers = await machine.run(
        `for i in 1 2 3 4 5 6; do ${send} & sleep 0.1; done; curl -s -o /dev/null -w 'short %{http_code}\\n' --interface 10.1.0.11 -d text http://10.1.0.100/office; wait`,
      );
      assert.equal(answers.match(/^HTTP\/1\.1 429 /gm)?.length, 2, `${kind}: ${answers}`);
      assert.match(answers, /^short 200$/m);
    }
  });

  it("O6: keeps a silent stream of events open", async () => {
    const answer = await machine.run("curl -sN --max-time 20 http://10.1.0.100/api/events");
    assert.equal(answer, "data: 1\n\ndata: 2\n");
  });

  it("O6: keeps a silent WebSocket open", async () => {
    const answer = await machine.run(
      "{ printf 'GET /api/socket HTTP/1.1\\r\\nHost: a\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\nSec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\\r\\n'; sleep 4; echo hello; sleep 1; } | socat -t 2 - TCP:10.1.0.100:80",
    );
    assert.match(answer, /^HTTP\/1\.1 101 /);
    assert.match(answer, /echo hello$/m);
  });
});

const whole = `global
  description configuration VERSION
  log stdout format raw local0 info
  default-path config
  user haproxy
  group haproxy
  maxconn 4000
  tune.bufsize 20480
  server-state-file /run/hastack/haproxy-drained
  stats socket /run/haproxy/admin.sock mode 600 level admin expose-fd listeners
  hard-stop-after 90s

defaults
  log global
  option dontlognull
  load-server-state-from-file global
  timeout connect 500ms
  timeout check 1s
  timeout client 30s
  timeout server 30s
  # For a client that sends its request slowly, or pauses between two requests
  timeout http-request 10s
  timeout http-keep-alive 10s
  # How long a request waits for a free place at an instance before it gets a 503
  timeout queue 5s
  default-server inter 500ms fastinter 250ms downinter 250ms fall 2 rise 1
  http-error status 400 content-type "text/html; charset=utf-8" lf-string "%[str(400),concat(-,txn.as),map(errors.map)]%[unique-id]%[str(end),concat(-,txn.as),map(errors.map)]" hdr Cache-Control no-store hdr Connection close
  http-error status 404 content-type "text/html; charset=utf-8" lf-string "%[str(404),concat(-,txn.as),map(errors.map)]%[unique-id]%[str(end),concat(-,txn.as),map(errors.map)]" hdr Cache-Control no-store hdr Connection close
  http-error status 408 content-type "text/html; charset=utf-8" lf-string "%[str(408),concat(-,txn.as),map(errors.map)]%[unique-id]%[str(end),concat(-,txn.as),map(errors.map)]" hdr Cache-Control no-store hdr Retry-After 3 hdr Connection close
  http-error status 413 content-type "text/html; charset=utf-8" lf-string "%[str(413),concat(-,txn.as),map(errors.map)]%[unique-id]%[str(end),concat(-,txn.as),map(errors.map)]" hdr Cache-Control no-store hdr Connection close
  http-error status 429 content-type "text/html; charset=utf-8" lf-string "%[str(429),concat(-,txn.as),map(errors.map)]%[unique-id]%[str(end),concat(-,txn.as),map(errors.map)]" hdr Cache-Control no-store hdr Retry-After 10 hdr Connection close
  http-error status 502 content-type "text/html; charset=utf-8" lf-string "%[str(502),concat(-,txn.as),map(errors.map)]%[unique-id]%[str(end),concat(-,txn.as),map(errors.map)]" hdr Cache-Control no-store hdr Retry-After 3 hdr Connection close
  http-error status 503 content-type "text/html; charset=utf-8" lf-string "%[str(503),concat(-,txn.as),map(errors.map)]%[unique-id]%[str(end),concat(-,txn.as),map(errors.map)]" hdr Cache-Control no-store hdr Retry-After 3 hdr Connection close
  http-error status 504 content-type "text/html; charset=utf-8" lf-string "%[str(504),concat(-,txn.as),map(errors.map)]%[unique-id]%[str(end),concat(-,txn.as),map(errors.map)]" hdr Cache-Control no-store hdr Retry-After 3 hdr Connection close

backend per_source
  stick-table type ip size 100k expire 1m store conn_cur,conn_rate(10s),http_req_rate(10s)

backend per_source_uploads
  stick-table type ip size 100k expire 1m store conn_cur

backend per_source_logins
  stick-table type ip size 100k expire 1m store http_req_rate(10s)

frontend web
  mode http
  option httplog
  maxconn 3600
  # A reload answers one more request on a kept connection, instead of closing it under the client
  option idle-close-on-response
  http-after-response set-header Connection close if { var(proc.leaving) -m bool } !{ status 101 }
  bind 10.1.0.11:80,10.1.0.100:80 interface "\${FRONTEND_INTERFACE}"
  bind 10.1.0.11:80,10.1.0.100:80 interface lo
  tcp-request connection accept if { src 10.1.0.1 }
  tcp-request connection track-sc0 src table per_source
  tcp-request connection reject if { sc_conn_cur(0) gt 1500 } || { sc_conn_rate(0) gt 5000 }
  # Clients cannot forge any of these headers
  unique-id-format %[uuid()]
  http-request set-header X-Request-Id %[unique-id]
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto http
  http-request del-header Forwarded
  log-format "%ci %[var(txn.path)] %HM %ST %B %Ta ms %b/%s %tsc %ID"
  http-request set-var(txn.path) path
  http-request set-var(txn.as) str(json) if { path,url_dec /api } || { path,url_dec -m beg /api/ }
  http-request set-var(txn.as) str(json) if { req.hdr(accept) -m beg application/json }
  http-response unset-var(txn.as)
  http-after-response set-header Content-Type application/json if { var(txn.as) -m found }
  # An instance's metrics are not for visitors, however they write the path
  http-request deny deny_status 404 if { path,url_dec -i /metrics /metrics/ }
  http-request deny deny_status 429 if { sc_http_req_rate(0) gt 5000 }
  http-request set-var(txn.head) req.hdrs,length
  http-request return status 431 content-type "text/html; charset=utf-8" lf-string "%[str(431),concat(-,txn.as),map(errors.map)]%[unique-id]%[str(end),concat(-,txn.as),map(errors.map)]" hdr Cache-Control no-store hdr Connection close if { var(txn.head) -m int gt 15360 }
  http-request track-sc2 src table per_source_logins if { sc_tracked(0) } { path,url_dec -i /login /login/ } { method POST }
  http-request track-sc2 src table per_source_logins if { sc_tracked(0) } { path,url_dec -i /api/session /api/session/ } { method POST }
  http-request track-sc2 src table per_source_logins if { sc_tracked(0) } { path,url_dec -i /admin/login /admin/login/ } { method POST }
  http-request deny deny_status 429 if { sc_http_req_rate(2) gt 20 }
  http-request set-var(txn.tier) str(storefront)
  http-request set-var(txn.tier) str(admin) if { path,url_dec /admin } || { path,url_dec -m beg /admin/ }
  http-request set-var(txn.tier) str(admin) if { path,url_dec /api/offers } { method POST PUT PATCH DELETE } || { path,url_dec -m beg /api/offers/ } { method POST PUT PATCH DELETE }
  http-request set-var(txn.tier) str(admin) if { path,url_dec /api/content } { method POST PUT PATCH DELETE } || { path,url_dec -m beg /api/content/ } { method POST PUT PATCH DELETE }
  http-request deny deny_status 413 if { var(txn.tier) -m str storefront } { req.hdr(content-length) -m int gt 33554432 }
  http-request deny deny_status 413 if { var(txn.tier) -m str admin } { req.hdr(content-length) -m int gt 33554432 }
  http-request wait-for-body time 10s unless { req.hdr(upgrade) -m found } !{ req.hdr(transfer-encoding) -m found }
  http-request set-var(txn.body) req.body_len
  http-request set-var(txn.long) bool(true) if { req.hdr(content-length),sub(txn.body) gt 0 }
  http-request set-var(txn.long) bool(true) if !{ req.hdr(content-length) -m found } { req.body_len,add(txn.head) gt 16500 }
  http-request track-sc1 src table per_source_uploads if { var(txn.long) -m bool } { sc_tracked(0) }
  http-request deny deny_status 429 if { sc_conn_cur(1) gt 4 }
  use_backend %[var(txn.tier)]_uploads if { var(txn.long) -m bool }
  use_backend %[var(txn.tier)]_writes if !METH_GET
  use_backend %[var(txn.tier)]

backend storefront
  mode http
  balance roundrobin
  option redispatch 1
  retries 3
  timeout server 45s
  option srvtcpka
  srvtcpka-idle 1s
  srvtcpka-intvl 1s
  http-response deny deny_status 503 if { status 425 }
  default-server maxconn 200 observe layer4 error-limit 3 on-error mark-down
  default-server ssl verify required ca-file tls/instances-ca.crt crt tls/load-balancer.pem ssl-min-ver TLSv1.3
  option httpchk
  http-check send meth GET uri /api/health
  http-check expect status 200
  retry-on conn-failure 425 empty-response response-timeout
  server storefront-1 10.2.0.41:3000 verifyhost 10-2-0-41-3000.instance tcp-ut 2s check
  server storefront-2 10.2.0.42:3000 verifyhost 10-2-0-42-3000.instance tcp-ut 2s check

backend storefront_writes
  mode http
  balance roundrobin
  option redispatch 1
  retries 3
  timeout server 45s
  option srvtcpka
  srvtcpka-idle 1s
  srvtcpka-intvl 1s
  http-response deny deny_status 503 if { status 425 }
  default-server maxconn 200 observe layer4 error-limit 3 on-error mark-down
  default-server ssl verify required ca-file tls/instances-ca.crt crt tls/load-balancer.pem ssl-min-ver TLSv1.3
  retry-on conn-failure 425
  # What is too long to be kept for another try: a new connection fails before any of it is sent
  http-request set-var(txn.alone) unique-id if { var(txn.body) -m int gt 8192 }
  server storefront-1 10.2.0.41:3000 verifyhost 10-2-0-41-3000.instance tcp-ut 2s track storefront/storefront-1 pool-conn-name var(txn.alone)
  server storefront-2 10.2.0.42:3000 verifyhost 10-2-0-42-3000.instance tcp-ut 2s track storefront/storefront-2 pool-conn-name var(txn.alone)

backend storefront_uploads
  mode http
  balance roundrobin
  option redispatch 1
  retries 3
  timeout server 45s
  option srvtcpka
  srvtcpka-idle 1s
  srvtcpka-intvl 1s
  http-response deny deny_status 503 if { status 425 }
  default-server maxconn 40 observe layer4 error-limit 3 on-error mark-down
  default-server ssl verify required ca-file tls/instances-ca.crt crt tls/load-balancer.pem ssl-min-ver TLSv1.3
  retry-on conn-failure 425
  timeout queue 20s
  http-request set-var(txn.alone) unique-id
  server storefront-1 10.2.0.41:3000 verifyhost 10-2-0-41-3000.instance tcp-ut 2s track storefront/storefront-1 pool-conn-name var(txn.alone) alpn h2,http/1.1
  server storefront-2 10.2.0.42:3000 verifyhost 10-2-0-42-3000.instance tcp-ut 2s track storefront/storefront-2 pool-conn-name var(txn.alone) alpn h2,http/1.1

backend admin
  mode http
  balance roundrobin
  option redispatch 1
  retries 3
  timeout server 45s
  option srvtcpka
  srvtcpka-idle 1s
  srvtcpka-intvl 1s
  http-response deny deny_status 503 if { status 425 }
  default-server maxconn 200 observe layer4 error-limit 3 on-error mark-down
  default-server ssl verify required ca-file tls/instances-ca.crt crt tls/load-balancer.pem ssl-min-ver TLSv1.3
  option httpchk
  http-check send meth GET uri /api/health
  http-check expect status 200
  retry-on conn-failure 425 empty-response response-timeout
  server admin-1 10.2.0.51:3001 verifyhost 10-2-0-51-3001.instance tcp-ut 2s check
  server admin-2 10.2.0.52:3001 verifyhost 10-2-0-52-3001.instance tcp-ut 2s check

backend admin_writes
  mode http
  balance roundrobin
  option redispatch 1
  retries 3
  timeout server 45s
  option srvtcpka
  srvtcpka-idle 1s
  srvtcpka-intvl 1s
  http-response deny deny_status 503 if { status 425 }
  default-server maxconn 200 observe layer4 error-limit 3 on-error mark-down
  default-server ssl verify required ca-file tls/instances-ca.crt crt tls/load-balancer.pem ssl-min-ver TLSv1.3
  retry-on conn-failure 425
  # What is too long to be kept for another try: a new connection fails before any of it is sent
  http-request set-var(txn.alone) unique-id if { var(txn.body) -m int gt 8192 }
  server admin-1 10.2.0.51:3001 verifyhost 10-2-0-51-3001.instance tcp-ut 2s track admin/admin-1 pool-conn-name var(txn.alone)
  server admin-2 10.2.0.52:3001 verifyhost 10-2-0-52-3001.instance tcp-ut 2s track admin/admin-2 pool-conn-name var(txn.alone)

backend admin_uploads
  mode http
  balance roundrobin
  option redispatch 1
  retries 3
  timeout server 45s
  option srvtcpka
  srvtcpka-idle 1s
  srvtcpka-intvl 1s
  http-response deny deny_status 503 if { status 425 }
  default-server maxconn 40 observe layer4 error-limit 3 on-error mark-down
  default-server ssl verify required ca-file tls/instances-ca.crt crt tls/load-balancer.pem ssl-min-ver TLSv1.3
  retry-on conn-failure 425
  timeout queue 20s
  http-request set-var(txn.alone) unique-id
  server admin-1 10.2.0.51:3001 verifyhost 10-2-0-51-3001.instance tcp-ut 2s track admin/admin-1 pool-conn-name var(txn.alone) alpn h2,http/1.1
  server admin-2 10.2.0.52:3001 verifyhost 10-2-0-52-3001.instance tcp-ut 2s track admin/admin-2 pool-conn-name var(txn.alone) alpn h2,http/1.1

frontend primary
  mode tcp
  option tcplog
  # Clients whose address has moved on to the other load balancer are heard no more: their sessions end within 5 s
  option clitcpka
  clitcpka-idle 2s
  clitcpka-intvl 1s
  clitcpka-cnt 3
  timeout client 1h
  bind 10.2.0.11:5000,10.2.0.100:5000 interface "\${BACKEND_INTERFACE}"
  bind 10.2.0.11:5000,10.2.0.100:5000 interface lo
  tcp-request connection reject unless { src 10.2.0.41 10.2.0.42 10.2.0.51 10.2.0.52 }
  default_backend primary

frontend replicas
  mode tcp
  option tcplog
  # Clients whose address has moved on to the other load balancer are heard no more: their sessions end within 5 s
  option clitcpka
  clitcpka-idle 2s
  clitcpka-intvl 1s
  clitcpka-cnt 3
  timeout client 1h
  bind 10.2.0.11:5001,10.2.0.100:5001 interface "\${BACKEND_INTERFACE}"
  bind 10.2.0.11:5001,10.2.0.100:5001 interface lo
  tcp-request connection reject unless { src 10.2.0.41 10.2.0.42 10.2.0.51 10.2.0.52 }
  use_backend standby if { nbsrv(standby) gt 0 }
  default_backend primary

backend primary
  mode tcp
  option srvtcpka
  timeout connect 200ms
  timeout server 1h
  option redispatch 1
  retries 10
  option httpchk
  http-check send meth OPTIONS uri /primary
  http-check expect status 200
  default-server maxconn 100 on-marked-down shutdown-sessions
  server db-1 10.2.0.31:5432 check port 8008 check-ssl verify required ca-file tls/patroni-api-ca.crt verifyhost db-1
  server db-2 10.2.0.32:5432 check port 8008 check-ssl verify required ca-file tls/patroni-api-ca.crt verifyhost db-2

backend standby
  mode tcp
  option srvtcpka
  timeout connect 200ms
  timeout server 1h
  option redispatch 1
  retries 10
  option httpchk
  http-check send meth OPTIONS uri /replica?lag=1048576
  http-check expect status 200
  default-server maxconn 100 on-marked-down shutdown-sessions
  server db-1 10.2.0.31:5432 check port 8008 check-ssl verify required ca-file tls/patroni-api-ca.crt verifyhost db-1
  server db-2 10.2.0.32:5432 check port 8008 check-ssl verify required ca-file tls/patroni-api-ca.crt verifyhost db-2

userlist operators
  user operator insecure-password @{stats_password}

frontend statistics
  mode http
  no log
  bind 10.1.0.11:8404 interface "\${FRONTEND_INTERFACE}"
  bind 10.1.0.11:8404 interface lo
  bind 127.0.0.1:8404
  tcp-request connection reject unless { src 10.1.0.0/24 127.0.0.1 }
  monitor-uri /healthz
  http-request auth realm hastack unless { http_auth(operators) }
  http-request use-service prometheus-exporter if { path /metrics }
  stats enable
  stats uri /
  stats refresh 5s
  stats hide-version
`;

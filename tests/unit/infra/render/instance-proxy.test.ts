import assert from "node:assert/strict";
import type { Process } from "../../../../infra/platform/platform.ts";
import { commandLine } from "../../../../infra/platform/shell.ts";
import { haproxyHasRead } from "../../../../infra/render/haproxy.ts";
import {
  cacheAddress,
  proxyDirectory,
  renderInstanceProxy,
} from "../../../../infra/render/instance-proxy.ts";
import { until } from "../../../../lib/until.ts";
import { type Container, start } from "../../../support/unit/containers.ts";
import { agency, first, planWith } from "../../../support/unit/fixtures.ts";
import { imageFor } from "../../../support/unit/images.ts";
import { Issuer } from "../../../support/unit/issuer.ts";
import { describeStack, workloadOf } from "../../../support/unit/stack.ts";

/** The proxy's configuration of a tier's first instance. */
function rendered(name: string, text = agency, changes = {}, certificates = "some"): string {
  const { settings, topology, application } = planWith(changes, text);
  const tier = application.tiers.find((one) => one.name === name);
  if (!tier) throw new Error(`there is no tier ${name}`);
  const self = first(topology.tiers[name] ?? []);
  return renderInstanceProxy(settings, topology, tier, self, {
    cache: application.cache,
    certificates,
  });
}

const withoutVersion = (text: string) => text.replace(/(?<=configuration )[0-9a-f]{12}/, "VERSION");

describe("proxy.cfg", () => {
  it("N5: is this for the first storefront", () => {
    assert.equal(withoutVersion(rendered("storefront")), whole);
  });

  it("N5: describes itself by a hash that differs for every other configuration or certificate", () => {
    const texts = [
      rendered("storefront"),
      rendered("storefront", agency, {}, "others"),
      rendered("storefront", agency, { loadBalancer: { maxConnectionsPerInstance: 500 } }),
      rendered("admin"),
    ];
    const versions = texts.map((text) => /configuration ([0-9a-f]{12})$/m.exec(text)?.[1]);
    assert.equal(new Set(versions).size, texts.length);
  });

  it("O6: keeps silent connections as long as the load balancers do, of tiers that have such", () => {
    const text = (more: string) =>
      rendered("web", `{ name: shop, tiers: [{ name: web, command: [w], port: 8000, ${more} }] }`);
    const times = (more: string) => text(more).match(/(?<=^ {2})timeout (server|tunnel) .*$/gm);
    assert.deepEqual(times("responseSeconds: 7"), ["timeout server 1h", "timeout server 12s"]);
    const long = ["timeout server 1h", "timeout server 61m", "timeout tunnel 61m"];
    assert.deepEqual(times("webSocket: true, serverSentEvents: true"), long);
  });

  it("A9: leads to no cache where the application uses none", () => {
    const text = "{ name: shop, tiers: [{ name: web, command: [w], port: 8000 }] }";
    assert.doesNotMatch(rendered("web", text), /cache/);
  });
});

/**
 * An application: tells what it got. `/die` breaks the connection, `/425` answers so by itself, `/early` does
 * not wait for the body, and closes.
 */
const program = `
import http from "node:http";
const [host, port, name] = process.argv.slice(2);
const server = http.createServer((request, response) => {
  if (request.url === "/die") return request.socket.destroy();
  if (request.url === "/425") { response.statusCode = 425; return response.end(name); }
  if (request.url === "/early") {
    response.writeHead(408, { "X-Own": "kept", Connection: "close" }).end(name);
    return setTimeout(() => request.socket.destroy(), 300);
  }
  let length = 0;
  request.on("data", (part) => { length += part.length; });
  request.on("end", () => {
    response.setHeader("X-Long", "x".repeat(Number(request.headers["x-wanted"] ?? 0)));
    const { "x-forwarded-for": client, "x-own": own = "" } = request.headers;
    const count = request.rawHeaders.length / 2;
    response.end(JSON.stringify({ name, method: request.method, length, client, own, count }) + "\\n");
  });
});
server.keepAliveTimeout = 60000;
server.listen(Number(port), host);
`;

/**
 * Clients of the site for some seconds: with connections that they keep and with new ones, that read
 * and that write. Prints how often which answer came.
 */
const clients = `
import http from "node:http";
const end = Date.now() + Number(process.argv[2]) * 1000;
const seen = {};
const one = (method, agent) => new Promise((done) => {
  const tell = (what) => { const key = method + " " + what; seen[key] = (seen[key] ?? 0) + 1; done(); };
  const request = http.request("http://10.1.0.100/", { method, agent }, (response) => {
    response.resume();
    response.on("end", () => tell(response.statusCode));
    response.on("error", (error) => tell(error.code));
  });
  request.on("error", (error) => tell(error.code));
  request.end(method === "POST" ? "a=b" : undefined);
});
const agents = [new http.Agent({ keepAlive: true }), new http.Agent({ keepAlive: false })];
await Promise.all(agents.flatMap((agent) => ["GET", "GET", "GET", "POST"].map(async (method) => {
  while (Date.now() < end) {
    await one(method, agent);
    await new Promise((done) => setTimeout(done, 10));
  }
})));
console.log(JSON.stringify(seen));
`;

/** Sends 20 KB of a long body and then byte by byte, whatever it is told, until it is ended; tells what it got. */
const dripping = `
import net from "node:net";
const socket = net.connect(80, "10.1.0.100");
socket.on("data", (data) => process.stdout.write(data)).on("error", () => {});
socket.write("POST /early HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: 1000000\\r\\n\\r\\n" + "x".repeat(20000));
setInterval(() => socket.write("x"), 100);
setTimeout(() => process.exit(), 20000);
`;

/** The clients here ask as often as they can. */
const unlimited = { loadBalancer: { perSource: { unlimited: ["10.0.0.0/8"] } } };

/** Both instances stand on one machine here, so each has an address and a socket of its own. */
const loopbacks = { "storefront-1": "127.0.0.1", "storefront-2": "127.0.0.2" } as const;
type Instance = keyof typeof loopbacks;
const instances = Object.keys(loopbacks) as Instance[];

describe("proxy.cfg in HAProxy, behind the load balancer's", function () {
  this.timeout(60_000);
  const plan = planWith();
  const issuer = new Issuer(plan.topology);
  const cacheServer = first(plan.topology.members.cache);
  let machine: Container;
  const commands = new Map<string, string>();

  before(async function () {
    this.timeout(600_000);
    const stack = await describeStack();
    machine = await start(await imageFor(workloadOf(stack, "lb-1")), "proxy", {
      arguments: ["--cap-add=NET_ADMIN", `--volume=${process.execPath}:/usr/local/bin/node:ro`],
    });
    const addresses = ["10.1.0.11", "10.1.0.100", "10.2.0.11", "10.2.0.100", cacheServer.backend]
      .concat(instances.map((one) => backendOf(one)))
      .concat("10.2.0.51", "10.2.0.52");
    await machine.run(addresses.map((one) => `ip address add ${one}/32 dev lo`).join("; "));
    await machine.run("cat > /tmp/program.mjs", program);
    await machine.run("cat > /tmp/clients.mjs", clients);
    for (const name of ["lb-1", ...instances]) await place(name);
    for (const name of instances) await startApplication(name);
    for (const name of ["lb-1", ...instances]) {
      await machine.run(
        `${commands.get(name)} > /tmp/${name}.log 2>&1 & echo $! > /tmp/${name}.pid`,
      );
    }
    await settled(...instances);
  });
  after(() => machine?.remove());

  const backendOf = (name: string) =>
    plan.topology.tiers.storefront?.find((one) => one.name === name)?.backend ?? "";

  /** Lays a workload's files out, with real certificates, and notes how its HAProxy starts. */
  async function place(name: string): Promise<void> {
    const { files, secrets, processes } = workloadOf(await describeStack(unlimited), name);
    const values = { stats_password: "x", ...(await issuer.values(name, secrets)) };
    for (const { path, content, owner = "root", mode = "0644" } of files) {
      if (!/\.(cfg|http|map|pem|crt)$|haproxy-start$/.test(path)) continue;
      const text = content
        .replaceAll(
          /@\{(\w+)\}/g,
          (_, key: string) => (values as Record<string, string>)[key] ?? "",
        )
        .replaceAll("127.0.0.1:3000", `${loopbacks[name as Instance]}:3000`)
        .replaceAll(proxyDirectory("storefront"), `/run/${name}`);
      const place = `/${name}/${path}`;
      await machine.run(
        `install -d $(dirname ${place}); cat > ${place}.new; chown ${owner}: ${place}.new; chmod ${mode} ${place}.new; mv ${place}.new ${place}`,
        text,
      );
    }
    commands.set(name, startOf(name, first(processes)));
  }

  function startOf(name: string, { command, user = "root", directories = [] }: Process): string {
    const folders = directories.map(
      ({ path }) =>
        `install -d -o ${user} ${path.replace(proxyDirectory("storefront"), `/run/${name}`)}`,
    );
    const as = `setpriv --reuid=${user} --regid=${user} --clear-groups`;
    return [...folders, `cd /${name}`, `${as} ${commandLine(command)}`].join("; ");
  }

  const startApplication = (name: Instance) =>
    machine.run(
      `node /tmp/program.mjs ${loopbacks[name]} 3000 ${name} > /tmp/${name}.app.log 2>&1 & echo $! > /tmp/${name}.app`,
    );

  /** Waits until the load balancer has exactly these instances. */
  function settled(...names: string[]): Promise<string> {
    const script =
      "echo 'show servers state' | socat - UNIX-CONNECT:/run/haproxy/admin.sock | " +
      `awk '$2 == "storefront" && $6 == 2 { print $4 }' | sort | xargs`;
    return until(`${names} are up`, {
      probe: () => machine.run(script),
      done: (up) => up === names.join(" "),
      limitSeconds: 30,
    });
  }

  const ask = (words: string) => machine.run(`curl -s ${words}`);
  const site = "http://10.1.0.100/";

  /** What comes of these clients while something happens, a second after they began. */
  async function during(seconds: number, happens: () => Promise<unknown>) {
    const running = machine.run(`node /tmp/clients.mjs ${seconds}`);
    await new Promise((done) => setTimeout(done, 1000));
    await happens();
    return JSON.parse(await running) as Record<string, number>;
  }

  it("L7: hands on what the load balancer says of the client, and nothing else", async () => {
    const headers = "-H 'X-Forwarded-For: 6.6.6.6' -H 'X-Own: kept'";
    const answer = JSON.parse(await ask(`--interface 10.1.0.11 ${headers} ${site}`));
    assert.deepEqual([answer.client, answer.own], ["10.1.0.11", "kept"]);
  });

  it("L1: lets pass whatever the load balancer does: long and many headers both ways, long bodies", async () => {
    const code = (words: string) => ask(`-o /tmp/body -w '%{http_code}' ${words} ${site}`);
    assert.equal(await code(`-H "X-A: $(head -c 14800 /dev/zero | tr '\\0' a)"`), "200");
    assert.equal(await code("-H 'X-Wanted: 14500'"), "200");
    // With those that curl adds, as many as HAProxy takes; the load balancer adds its own
    assert.equal(await code(`$(seq -f "-H X-%g:%g" 97 | xargs)`), "200");
    await machine.run("head -c 30000000 /dev/zero > /tmp/long");
    for (const how of ["", "-H 'Transfer-Encoding: chunked'"]) {
      const answer = JSON.parse(await ask(`${how} --data-binary @/tmp/long ${site}`));
      assert.equal(answer.length, 30_000_000);
    }
  });

  it("A7: tells visitors of an application's own 425 by a 503", async () => {
    for (const method of ["GET", "POST"]) {
      const answer = await ask(`-X ${method} -w ' %{http_code}' ${site}425`);
      assert.match(answer, /^storefront-\d 503$/);
    }
  });

  it("A7: has a write whose connection the application breaks fail as if there were no proxy", async () => {
    assert.equal(await ask(`-o /tmp/body -w '%{http_code}' -d a=b ${site}die`), "502");
  });

  it("L10: keeps no place for who goes on sending after the answer", async () => {
    await machine.run("cat > /tmp/dripping.mjs", dripping);
    const taken = async () => {
      const ask = "echo 'show stat' | socat - UNIX-CONNECT:/run/haproxy/admin.sock";
      return machine.run(
        `${ask} | awk -F, '$1 == "storefront_uploads" && $2 == "BACKEND" { print $5 }'`,
      );
    };
    await machine.run("node /tmp/dripping.mjs > /tmp/dripping & echo $! > /tmp/dripping.pid");
    await until("it has its answer", {
      probe: () => machine.run("cat /tmp/dripping"),
      done: (answer) => /^HTTP\/1\.1 408 [\s\S]*x-own: kept[\s\S]*storefront-\d/i.test(answer),
      limitSeconds: 5,
    });
    await until("its place is free", {
      probe: taken,
      done: (places) => places === "0",
      limitSeconds: 5,
    });
    await machine.run("kill $(cat /tmp/dripping.pid)");
  });

  /** How a connection to the first instance with this certificate ends. */
  const reach = async (pem: string) => {
    await machine.run("cat > /tmp/client.pem", pem);
    const how = "--max-time 3 -k -o /tmp/body -w '%{http_code}'";
    const client = pem === "" ? "" : "--cert /tmp/client.pem";
    const url = `https://${backendOf("storefront-1")}:3000/`;
    return (await machine.attempt(`curl -s ${how} ${client} ${url}`)).stdout;
  };

  it("N5: takes the certificates of this stack's load balancers, and no other; nothing plain", async () => {
    assert.equal(await reach(await issuer.leaf("lb-2", "load-balancer")), "200");
    const other = new Issuer(plan.topology);
    const refused: readonly (readonly [string, string])[] = [
      ["none", ""],
      ["another stack's", await other.leaf("lb-1", "load-balancer")],
      ["an instance's own", await issuer.leaf("storefront-1", "instance")],
      [
        "another's of this authority",
        await issuer.leaf("lb-1", "load-balancer", { commonName: "lb-3" }),
      ],
      ["the cache's client", await issuer.leaf("storefront-1", "cache-client")],
    ];
    for (const [what, pem] of refused) assert.equal(await reach(pem), "000", what);
    const plain = await machine.attempt(
      `curl -s --max-time 3 http://${backendOf("storefront-1")}:3000/`,
    );
    assert.notEqual(plain.code, 0);
  });

  it("N5: shows the application on the machine itself only", async () => {
    const listening = await machine.run("cat /proc/net/tcp");
    // 3000 is 0BB8; addresses are in the machine's own order of bytes
    const places = listening.match(/\w{8}(?=:0BB8 00000000:0000 0A)/g);
    assert.deepEqual(places?.sort(), ["0100007F", "0200007F", "2900020A", "2A00020A"]);
  });

  it("N5: leads to the cache by TLS, known by its name and authority, and to nothing else", async () => {
    const serve = async (name: string) => {
      await machine.run(
        "cat > /tmp/cache.pem",
        await issuer.leaf(cacheServer.name, "cache-server", { names: [name], commonName: name }),
      );
      const how = `bind=${cacheServer.backend},cert=/tmp/cache.pem,cafile=/storefront-1/tls/cache-ca.crt,verify=1,reuseaddr,fork`;
      await machine.run(
        `socat OPENSSL-LISTEN:6379,${how} EXEC:cat > /dev/null 2>&1 & echo $! > /tmp/cache.pid; sleep 0.5`,
      );
    };
    const end = () => machine.run("kill $(cat /tmp/cache.pid); sleep 0.2");
    const say = async () =>
      (await machine.attempt(`echo hello | socat -t 2 - TCP:${cacheAddress("storefront")}:6379`))
        .stdout;
    await serve(cacheServer.name);
    assert.equal(await say(), "hello\n");
    await end();
    await serve("cache-9");
    assert.equal(await say(), "");
    await end();
    assert.equal(await say(), "");
  });

  it("A7, W8: an application that is killed costs no read, and only the writes that it had", async () => {
    const seen = await during(8, async () => {
      for (let round = 0; round < 3; round += 1) {
        await machine.run("kill -9 $(cat /tmp/storefront-1.app)");
        await settled("storefront-2");
        await startApplication("storefront-1");
        await settled(...instances);
      }
    });
    const { "GET 200": reads = 0, "POST 200": writes = 0, ...others } = seen;
    assert.ok(reads > 200 && writes > 50, JSON.stringify(seen));
    const lost = Object.entries(others);
    // What was under way at one of two clients that write, three times
    assert.ok(
      lost.every(([what]) => /^POST (502|ECONNRESET)$/.test(what)),
      JSON.stringify(seen),
    );
    assert.ok(lost.reduce((sum, [, count]) => sum + count, 0) <= 6, JSON.stringify(seen));
  });

  it("W8: has no request fail while it reads a new configuration and certificate", async () => {
    const before = `${await machine.run("cat /storefront-1/proxy.cfg")}\n`;
    const socket = "/run/storefront-1/admin.sock";
    const served = () =>
      machine.run(
        `openssl s_client -connect ${backendOf("storefront-1")}:3000 -cert /lb-1/tls/load-balancer.pem < /dev/null 2> /dev/null | openssl x509 -noout -serial`,
      );
    const old = await served();
    const seen = await during(6, async () => {
      await place("storefront-1");
      await machine.run(
        "cat > /storefront-1/proxy.cfg",
        before.replace(/(?<=configuration )\w+/, "0123456789ab"),
      );
      await machine.run("kill -USR2 $(cat /tmp/storefront-1.pid)");
      await until("it serves with its new configuration", {
        probe: () =>
          machine.attempt(haproxyHasRead("  description configuration 0123456789ab", socket)),
        done: ({ code }) => code === 0,
        limitSeconds: 10,
      });
      assert.notEqual(await served(), old);
    });
    assert.deepEqual(Object.keys(seen).sort(), ["GET 200", "POST 200"], JSON.stringify(seen));
  });

  it("W8: has no request fail while it is stopped and started", async () => {
    const seen = await during(8, async () => {
      await machine.run(
        "kill -USR1 $(cat /tmp/storefront-2.pid); while kill -0 $(cat /tmp/storefront-2.pid) 2> /dev/null; do sleep 0.1; done",
      );
      const start = commands.get("storefront-2");
      await machine.run(`${start} > /tmp/log 2>&1 & echo $! > /tmp/storefront-2.pid`);
      await settled(...instances);
    });
    assert.deepEqual(Object.keys(seen).sort(), ["GET 200", "POST 200"], JSON.stringify(seen));
  });

  it("N5: is found by its line with TLS alone, as is one without a proxy by the plain one", async () => {
    const tls = "check ssl verify required ca-file tls/instances-ca.crt crt tls/load-balancer.pem";
    const line = (name: string, address: string) =>
      `  server ${name} ${address} check\n  server ${name}-tls ${address} backup ${tls}\n`;
    const balancing = `global
  stats socket /run/both.sock mode 600
defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s
backend both
  option httpchk
  option allbackups
  default-server inter 200ms fall 1 rise 1
${line("with", `${backendOf("storefront-1")}:3000`)}${line("without", `${loopbacks["storefront-2"]}:3000`)}`;
    await machine.run("cat > /lb-1/both.cfg", balancing);
    await machine.run("cd /lb-1 && haproxy -D -p /tmp/both.pid -f both.cfg");
    const script =
      "echo 'show servers state both' | socat - UNIX-CONNECT:/run/both.sock | awk '$6 == 2 { print $4 }' | xargs";
    await until("each is found by one line", {
      probe: () => machine.run(script),
      done: (up) => up === "with-tls without",
      limitSeconds: 10,
    });
    for (let round = 0; round < 10; round += 1) {
      assert.equal(await machine.run(`sleep 0.2; ${script}`), "with-tls without");
    }
    await machine.run("kill $(cat /tmp/both.pid)");
  });

  it("has nothing in its configuration that HAProxy warns of", async () => {
    const text = await machine.run("cd /storefront-1 && haproxy -c -f proxy.cfg 2>&1");
    assert.doesNotMatch(text, /WARNING|ALERT/);
  });
});

const whole = `global
  description configuration VERSION
  log stdout format raw local0 info
  default-path config
  nbthread 1
  maxconn 1860
  stats socket /run/hastack-storefront-proxy/admin.sock mode 600 level admin expose-fd listeners
  hard-stop-after 90s
  tune.bufsize 32768
  tune.http.maxhdr 256

defaults
  timeout connect 500ms
  timeout client 1m
  timeout server 1h
  # Longer than load balancers keep connections in reserve: it is they who close them
  timeout http-keep-alive 1m

frontend instance
  mode http
  log global
  # The load balancer logs requests; here only those that failed
  option dontlog-normal
  log-format "%ci %HM %ST %tsc"
  option idle-close-on-response
  option clitcpka
  bind 10.2.0.41:3000 ssl crt tls/instance.pem ca-file tls/instances-ca.crt verify required ssl-min-ver TLSv1.3 alpn h2,http/1.1
  tcp-request connection reject if { nbsrv(application) eq 0 }
  tcp-request session reject unless { ssl_c_s_dn(CN) lb-1 lb-2 }
  default_backend application

backend application
  mode http
  retries 0
  # The load balancer's own limit ends sooner
  timeout server 50s
  errorfile 502 /dev/null
  errorfile 503 never-reached.http
  errorfile 504 /dev/null
  # Of the application's own it would be taken for the proxy's
  http-response set-status 503 if { status 425 }
  server application 127.0.0.1:3000 check inter 2s fastinter 200ms downinter 200ms fall 1 rise 1 observe layer4 error-limit 1 on-error mark-down

listen cache
  mode tcp
  timeout client 1h
  bind 127.4.39.121:6379
  server cache-1 10.2.0.61:6379 ssl verify required ca-file tls/cache-ca.crt crt tls/cache-client.pem verifyhost cache-1 ssl-min-ver TLSv1.3 tcp-ut 5s
`;

import assert from "node:assert/strict";
import { commandLine } from "../../../../infra/platform/shell.ts";
import { haproxyHasRead, renderHaproxy } from "../../../../infra/render/haproxy.ts";
import { until } from "../../../../lib/until.ts";
import { type Made, makeCertificate, pemOf } from "../../../support/certificates.ts";
import { type Container, start } from "../../../support/unit/containers.ts";
import { first, planWith } from "../../../support/unit/fixtures.ts";
import { imageFor } from "../../../support/unit/images.ts";
import { Issuer } from "../../../support/unit/issuer.ts";
import { Delivered } from "../../../support/unit/programs.ts";
import { describeStack, recordStack, workloadOf } from "../../../support/unit/stack.ts";

const names = ["DNS:travel.example", "IP:10.1.0.100", "IP:10.1.0.11"];

function rendered(certificate?: string, changes: Readonly<Record<string, unknown>> = {}): string {
  const { settings, topology, application } = planWith({
    ...(certificate !== undefined && { certificate }),
    ...changes,
  });
  return renderHaproxy(settings, topology, application, first(topology.members.loadBalancer));
}

/** Lines of one section, such as `frontend web`. */
function section(text: string, title: string): string[] {
  const found = text.split("\n\n").find((part) => part.startsWith(`${title}\n`));
  if (!found) throw new Error(`there is no ${title}`);
  return found.split("\n").map((line) => line.trim());
}

/** Lines that one text has and the other has not. */
function added(before: readonly string[], after: readonly string[]): string[] {
  return after.filter((line) => !before.includes(line));
}

const interfaces = [`"$\{FRONTEND_INTERFACE}"`, "lo"];
const plainBinds = interfaces.map((name) => `bind 10.1.0.11:80,10.1.0.100:80 interface ${name}`);

describe("haproxy.cfg with a certificate", () => {
  let certificate: string;
  let plain: string;
  let secured: string;

  before(async () => {
    certificate = pemOf(await makeCertificate({ names }));
    plain = rendered();
    secured = rendered(certificate);
  });

  it("L9: serves the site by HTTPS alone, with HSTS for its name, and says so to the application", () => {
    const [before, after] = [section(plain, "frontend web"), section(secured, "frontend web")];
    assert.deepEqual(added(before, after), [
      "maxconn 3240",
      ...interfaces.map(
        (name) =>
          `bind 10.1.0.11:443,10.1.0.100:443 interface ${name} ssl crt certificate.pem alpn h2,http/1.1`,
      ),
      "# For this name only, not for its subdomains: those are not this stack's",
      "http-after-response set-header Strict-Transport-Security max-age=31536000",
      "http-request set-header X-Forwarded-Proto https",
    ]);
    assert.deepEqual(added(after, before), [
      "maxconn 3600",
      ...plainBinds,
      "http-request set-header X-Forwarded-Proto http",
    ]);
  });

  it("L9: answers by plain HTTP with the way to HTTPS, and nothing else", () => {
    assert.deepEqual(section(secured, "frontend redirects"), [
      "frontend redirects",
      "mode http",
      "option httplog",
      "maxconn 360",
      "http-after-response set-header Connection close if { var(proc.leaving) -m bool } !{ status 101 }",
      ...plainBinds,
      "tcp-request connection accept if { src 10.1.0.1 }",
      "tcp-request connection track-sc0 src table per_source",
      "tcp-request connection reject if { sc_conn_cur(0) gt 1500 } || { sc_conn_rate(0) gt 5000 }",
      "unique-id-format %[uuid()]",
      'log-format "%ci %[var(txn.path)] %HM %ST %B %Ta ms redirect"',
      "http-request set-var(txn.path) path",
      "http-request deny deny_status 429 if { sc_http_req_rate(0) gt 5000 }",
      "http-request deny deny_status 400 unless { path_beg / }",
      "http-request redirect location https://10.1.0.100%[pathq] code 301 if METH_GET",
      "http-request redirect location https://10.1.0.100%[pathq] code 308",
    ]);
    assert.doesNotMatch(plain, /frontend redirects|ssl crt|Strict-Transport/);
  });

  it("L9: leads to the site's own name and port, where the settings say them", () => {
    for (const publicUrl of ["https://travel.example", "https://travel.example:8443"]) {
      const lines = section(rendered(certificate, { publicUrl }), "frontend redirects");
      assert.deepEqual(lines.slice(-2), [
        `http-request redirect location ${publicUrl}%[pathq] code 301 if METH_GET`,
        `http-request redirect location ${publicUrl}%[pathq] code 308`,
      ]);
    }
  });

  it("L9: leaves the other sections as they are, but for the operator's page", () => {
    const titles = (text: string) => text.split("\n\n").map((part) => part.split("\n")[0] ?? "");
    const changed = titles(plain).filter(
      (title) => section(plain, title).join() !== section(secured, title).join(),
    );
    assert.deepEqual(changed, ["global", "frontend web", "frontend statistics"]);
    assert.deepEqual(
      added(section(plain, "frontend statistics"), section(secured, "frontend statistics")),
      interfaces.map((name) => `bind 10.1.0.11:8404 interface ${name} ssl crt certificate.pem`),
    );
  });

  it("N3: holds the place of the password, and nothing of the certificate", () => {
    assert.deepEqual(secured.match(/@\{\w+\}/g), ["@{stats_password}"]);
    assert.doesNotMatch(secured, /-----|PRIVATE/);
  });
});

/** Both tiers, played by a second HAProxy: each tells what it got. */
const standIns = `defaults
  mode http
  timeout client 5s
  timeout server 5s
  timeout connect 1s
frontend instances
  bind 10.2.0.41:3000 ssl crt /tmp/storefront-1.pem ca-file /etc/hastack/tls/instances-ca.crt verify required
  bind 10.2.0.42:3000 ssl crt /tmp/storefront-2.pem ca-file /etc/hastack/tls/instances-ca.crt verify required
  http-request return status 200 content-type text/plain lf-string "proto=%[req.fhdr(x-forwarded-proto)] protos=%[req.fhdr_cnt(x-forwarded-proto)] host=%[req.hdr(host)]"
`;

describe("HTTPS in HAProxy", function () {
  this.timeout(60_000);
  let root: Made;
  let own: Made;
  let renewed: Made;
  let machine: Container;
  let files: Delivered;
  const issuer = new Issuer(planWith().topology);
  let secrets: Readonly<Record<string, string>>;

  before(async function () {
    this.timeout(600_000);
    root = await makeCertificate({ authority: true });
    own = await makeCertificate({ names, issuer: root });
    renewed = await makeCertificate({ names, issuer: root });
    const workload = workloadOf(await describeStack(), "lb-1");
    const image = await imageFor(workload);
    files = new Delivered(image);
    secrets = await issuer.values("lb-1", workload.secrets);
    const { code, stderr } = await deliver(pemOf(own));
    assert.equal(code, 0, stderr);
    machine = await start(image, "https", {
      arguments: ["--cap-add=NET_ADMIN", `--volume=${files.volume}:/etc/hastack:ro`],
    });
    const addresses = ["10.1.0.11", "10.1.0.100", "10.2.0.11", "10.2.0.100"];
    const instances = ["10.2.0.41", "10.2.0.42"];
    await machine.run(
      [...addresses, ...instances].map((one) => `ip address add ${one}/32 dev lo`).join("; "),
    );
    await machine.run("cat > /tmp/root.pem", root.certificate);
    for (const name of ["storefront-1", "storefront-2"]) {
      await machine.run(`cat > /tmp/${name}.pem`, await issuer.leaf(name, "instance"));
    }
    await machine.run("cat > /tmp/stand-ins.cfg", standIns);
    await machine.run("haproxy -D -f /tmp/stand-ins.cfg");
    const command = commandLine(first(workload.processes).command);
    await machine.run(
      `install -d /run/haproxy; cd /etc/hastack; ${command} > /tmp/log 2>&1 & echo $! > /tmp/pid`,
    );
    await until("the site answers", {
      probe: () => machine.attempt(`curl -fs ${secure} https://10.1.0.100/`),
      done: ({ code }) => code === 0,
      limitSeconds: 30,
    });
  });
  after(async () => {
    await machine?.remove();
    await files?.remove();
  });

  const secure = "--cacert /tmp/root.pem";
  const publicUrl = "https://travel.example";

  async function deliver(certificate: string) {
    return files.deliver(await recordStack({ changes: { certificate, publicUrl } }), "lb-1", {
      secrets,
    });
  }

  /** Status and headers of an answer, in lower case, and its body. */
  const ask = (request: string) => machine.run(`curl -si ${request} | tr -d '\\r'`);

  /** What a TLS client says of the connection it gets. */
  const tls = async (options: string) => {
    const words = `openssl s_client -connect 10.1.0.100:443 -CAfile /tmp/root.pem ${options}`;
    const { stdout, stderr } = await machine.attempt(`${words} < /dev/null`);
    return stdout + stderr;
  };

  /** The certificate that is served, as PEM. */
  const served = () =>
    machine.run("openssl s_client -connect 10.1.0.100:443 < /dev/null 2> /dev/null | openssl x509");

  it("N3: has it in a file of its own, whole, which root alone reads", async () => {
    const file = "/etc/hastack/certificate.pem";
    assert.equal(await machine.run(`stat -c '%a %U:%G' ${file}`), "600 root:root");
    assert.equal((await machine.run(`cat ${file}`)).trim(), pemOf(own).trim());
  });

  it("L9: shows it, by name and by address, at both of its own addresses", async () => {
    for (const host of ["10.1.0.100", "10.1.0.11", "travel.example"]) {
      const name = "--resolve travel.example:443:10.1.0.100";
      assert.match(await ask(`${secure} --http1.1 ${name} https://${host}/`), /^HTTP\/1\.1 200 /);
    }
    assert.equal(await served(), own.certificate.trim());
  });

  it("L9: speaks HTTP/2, and HTTP/1.1 to those that know no other", async () => {
    const version = (how: string) =>
      machine.run(`curl -s ${secure} ${how} -o /tmp/body -w '%{http_version}' https://10.1.0.100/`);
    assert.equal(await version("--http2"), "2");
    assert.equal(await version("--http1.1"), "1.1");
  });

  it("L9, L7: tells the application that the request came by HTTPS, whatever a client says", async () => {
    const forged = "-H 'X-Forwarded-Proto: http' -H 'X-Forwarded-Proto: ftp'";
    for (const how of ["--http1.1", "--http2"]) {
      assert.match(
        await ask(`${secure} ${how} ${forged} https://10.1.0.100/`),
        /\nproto=https protos=1 host=10\.1\.0\.100$/,
      );
    }
  });

  it("L9: asks browsers to come by HTTPS for a year, in errors of its own too", async () => {
    const header = /\nstrict-transport-security: max-age=31536000\n/;
    assert.match(await ask(`${secure} https://10.1.0.100/`), header);
    const refused = await ask(`${secure} https://10.1.0.100/metrics`);
    assert.match(refused, /^HTTP\/2 404 /);
    assert.match(refused, header);
    // No instance of the admin tier runs here
    const nobody = await ask(`${secure} https://10.1.0.100/admin`);
    assert.match(nobody, /^HTTP\/2 503 /);
    assert.match(nobody, header);
  });

  const redirects: readonly [string, string, string][] = [
    ["http://10.1.0.100/", "301", "https://travel.example/"],
    ["http://10.1.0.11/", "301", "https://travel.example/"],
    ["--head http://10.1.0.100/a", "301", "https://travel.example/a"],
    ["'http://10.1.0.100/a/b%20c?d=e&f=%2F'", "301", "https://travel.example/a/b%20c?d=e&f=%2F"],
    ["-H 'Host: travel.example:80' http://10.1.0.100/x", "301", "https://travel.example/x"],
    ["-H 'Host: evil.example' http://10.1.0.100/x", "301", "https://travel.example/x"],
    [
      "-H 'Host: travel.example.evil.example:80' http://10.1.0.100/x",
      "301",
      "https://travel.example/x",
    ],
    ["-H 'Host: [2001:db8::1]:80' http://10.1.0.100/x", "301", "https://travel.example/x"],
    ["-H 'Host;' http://10.1.0.100/x", "301", "https://travel.example/x"],
    ["--http1.0 http://10.1.0.100/x", "301", "https://travel.example/x"],
    ["-X POST -d a=b http://10.1.0.100/login", "308", "https://travel.example/login"],
    ["-X DELETE http://10.1.0.100/api/content/7", "308", "https://travel.example/api/content/7"],
    ["-H 'X-Forwarded-Proto: https' http://10.1.0.100/", "301", "https://travel.example/"],
    ["http://10.1.0.100/metrics", "301", "https://travel.example/metrics"],
    [
      "--path-as-is http://10.1.0.100//evil.example/",
      "301",
      "https://travel.example//evil.example/",
    ],
  ];
  for (const [words, code, target] of redirects) {
    it(`L9: leads ${words} to ${target} by ${code}`, async () => {
      const shown = "-s -o /tmp/body -w '%{http_code} %header{location}'";
      assert.equal(await machine.run(`curl ${shown} ${words}`), `${code} ${target}`);
    });
  }

  it("L9: says nothing else by plain HTTP: no HSTS, no page of the site", async () => {
    const answer = await ask("http://10.1.0.100/");
    assert.doesNotMatch(answer, /strict-transport|proto=/i);
  });

  it("L9: leads nobody to somewhere else", async () => {
    const raw = (text: string) =>
      machine.run("socat -t 2 - TCP:10.1.0.100:80", `${text}\r\nConnection: close\r\n\r\n`);
    for (const request of [
      "GET @evil.example/ HTTP/1.1\r\nHost: travel.example",
      "GET .evil.example HTTP/1.1\r\nHost: travel.example",
      "OPTIONS * HTTP/1.1\r\nHost: travel.example",
      "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443",
    ]) {
      assert.match(await raw(request), /^HTTP\/1\.[01] 400 (?![\s\S]*location)/i, request);
    }
  });

  it("N3: logs no query of a request by plain HTTP", async () => {
    await ask("'http://10.1.0.100/reset?token=of-a-reset-link'");
    const log = await until("the request is logged", {
      probe: () => machine.run("cat /tmp/log"),
      done: (text) => text.includes(" /reset GET 301 "),
      limitSeconds: 5,
    });
    assert.ok(!log.includes("of-a-reset-link"));
  });

  it("L9: takes TLS 1.2 and 1.3, and refuses what is older", async () => {
    // The client's own library must not be what refuses
    const any = "-cipher ALL:@SECLEVEL=0";
    for (const version of ["tls1_2", "tls1_3"]) {
      assert.match(await tls(`-${version} ${any}`), /Verify return code: 0 \(ok\)/, version);
    }
    for (const version of ["tls1", "tls1_1"]) {
      assert.match(await tls(`-${version} ${any}`), /alert protocol version/, version);
    }
  });

  it("L9: refuses ciphers without forward secrecy or authenticated encryption", async () => {
    for (const cipher of ["ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA"]) {
      assert.match(await tls(`-tls1_2 -cipher ${cipher}:@SECLEVEL=0`), /handshake failure/, cipher);
    }
    const good = "ECDHE-ECDSA-CHACHA20-POLY1305";
    assert.match(await tls(`-tls1_2 -cipher ${good}`), new RegExp(`Cipher is ${good}`));
  });

  it("L9: hands out no tickets, and resumes sessions by a number of its own", async () => {
    assert.doesNotMatch(await tls("-tls1_2"), /session ticket/i);
    const reconnected = await tls("-tls1_2 -reconnect");
    assert.equal(reconnected.match(/^Reused, TLSv1\.2/gm)?.length, 5, reconnected);
  });

  it("L3, L9: shows the operator's page by HTTPS, and is asked for its health on the machine itself", async () => {
    const stats = "-u operator:mock-password-1-of-statistics";
    assert.match(await ask(`${secure} ${stats} https://10.1.0.11:8404/`), /^HTTP\/2 200 /);
    assert.match(await ask(`${secure} https://10.1.0.11:8404/`), /^HTTP\/2 401 /);
    assert.doesNotMatch(await ask("http://10.1.0.11:8404/ || :"), /^HTTP\/1\.1 [24]0/);
    assert.match(await ask("http://127.0.0.1:8404/healthz"), /^HTTP\/1\.1 200 /);
  });

  it("has nothing in its configuration that HAProxy warns of", async () => {
    const text = await machine.run("cd /etc/hastack && bin/haproxy-start -c -f haproxy.cfg 2>&1");
    assert.doesNotMatch(text, /WARNING/);
  });

  it("L9: a certificate may come in any form that the rules accept", async () => {
    const parameters = await machine.run("openssl ecparam -name prime256v1");
    const pem = `Bag Attributes\n${parameters}\n${pemOf(own, root)}`.replaceAll("\n", "\r\n");
    const keyFirst = own.key + own.certificate;
    for (const form of [pem, keyFirst]) {
      const check =
        "umask 077; rm -rf /tmp/form; cp -r /etc/hastack /tmp/form; cd /tmp/form; cat > certificate.pem; bin/haproxy-start -c -f haproxy.cfg 2>&1";
      assert.doesNotMatch(await machine.run(check, form), /ALERT|WARNING/);
    }
  });

  it("W5: a certificate that HAProxy refuses changes nothing, and is not shown", async () => {
    // A key of 1024 bits, which OpenSSL takes for too weak
    const weak = await makeCertificate({ names, issuer: root, key: "rsa:1024" });
    const { code, stdout, stderr } = await deliver(pemOf(weak));
    assert.notEqual(code, 0);
    assert.match(stderr, /key too small/);
    assert.match(stderr, /haproxy\.cfg was refused; nothing was changed/);
    assert.doesNotMatch(stdout + stderr, /BEGIN|MII/);
    const file = await machine.run("cat /etc/hastack/certificate.pem");
    assert.equal(file.trim(), pemOf(own).trim());
  });

  /** Shell text: clients that connect anew each time, and one that keeps its connection. */
  const load = (version: string, number: number) => {
    const curl = `curl -s ${secure} ${version} -o /dev/null`;
    const many = `--rate 20/s -w '%{stderr}%{http_code} %{num_connects}\\n' 'https://10.1.0.100/[1-9999]'`;
    return `(until [ -e /tmp/stop ]; do ${curl} -w '%{http_code}\\n' https://10.1.0.100/; done > /tmp/new-${number} 2>&1) &
${curl} ${many} > /tmp/kept-${number} 2>&1 &
echo $! >> /tmp/kept-pids`;
  };

  /** Different lines of a file, with how often they are there. */
  const counts = async (file: string) => {
    const lines = (await machine.run(`sort ${file} | uniq -c`)).split("\n");
    return Object.fromEntries(
      lines.map((line) => {
        const [, count, text = ""] = /^\s*(\d+) (.*)$/.exec(line) ?? [];
        return [text, Number(count)];
      }),
    );
  };

  it("L9: another certificate is in force after a reload, and no request fails meanwhile", async () => {
    const hasRead = async (pem: string) => {
      const { files: all } = workloadOf(
        await describeStack({ certificate: pem, publicUrl }),
        "lb-1",
      );
      const { content = "" } = all.find(({ path }) => path === "haproxy.cfg") ?? {};
      return (await machine.attempt(haproxyHasRead(content))).code === 0;
    };
    assert.deepEqual([await hasRead(pemOf(own)), await hasRead(pemOf(renewed))], [true, false]);
    const { code, stderr } = await deliver(pemOf(renewed));
    assert.equal(code, 0, stderr);
    assert.deepEqual([await hasRead(pemOf(own)), await hasRead(pemOf(renewed))], [true, false]);
    assert.equal(await served(), own.certificate.trim(), "delivered, and not yet in force");
    await machine.run(`${load("--http1.1", 1)}\n${load("--http2", 2)}`);
    const kept = ["/tmp/kept-1", "/tmp/kept-2"];
    await until("the kept connections are in use", {
      probe: () => Promise.all(kept.map(counts)),
      done: (seen) => seen.every((one) => (one["200 0"] ?? 0) > 5),
      limitSeconds: 20,
    });
    await machine.run("kill -USR2 $(cat /tmp/pid)");
    await until("HAProxy serves with the new certificate", {
      probe: () => hasRead(pemOf(renewed)),
      done: Boolean,
      limitSeconds: 30,
    });
    assert.equal(await served(), renewed.certificate.trim());
    const before = await Promise.all(kept.map(counts));
    await until("the kept connections have gone over to the new one, and on", {
      probe: () => Promise.all(kept.map(counts)),
      done: (seen) =>
        seen.every(
          (one, index) =>
            one["200 1"] === 2 && (one["200 0"] ?? 0) > (before[index]?.["200 0"] ?? 0) + 5,
        ),
      describe: (seen) => JSON.stringify(seen),
      limitSeconds: 20,
    });
    await machine.run("kill $(cat /tmp/kept-pids); touch /tmp/stop; sleep 0.5");
    for (const file of ["/tmp/new-1", "/tmp/new-2"]) {
      assert.deepEqual(Object.keys(await counts(file)), ["200"], file);
    }
    for (const file of kept) {
      const { "200 0": _, ...others } = await counts(file);
      assert.deepEqual(others, { "200 1": 2 }, file);
    }
  });
});

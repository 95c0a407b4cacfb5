import assert from "node:assert/strict";
import { renderHaproxy } from "../../../../infra/render/haproxy.ts";
import { first, planWith } from "../../../support/unit/fixtures.ts";

function rendered(changes: Readonly<Record<string, unknown>> = {}): string {
  const { settings, topology } = planWith(changes);
  return renderHaproxy(settings, topology, first(topology.loadBalancers));
}

/** Lines of one section, such as `backend admin`. */
function section(text: string, title: string): string[] {
  const found = text.split("\n\n").find((part) => part.startsWith(`${title}\n`));
  if (!found) throw new Error(`there is no ${title}`);
  return found.split("\n").map((line) => line.trim());
}

describe("haproxy.cfg", () => {
  it("L1 to L7: is this for the first load balancer", () => {
    assert.equal(rendered(), whole);
  });

  it("L1: takes algorithm and connection limits from the settings", () => {
    const text = rendered({
      loadBalancer: { balance: "leastconn", maxConnections: 500, maxConnectionsPerInstance: 50 },
    });
    assert.ok(section(text, "global").includes("maxconn 500"));
    for (const tier of ["storefront", "admin"]) {
      const lines = section(text, `backend ${tier}`);
      assert.ok(lines.includes("balance leastconn"));
      assert.ok(lines.some((line) => line.startsWith("default-server maxconn 50 ")));
    }
  });

  it("L2: takes the checks' intervals from the settings", () => {
    const text = rendered({
      loadBalancer: { checkIntervalMilliseconds: 900, checkFastIntervalMilliseconds: 300 },
    });
    const line = "default-server inter 900ms fastinter 300ms downinter 300ms fall 2 rise 1";
    assert.ok(section(text, "defaults").includes(line));
  });

  it("W8: has one server line for each instance that there is", () => {
    const text = rendered({ members: { storefront: 3, admin: 1 } });
    const servers = (title: string) =>
      section(text, title).filter((line) => line.startsWith("server "));
    assert.deepEqual(servers("backend storefront"), [
      "server storefront-1 10.2.0.41:3000 check",
      "server storefront-2 10.2.0.42:3000 check",
      "server storefront-3 10.2.0.43:3000 check",
    ]);
    assert.deepEqual(servers("backend admin"), ["server admin-1 10.2.0.51:3001 check"]);
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
      ["bind 10.1.0.11:8404", "bind 127.0.0.1:8404"],
    );
    assert.ok(lines.includes("http-request auth realm hastack unless { http_auth(operators) }"));
    assert.ok(lines.includes("stats hide-version"));
  });

  it("N3: holds no password, only its place", () => {
    assert.deepEqual(rendered().match(/@\{\w+\}/g), ["@{stats_password}"]);
  });
});

const whole = `global
  log stdout format raw local0 info
  default-path config
  user haproxy
  group haproxy
  maxconn 4000
  stats socket /run/haproxy/admin.sock mode 600 level admin expose-fd listeners
  hard-stop-after 90s

defaults
  log global
  option dontlognull
  timeout connect 500ms
  timeout check 1s
  timeout client 30s
  timeout server 30s
  # A client that sends its request slowly, or takes its time between two
  timeout http-request 10s
  timeout http-keep-alive 10s
  # How long a request waits for a free place at an instance before it gets a 503
  timeout queue 5s
  default-server inter 500ms fastinter 250ms downinter 250ms fall 2 rise 1

frontend web
  mode http
  option httplog
  bind 10.1.0.11:80
  bind 10.1.0.100:80
  errorfiles pages
  # Neither header can be brought along from outside
  unique-id-format %[uuid()]
  http-request set-header X-Request-Id %[unique-id]
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto http
  http-request del-header Forwarded
  log-format "%ci %[var(txn.path)] %HM %ST %B %Ta ms %b/%s %tsc %ID"
  http-request set-var(txn.path) path
  # An instance's own figures are not for visitors
  http-request deny deny_status 404 if { path /metrics }
  acl admin_page path /admin
  acl admin_page path_beg /admin/
  acl write_api path_beg /api/content /api/offers
  acl write_method method POST PUT PATCH DELETE
  use_backend admin if admin_page or write_api write_method
  default_backend storefront

http-errors pages
  errorfile 408 errors/408.http
  errorfile 502 errors/502.http
  errorfile 503 errors/503.http
  errorfile 504 errors/504.http

backend storefront
  mode http
  balance roundrobin
  option httpchk
  http-check send meth GET uri /api/health
  http-check expect status 200
  option redispatch 1
  retries 3
  # Only requests that change nothing are sent again once an instance has had them
  retry-on conn-failure empty-response response-timeout
  http-request disable-l7-retry unless METH_GET
  default-server maxconn 200 observe layer4 error-limit 3 on-error mark-down
  server storefront-1 10.2.0.41:3000 check
  server storefront-2 10.2.0.42:3000 check

backend admin
  mode http
  balance roundrobin
  option httpchk
  http-check send meth GET uri /api/health
  http-check expect status 200
  option redispatch 1
  retries 3
  # Only requests that change nothing are sent again once an instance has had them
  retry-on conn-failure empty-response response-timeout
  http-request disable-l7-retry unless METH_GET
  default-server maxconn 200 observe layer4 error-limit 3 on-error mark-down
  server admin-1 10.2.0.51:3001 check
  server admin-2 10.2.0.52:3001 check

frontend primary
  mode tcp
  option tcplog
  option clitcpka
  timeout client 1h
  bind 10.2.0.11:5000
  bind 10.2.0.100:5000
  default_backend primary

frontend replicas
  mode tcp
  option tcplog
  option clitcpka
  timeout client 1h
  bind 10.2.0.11:5001
  bind 10.2.0.100:5001
  use_backend standby if { nbsrv(standby) gt 0 }
  default_backend primary

backend primary
  mode tcp
  option srvtcpka
  timeout server 1h
  option httpchk
  http-check send meth OPTIONS uri /primary
  http-check expect status 200
  default-server maxconn 100 on-marked-down shutdown-sessions
  server db-1 10.2.0.31:5432 check port 8008
  server db-2 10.2.0.32:5432 check port 8008

backend standby
  mode tcp
  option srvtcpka
  timeout server 1h
  option httpchk
  http-check send meth OPTIONS uri /replica
  http-check expect status 200
  default-server maxconn 100 on-marked-down shutdown-sessions
  server db-1 10.2.0.31:5432 check port 8008
  server db-2 10.2.0.32:5432 check port 8008

userlist operators
  user operator insecure-password @{stats_password}

frontend statistics
  mode http
  no log
  bind 10.1.0.11:8404
  bind 127.0.0.1:8404
  monitor-uri /healthz
  http-request auth realm hastack unless { http_auth(operators) }
  http-request use-service prometheus-exporter if { path /metrics }
  stats enable
  stats uri /
  stats refresh 5s
  stats hide-version
`;

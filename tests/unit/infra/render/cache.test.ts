import assert from "node:assert/strict";
import { cacheHealth, renderCache } from "../../../../infra/render/cache.ts";
import { until } from "../../../../lib/until.ts";
import { type Container, start } from "../../../support/unit/containers.ts";
import { first, planWith } from "../../../support/unit/fixtures.ts";
import { imageFor } from "../../../support/unit/images.ts";
import { Issuer } from "../../../support/unit/issuer.ts";
import { mockPassword } from "../../../support/unit/mocks.ts";
import { Delivered } from "../../../support/unit/programs.ts";
import { describeStack, recordStack, workloadOf } from "../../../support/unit/stack.ts";

function rendered(changes: Readonly<Record<string, unknown>> = {}): string {
  const { settings, topology } = planWith(changes);
  return renderCache(settings, first(topology.members.cache));
}

describe("valkey.conf", () => {
  it("A9: is this", () => assert.equal(rendered(), whole));

  it("A9: takes its memory from the settings", () => {
    assert.match(rendered({ cache: { megabytes: 200 } }), /^maxmemory 200mb$/m);
  });

  it("N3: takes each of two passwords while one is replaced, whichever is in use", async () => {
    const keys = "on >@{cache_password_1} >@{cache_password_2} ~*";
    const texts = [];
    for (const cache of [
      [1, 2],
      [2, 1],
    ]) {
      const stack = await describeStack({ credentials: { cache } });
      const { files, secrets } = workloadOf(stack, "cache-1");
      texts.push(files.find(({ path }) => path === "valkey.conf")?.content);
      const key = `cache_password_${cache[0]}` as const;
      assert.equal(secrets.cache_password, secrets[key]);
    }
    assert.ok(texts[0]?.includes(keys));
    assert.equal(texts[0], texts[1], "it does not start anew for that");
  });

  it("D7: holds no password, only its place", () => {
    assert.deepEqual(rendered().match(/@\{\w+\}/g), ["@{cache_password}"]);
  });
});

describe("valkey.conf in Valkey", function () {
  this.timeout(60_000);
  const { topology } = planWith();
  const self = first(topology.members.cache);
  const issuer = new Issuer(topology);
  let secrets: Readonly<Record<string, string>>;
  let files: Delivered;
  let machine: Container;

  before(async function () {
    this.timeout(600_000);
    const workload = workloadOf(await describeStack(), "cache-1");
    const image = await imageFor(workload);
    files = new Delivered(image);
    secrets = await issuer.values("cache-1", workload.secrets);
    const { code, stderr } = await files.deliver(await recordStack(), "cache-1", { secrets });
    assert.equal(code, 0, stderr);
    machine = await start(image, "cache", {
      arguments: ["--cap-add=NET_ADMIN", `--volume=${files.volume}:/etc/hastack:ro`],
    });
    await machine.run(`ip address add ${self.backend}/32 dev lo`);
    await machine.run("/etc/hastack/services/valkey/run > /tmp/log 2>&1 &");
    await until("the cache is healthy", {
      probe: health,
      done: ({ code }) => code === 0,
      limitSeconds: 10,
    });
  });
  after(async () => {
    await machine?.remove();
    await files?.remove();
  });

  /** The gate's command, in the folder where the gate runs it. */
  const health = () => machine.attempt(`cd /etc/hastack && ${cacheHealth(self)}`);

  const own = "/etc/hastack/tls/cache-client.pem";
  const cli = (certificate = own) =>
    `valkey-cli --no-auth-warning -h ${self.backend} --tls --cacert /etc/hastack/tls/cache-ca.crt --cert ${certificate} --key ${certificate}`;
  const client = (user: string, password: string) =>
    `REDISCLI_AUTH=${password} ${cli()} --user ${user}`;
  const login = client("hastack", mockPassword("cache"));

  /** The answer to a command, by default as the application's user. */
  const ask = async (command: string, as = login) => {
    const { stdout, stderr } = await machine.attempt(`${as} ${command}`);
    return (stdout + stderr).trim();
  };

  it("A9, O6: lets any application read and write its data", async () => {
    const allowed: readonly [string, string | RegExp][] = [
      ["PING", "PONG"],
      ["HELLO 3", /server valkey/],
      ["SET hastack:key value PX 30000", "OK"],
      ["GET hastack:key", "value"],
      ["MGET hastack:key hastack:other", "value"],
      [`EVAL "return redis.call('GET', KEYS[1])" 1 hastack:key`, "value"],
      ["SET any-key 1", "OK"],
      ["INCR any-key", "2"],
      ["EXPIRE any-key 30", "1"],
      ["DEL any-key", "1"],
      ["HSET h field value", "1"],
      ["SELECT 0", "OK"],
      ["CLIENT SETNAME tested", "OK"],
      ['SCRIPT LOAD "return 1"', /^[0-9a-f]{40}$/],
    ];
    for (const [command, answer] of allowed) {
      const seen = await ask(command);
      if (typeof answer === "string") assert.equal(seen, answer, command);
      else assert.match(seen, answer, command);
    }
  });

  it("D7: and nothing else: no look at the keys, no emptying, no settings, no other's connection", async () => {
    const refused = [
      "KEYS '*'",
      "SCAN 0",
      "FLUSHALL",
      "FLUSHDB",
      "CONFIG GET save",
      "CONFIG SET save 1",
    ]
      .concat(["CLIENT LIST", "CLIENT KILL TYPE normal", "ACL LIST", "ACL SETUSER default on"])
      .concat(["SHUTDOWN", "REPLICAOF 10.2.0.41 6379", "MONITOR", "INFO", "SCRIPT FLUSH"])
      .concat(["RANDOMKEY", "SORT key", "SWAPDB 0 1", "RESTORE key 0 x"])
      .concat(["SUBSCRIBE all", "SAVE", "FUNCTION LIST", "MIGRATE 10.2.0.41 1 key 0 1"]);
    for (const command of refused) assert.match(await ask(command), /^NOPERM /, command);
    assert.match(await ask("DEBUG SLEEP 1"), /^ERR DEBUG command not allowed/);
    for (const call of ["'KEYS', '*'", "'SCAN', '0'", "'FLUSHALL'"]) {
      const answer = await ask(`EVAL "return redis.call(${call})" 0`);
      assert.match(answer, /ACL failure in script/, call);
    }
  });

  it("D7: answers nobody without the password, nor the user that others take by default", async () => {
    for (const command of ["PING", "GET hastack:key", "INFO"]) {
      const { stdout } = await machine.attempt(`${cli()} ${command}`);
      assert.match(stdout, /^NOAUTH /, command);
    }
    assert.match(await ask("PING", client("hastack", "wrong")), /WRONGPASS|NOAUTH/);
    assert.match(await ask("PING", client("default", mockPassword("cache"))), /WRONGPASS|NOAUTH/);
  });

  it("N5: speaks TLS alone, and only with clients that have a certificate for the cache", async () => {
    const plain = await machine.attempt(`valkey-cli -h ${self.backend} -t 2 PING`);
    assert.doesNotMatch(plain.stdout, /PONG|NOAUTH/);
    const other = new Issuer(topology);
    const refused: readonly (readonly [string, string])[] = [
      ["another stack's", await other.leaf("storefront-1", "cache-client")],
      ["of another purpose", await issuer.leaf("lb-1", "load-balancer")],
      ["the cache's own", await issuer.leaf("cache-1", "cache-server")],
    ];
    for (const [what, pem] of refused) {
      await machine.run("cat > /tmp/client.pem", pem);
      const { stdout } = await machine.attempt(`${cli("/tmp/client.pem")} PING`);
      assert.doesNotMatch(stdout, /PONG|NOAUTH/, what);
    }
    await machine.run("cat > /tmp/client.pem", await issuer.leaf("admin-2", "cache-client"));
    const { stdout } = await machine.attempt(`${cli("/tmp/client.pem")} PING`);
    assert.match(stdout, /NOAUTH/);
  });

  it("W5: a certificate that does not fit to its key is refused, before anything is touched", async () => {
    const [one, two] = [
      await issuer.leaf("cache-1", "cache-server"),
      await issuer.leaf("cache-1", "cache-server"),
    ];
    const key = "-----BEGIN PRIVATE KEY";
    const mixed = (one.split(key)[0] ?? "") + key + two.split(key)[1];
    const { code, stderr } = await files.deliver(await recordStack(), "cache-1", {
      secrets: { ...secrets, tls_cache_server: mixed },
    });
    assert.equal(code, 1);
    assert.match(stderr, /key values mismatch/);
    assert.match(stderr, /was refused; nothing was changed/);
  });

  it("A9: stays within its memory, and drops what ends next", async () => {
    const keys = Array.from({ length: 300 }, (_, index) => `hastack:fill${index + 1}`);
    const fill = `EVAL "return redis.call('SET', KEYS[1], string.rep('x', 524288), 'EX', ARGV[1])" 1`;
    const lines = keys.map((key, index) => `${fill} ${key} ${1000 + index}`).join("\n");
    const { stdout } = await machine.attempt(`${login} | sort | uniq -c`, lines);
    assert.equal(stdout.trim(), "300 OK");
    const count = (...names: string[]) =>
      ask(
        `EVAL "local n = 0; for _, key in ipairs(KEYS) do if redis.call('GET', key) then n = n + 1 end end; return n" ${names.length} ${names.join(" ")}`,
      );
    const left = Number(await count(...keys));
    assert.ok(left > 50 && left < 128, `${left} of 300 half megabytes in 64`);
    assert.deepEqual([await count("hastack:fill1"), await count("hastack:fill300")], ["0", "1"]);
  });

  it("N3: has its password in no command line, and runs unprivileged", async () => {
    const seen = await machine.run("ps -eo user,args");
    assert.match(seen, /^valkey +valkey-server 10\.2\.0\.61:6379/m);
    assert.ok(!seen.includes(mockPassword("cache")));
  });

  it("W5: a bad file is refused in Valkey's own words, before anything is touched", async () => {
    const refused: readonly [string, (script: string) => string, RegExp][] = [
      [
        "a setting that there is not",
        (script) => script.replace("maxclients", "maxcliants"),
        /Bad directive or wrong number of arguments/,
      ],
      [
        "a policy that there is not",
        (script) => script.replace("volatile-ttl", "volatile-tll"),
        /argument\(s\) must be one of the following/,
      ],
      [
        "a user with a right that there is not",
        (script) => script.replace("+@read", "+@reads"),
        /Unknown command or category name in ACL/,
      ],
      [
        "a user whose password is another",
        (script) => script.replace("on >@{cache_password}", "on >another"),
        /it answers: .*(WRONGPASS|NOAUTH)/s,
      ],
    ];
    const before = await files.look("sha256sum /etc/hastack/valkey.conf");
    for (const [what, edit, message] of refused) {
      const { code, stderr } = await files.deliver(await recordStack(), "cache-1", {
        edit,
        secrets,
      });
      assert.equal(code, 1, what);
      assert.match(stderr, message, what);
      assert.match(stderr, /valkey\.conf was refused; nothing was changed/, what);
    }
    assert.equal(await files.look("sha256sum /etc/hastack/valkey.conf"), before);
  });

  it("W8: a member that is not there, or hangs, is not healthy", async () => {
    const pid = await machine.run("pidof valkey-server");
    await machine.run(`kill -STOP ${pid}`);
    const hung = await machine.attempt(`cd /etc/hastack && timeout 3 sh -c '${cacheHealth(self)}'`);
    assert.notEqual(hung.code, 0);
    await machine.run(`kill -KILL ${pid}`);
    await until("it has ended", {
      probe: () => machine.attempt(`kill -0 ${pid}`),
      done: ({ code }) => code !== 0,
      limitSeconds: 5,
    });
    assert.notEqual((await health()).code, 0);
  });
});

const whole = `bind 10.2.0.61
port 0
tls-port 6379
tls-protocols TLSv1.3
tls-cert-file tls/cache-server.pem
tls-key-file tls/cache-server.pem
tls-ca-cert-file tls/cache-ca.crt
tls-auth-clients yes
protected-mode yes
maxclients 1000
tcp-keepalive 10
# When memory is full, the keys that expire next are dropped; nothing is written to disk
maxmemory 64mb
maxmemory-policy volatile-ttl
save ""
appendonly no
# Limits for a client that does not read its answers, and for a script that does not end
client-output-buffer-limit normal 8mb 4mb 10
busy-reply-threshold 100
user default off resetpass resetkeys resetchannels -@all
user hastack on >@{cache_password} ~* resetchannels -@all +@read +@write +@connection +@transaction +@scripting -@admin -@dangerous -scan -randomkey -function -script|flush
`;

import assert from "node:assert/strict";
import type { Workload } from "../../../../../infra/platform/platform.ts";
import { type Container, start } from "../../../../support/unit/containers.ts";
import { imageFor } from "../../../../support/unit/images.ts";
import { Delivered } from "../../../../support/unit/programs.ts";
import { describeStack, recordStack, workloadOf } from "../../../../support/unit/stack.ts";

/** The member's image; the application's own files need no release. */
async function imageOf(name: string): Promise<string> {
  const workload: Workload = workloadOf(await describeStack(), name);
  return imageFor(workload);
}

/** Runs a test with a volume of its own. */
async function withVolume(member: string, test: (files: Delivered) => Promise<void>) {
  const files = new Delivered(await imageOf(member));
  try {
    await test(files);
  } finally {
    await files.remove();
  }
}

const names = "cd /etc/hastack && find . -type f ! -path './.*' -printf '%P %m %u\\n' | sort";

describe("deliver-files: the real files, checked by the real programs", function () {
  this.timeout(60_000);

  before(async function () {
    this.timeout(900_000);
    for (const name of ["storefront-1", "etcd-1", "db-1", "lb-1"]) await imageOf(name);
  });

  it("L8: HAProxy and keepalived accept the load balancer's", () =>
    withVolume("lb-1", async (files) => {
      const { code, stdout, stderr } = await files.deliver(await recordStack(), "lb-1");
      assert.equal(code, 0, stderr);
      assert.match(
        stdout,
        /^changed tls\/load-balancer\.pem, .*changed haproxy\.cfg, changed errors\.map, .*keepalived\.conf, /,
      );
      const list = (await files.look(names)).split("\n");
      assert.deepEqual(
        list.filter((line) => !line.startsWith("services/")),
        [
          "bin/haproxy-answers 755 root",
          "bin/haproxy-has-servers 755 root",
          "bin/haproxy-start 755 root",
          "bin/keepalived-end 755 root",
          "bin/keepalived-notify 755 root",
          "bin/keepalived-start 755 root",
          "bin/one-holder 755 root",
          "errors.map 644 root",
          "haproxy.cfg 600 haproxy",
          "keepalived.conf 644 root",
          "tls/instances-ca.crt 444 root",
          "tls/load-balancer.pem 400 root",
          "tls/patroni-api-ca.crt 444 root",
          "",
        ],
      );
      const again = await files.deliver(await recordStack(), "lb-1");
      assert.deepEqual([again.code, again.stdout], [0, "nothing changed\n"]);
    }));

  it("D2: PostgreSQL accepts the database's parameters", () =>
    withVolume("db-1", async (files) => {
      const { code, stderr } = await files.deliver(await recordStack(), "db-1");
      assert.equal(code, 0, stderr);
      assert.deepEqual((await files.look(names)).split("\n").slice(0, 5), [
        "bin/patroni-start 755 root",
        "bin/pg_rewind 755 root",
        "bin/standby-care 755 root",
        "parameters.conf 644 root",
        "patroni.yml 600 postgres",
      ]);
    }));

  it("A1: etcd's and the application's are there, for their users", async () => {
    await withVolume("etcd-1", async (files) => {
      assert.equal((await files.deliver(await recordStack(), "etcd-1")).code, 0);
      assert.match(await files.look(names), /^etcd\.yml 644 root$/m);
    });
    await withVolume("storefront-1", async (files) => {
      assert.equal((await files.deliver(await recordStack(), "storefront-1")).code, 0);
      assert.match(await files.look(names), /^secrets\/cookieSecret 400 hastack-storefront$/m);
      assert.match(await files.look(names), /^environment 400 root$/m);
      const variables = await files.look("cat /etc/hastack/environment");
      assert.match(variables, /^PGPASSWORD="mock-password-1-of-storefront"$/m);
    });
  });

  describe("W5: refuses, with the program's own words, and changes nothing", () => {
    const refused: readonly [
      string,
      string,
      Readonly<Record<string, unknown>>,
      (request: string) => string,
      RegExp,
    ][] = [
      [
        "a balance algorithm that HAProxy does not know",
        "lb-1",
        { loadBalancer: { balance: "at-random" } },
        (request) => request,
        /balance only supports 'roundrobin'[\s\S]*haproxy\.cfg was refused; nothing was changed/,
      ],
      [
        "texts of errors that are missing",
        "lb-1",
        {},
        (request) => request.replace("map(errors.map)", "map(missing.map)"),
        /missing\.map[\s\S]*haproxy\.cfg was refused/,
      ],
      [
        "a keyword that keepalived does not know",
        "lb-1",
        {},
        (request) => request.replace("  nopreempt\\n", "  nopreemption\\n"),
        /Unknown keyword 'nopreemption'[\s\S]*keepalived\.conf was refused/,
      ],
      [
        "an interface that keepalived cannot find",
        "lb-1",
        {},
        (request) => request.replace("define FRONTEND 10.1.0.11", "define FRONTEND 10.1.0.77"),
        /keepalived\.conf was refused/,
      ],
      [
        "an address for HAProxy that no interface has",
        "lb-1",
        {},
        (request) => request.replace("name_of 10.1.0.11)", "name_of 10.1.0.77)"),
        /no interface of this machine has the frontend address 10\.1\.0\.11[\s\S]*haproxy\.cfg was refused/,
      ],
      [
        "more connections than there are open files for",
        "lb-1",
        { loadBalancer: { maxConnections: 40_000 } },
        (request) => request.replace("most=$(ulimit -H -n)", "most=20000; ulimit() { return 1; }"),
        /hastack:loadBalancer\.maxConnections: 40000 needs 80500 open files, and this machine gives a process 20000: use 9750 or less, or raise its limit/,
      ],
      [
        "a unit that PostgreSQL does not know",
        "db-1",
        { database: { parameters: { work_mem: "64XB" } } },
        (request) => request,
        /invalid value for parameter "work_mem": "64XB"[\s\S]*parameters\.conf was refused/,
      ],
      [
        "a parameter that PostgreSQL does not know",
        "db-1",
        { database: { parameters: { work_memory: "4MB" } } },
        (request) => request,
        /unrecognized configuration parameter "work_memory"[\s\S]*parameters\.conf was refused/,
      ],
    ];
    for (const [what, member, changes, edit, message] of refused) {
      it(what, () =>
        withVolume(member, async (files) => {
          await files.deliver(await recordStack(), member);
          const sum =
            "cd /etc/hastack && cat .files && sha256sum $(cat .files) && stat -c %i $(cat .files)";
          const before = await files.look(sum);
          const { code, stdout, stderr } = await files.deliver(
            await recordStack({ changes }),
            member,
            { edit },
          );
          assert.deepEqual([code, stdout], [1, ""]);
          assert.match(stderr, message);
          assert.doesNotMatch(stderr, /mock-password/);
          assert.equal(await files.look(sum), before);
        }),
      );
    }
  });

  describe("has a member that runs take notice", () => {
    /** A container that takes down what its supervisor would be told. */
    async function withMember(test: (member: Container, files: Delivered) => Promise<void>) {
      await withVolume("lb-1", async (files) => {
        const member = await start(await imageOf("lb-1"), "member", {
          arguments: [`--volume=${files.volume}:/etc/hastack`],
        });
        try {
          const scribe = "/usr/local/sbin/s6-svc";
          await member.run(
            `cat > ${scribe} && chmod +x ${scribe}`,
            '#!/bin/sh\necho "$@" >> /tmp/told\n',
          );
          await test(member, files);
        } finally {
          await member.remove();
        }
      });
    }
    const told = (member: Container) => member.run("cat /tmp/told; rm -f /tmp/told");
    const services = "/etc/hastack/services";

    it("L8: by a reload of HAProxy alone, for a changed HAProxy file", () =>
      withMember(async (member, files) => {
        const container = member.name;
        await files.deliver(await recordStack(), "lb-1", { container });
        await told(member);
        const changed = await recordStack({ changes: { loadBalancer: { balance: "leastconn" } } });
        const { code, stdout } = await files.deliver(changed, "lb-1", { container });
        assert.deepEqual([code, stdout], [0, "changed haproxy.cfg\nreload of haproxy\n"]);
        assert.equal(await told(member), `-2 ${services}/haproxy`);
        const again = await files.deliver(changed, "lb-1", { container });
        assert.equal(again.stdout, "nothing changed\n");
      }));

    it("W6: also of a delivery that was cut off before it told anyone", () =>
      withMember(async (member, files) => {
        await files.deliver(await recordStack(), "lb-1", { container: member.name });
        await told(member);
        // Nobody is there to be told: the note stays
        const changed = await recordStack({ changes: { loadBalancer: { balance: "leastconn" } } });
        await files.deliver(changed, "lb-1");
        const { stdout } = await files.deliver(changed, "lb-1", { container: member.name });
        assert.equal(stdout, "nothing changed\nreload of haproxy\n");
        assert.equal(await told(member), `-2 ${services}/haproxy`);
      }));
  });
});

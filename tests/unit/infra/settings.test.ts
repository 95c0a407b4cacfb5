import assert from "node:assert/strict";
import { readSettings, SettingsError } from "../../../infra/settings.ts";
import {
  asPulumiGives,
  leastConfiguration,
  settingsWith,
  shippedConfiguration,
} from "../../support/unit/fixtures.ts";

/** The problems that the settings are refused with. */
function problemsOf(changes: Readonly<Record<string, unknown>>): readonly string[] {
  try {
    settingsWith(changes);
  } catch (error) {
    assert.ok(error instanceof SettingsError, String(error));
    return error.problems;
  }
  return [];
}

describe("settings", () => {
  describe("what the shipped stack says", () => {
    it("W1: dev is read in full, and says what its file says", () => {
      const settings = readSettings("dev", asPulumiGives(shippedConfiguration("dev")));
      assert.equal(settings.stack, "dev");
      assert.equal(settings.platform, "docker");
      assert.equal(settings.keepData, false);
      assert.equal(settings.sampleData, true);
      assert.deepEqual(settings.network, {
        frontend: { subnet: "172.28.10.0/24", vip: "172.28.10.100" },
        backend: { subnet: "172.28.11.0/24", vip: "172.28.11.100" },
      });
      assert.deepEqual(settings.members, {
        loadBalancer: 2,
        quorum: 3,
        database: 2,
        storefront: 2,
        admin: 2,
        cache: 1,
      });
      assert.deepEqual(settings.loadBalancer.publishedPorts, [8080, 8081]);
      assert.deepEqual(settings.loadBalancer.publishedStatsPorts, [8404, 8405]);
      assert.equal(settings.database.maxConnections, 100);
      assert.equal(settings.database.sharedBuffersMegabytes, 64);
    });
  });

  describe("defaults", () => {
    it("keep data and bring no samples, unless the stack says so", () => {
      const { keepData, sampleData } = settingsWith();
      assert.deepEqual({ keepData, sampleData }, { keepData: true, sampleData: false });
    });

    it("D2, D4: are the tuned values that the promises were measured with", () => {
      const { database, loadBalancer } = settingsWith();
      assert.deepEqual(
        [database.ttlSeconds, database.loopWaitSeconds, database.retryTimeoutSeconds],
        [20, 1, 3],
      );
      assert.deepEqual(
        [
          loadBalancer.checkIntervalMilliseconds,
          loadBalancer.checkFastIntervalMilliseconds,
          loadBalancer.advertSeconds,
        ],
        [500, 250, 0.2],
      );
    });

    it("stand in for the missing part of an object that is given in part", () => {
      const { loadBalancer } = settingsWith({ loadBalancer: { balance: "leastconn" } });
      assert.equal(loadBalancer.balance, "leastconn");
      assert.equal(loadBalancer.maxConnections, 4000);
    });

    it("leave the published ports away", () => {
      assert.deepEqual(settingsWith().loadBalancer.publishedPorts, []);
    });
  });

  describe("W5: refuses, by setting, problem and value", () => {
    const refused: readonly [string, Readonly<Record<string, unknown>>, readonly string[]][] = [
      [
        "a platform that there is not",
        { platform: "podman" },
        ['hastack:platform: must be docker or ssh; it is "podman"'],
      ],
      [
        "a boolean that is none",
        { keepData: "yes" },
        ['hastack:keepData: Invalid input: expected boolean, received string; it is "yes"'],
      ],
      [
        "a subnet and an address that are none",
        {
          network: {
            frontend: { subnet: "172.28.10/24", vip: "172.28.10.300" },
            backend: { subnet: "10.2.0.0/24", vip: "10.2.0.100" },
          },
        },
        [
          'hastack:network.frontend.subnet: must be an IPv4 subnet such as 172.28.10.0/24; it is "172.28.10/24"',
          'hastack:network.frontend.vip: must be an IPv4 address such as 172.28.10.100; it is "172.28.10.300"',
        ],
      ],
      [
        "a network without its other half",
        { network: { frontend: { subnet: "10.1.0.0/24", vip: "10.1.0.100" } } },
        [
          "hastack:network.backend: Invalid input: expected object, received undefined; it is missing",
        ],
      ],
      [
        "half a member, and less than none",
        { members: { quorum: 2.5, admin: -1 } },
        [
          "hastack:members.quorum: Invalid input: expected int, received number; it is 2.5",
          "hastack:members.admin: must be a whole number, 0 or more; it is -1",
        ],
      ],
      [
        "ports that are none, each by its place in the list",
        { loadBalancer: { publishedPorts: [80, 0, 70_000, "8080"] } },
        [
          "hastack:loadBalancer.publishedPorts.1: must be a port, 1 to 65535; it is 0",
          "hastack:loadBalancer.publishedPorts.2: must be a port, 1 to 65535; it is 70000",
          'hastack:loadBalancer.publishedPorts.3: Invalid input: expected number, received string; it is "8080"',
        ],
      ],
      [
        "a lease and a patience that Patroni would refuse",
        { database: { ttlSeconds: 19, retryTimeoutSeconds: 2 } },
        [
          "hastack:database.ttlSeconds: must be 20 or more: Patroni refuses less; it is 19",
          "hastack:database.retryTimeoutSeconds: must be 3 or more: Patroni refuses less; it is 2",
        ],
      ],
      [
        "checks and adverts without a pause",
        { loadBalancer: { checkIntervalMilliseconds: 49, advertSeconds: 0 } },
        [
          "hastack:loadBalancer.checkIntervalMilliseconds: must be 50 milliseconds or more; it is 49",
          "hastack:loadBalancer.advertSeconds: must be a number of seconds above 0; it is 0",
        ],
      ],
      [
        "a level that the application does not log at",
        { application: { logLevel: "loud" } },
        [
          'hastack:application.logLevel: Invalid option: expected one of "debug"|"info"|"warn"|"error"; it is "loud"',
        ],
      ],
      [
        "a gate that could never pass",
        { gateTimeoutSeconds: 4 },
        ["hastack:gateTimeoutSeconds: Too small: expected number to be >=5; it is 4"],
      ],
      [
        "a parameter of PostgreSQL that is no plain value",
        { database: { parameters: { work_mem: ["4MB"] } } },
        ['hastack:database.parameters.work_mem: Invalid input; it is ["4MB"]'],
      ],
      [
        "more connections, and longer times, than anything here can keep",
        {
          loadBalancer: { maxConnections: 100_001 },
          application: { drainSeconds: 301, stopGraceSeconds: 601 },
        },
        [
          "hastack:loadBalancer.maxConnections: Too big: expected number to be <=100000; it is 100001",
          "hastack:application.drainSeconds: Too big: expected number to be <=300; it is 301",
          "hastack:application.stopGraceSeconds: Too big: expected number to be <=600; it is 601",
        ],
      ],
      [
        "a cache too small to be one",
        { cache: { megabytes: 7 } },
        ["hastack:cache.megabytes: must be 8 megabytes or more; it is 7"],
      ],
      [
        "a public address that is none, and one that ends with a slash",
        { publicUrl: "travel.example" },
        [
          'hastack:publicUrl: must be an address such as https://travel.example, with nothing behind it; it is "travel.example"',
        ],
      ],
      [
        "a public address that ends with a slash",
        { publicUrl: "https://travel.example/" },
        [
          'hastack:publicUrl: must be an address such as https://travel.example, with nothing behind it; it is "https://travel.example/"',
        ],
      ],
      [
        "a public address with a login and a query",
        { publicUrl: "https://me:x@travel.example?y" },
        [
          'hastack:publicUrl: must be an address such as https://travel.example, with nothing behind it; it is "https://me:x@travel.example?y"',
        ],
      ],
      [
        "a mail server and a sender that are none",
        { smtp: { host: "mail server", from: "travel", password: "x" } },
        [
          'hastack:smtp.host: must be a host\'s name or address, such as mail.example; it is "mail server"',
          'hastack:smtp.from: must be a mail address such as travel@example.org; it is "travel"',
          "hastack:smtp.password: is no setting; see infra/settings.ts",
        ],
      ],
      [
        "an object that is none",
        { members: "{" },
        ['hastack:members: Invalid input: expected object, received string; it is "{"'],
      ],
    ];
    for (const [what, changes, problems] of refused) {
      it(what, () => assert.deepEqual(problemsOf(changes), problems));
    }

    for (const name of [
      "max_connections",
      "shared_buffers",
      "fsync",
      "Fsync",
      "full_page_writes",
      "synchronous_commit",
      "SYNCHRONOUS_STANDBY_NAMES",
      "password_encryption",
      "listen_addresses",
      "port",
      "unix_socket_directories",
      "hba_file",
      "data_directory",
    ]) {
      it(`D2: the parameter ${name} of PostgreSQL, which is not the stack's to give away`, () => {
        assert.deepEqual(problemsOf({ database: { parameters: { [name]: "off", jit: false } } }), [
          `hastack:database.parameters.${name}: is kept by hastack for safety, or has a setting of its own; leave it out`,
        ]);
      });
    }

    it("a missing setting", () => {
      assert.throws(() => readSettings("test", {}), {
        name: "SettingsError",
        message: `the configuration cannot stand:
  hastack:platform: must be docker or ssh; it is missing
  hastack:network: Invalid input: expected object, received undefined; it is missing`,
      });
    });

    it("a key with a typing error, at the top and inside", () => {
      assert.deepEqual(problemsOf({ plattform: "docker" }), [
        "hastack:plattform: is no setting; see infra/settings.ts",
      ]);
      assert.deepEqual(problemsOf({ members: { quorom: 3, databases: 2 } }), [
        "hastack:members.quorom: is no setting; see infra/settings.ts",
        "hastack:members.databases: is no setting; see infra/settings.ts",
      ]);
    });

    it("all of them at once", () => {
      const problems = problemsOf({
        keepData: 1,
        members: { quorum: "three" },
        gateTimeoutSeconds: 0,
        keepdata: true,
      });
      assert.deepEqual(problems.map((problem) => problem.split(":").slice(0, 2).join(":")).sort(), [
        "hastack:gateTimeoutSeconds",
        "hastack:keepData",
        "hastack:keepdata",
        "hastack:members.quorum",
      ]);
    });
  });

  it("N3: a secret is taken as it is, and no message shows it", () => {
    const smtp = { host: "mail.example", user: "u", from: "travel@example.org" };
    assert.equal(settingsWith({ smtp, smtpPassword: "12345" }).smtpPassword, "12345");
    assert.deepEqual(problemsOf({ smtpPassword: "" }), [
      "hastack:smtpPassword: Too small: expected string to have >=1 characters; it is a secret",
    ]);
  });

  describe("W5: refuses what the platform has no use for", () => {
    const machines = [{ name: "node-1", backend: "10.2.0.11", roles: ["cache"] }];
    const refused: readonly [string, Readonly<Record<string, unknown>>, readonly string[]][] = [
      [
        "machines, and how they are reached, on docker",
        { machines, ssh: { identityFile: "~/.ssh/id_ed25519" } },
        [
          "hastack:machines: is for the platform ssh, and this is docker; leave it out; hastack:members says how many to make",
          "hastack:ssh: is for the platform ssh, and this is docker; leave it out",
        ],
      ],
      [
        "numbers of members, and ports of the engine's machine, on ssh",
        {
          platform: "ssh",
          machines,
          members: { quorum: 3 },
          loadBalancer: {
            publishedPorts: [8080, 8081],
            publishedStatsPorts: [],
            maxConnections: 50,
          },
        },
        [
          "hastack:members: is for the platform docker, and this is ssh; leave it out; hastack:machines says who has a role",
          "hastack:loadBalancer.publishedPorts: is for the platform docker, and this is ssh; leave it out; the load balancers are reached by their own addresses",
          "hastack:loadBalancer.publishedStatsPorts: is for the platform docker, and this is ssh; leave it out; the load balancers are reached by their own addresses",
        ],
      ],
      [
        "no machines on ssh",
        { platform: "ssh" },
        ["hastack:machines: is missing; on the platform ssh it lists the machines and their roles"],
      ],
      [
        "an empty list of machines",
        { platform: "ssh", machines: [] },
        ["hastack:machines: must list the machines and their roles; it is []"],
      ],
    ];
    for (const [what, changes, problems] of refused) {
      it(what, () => assert.deepEqual(problemsOf(changes), problems));
    }
  });

  describe("machines that are there already", () => {
    const node = { name: "node-1", backend: "10.2.0.11", roles: ["cache"] };
    const withNode = (values: object) => ({ platform: "ssh", machines: [{ ...node, ...values }] });

    it("are reached as root by port 22, unless they say otherwise", () => {
      assert.deepEqual(settingsWith(withNode({})).machines, [{ ...node, port: 22, user: "root" }]);
      const own = { address: "node-1.example", port: 2222, user: "deploy" };
      assert.deepEqual(settingsWith(withNode(own)).machines, [{ ...node, ...own }]);
    });

    for (const address of [
      "192.0.2.11",
      "node-1",
      "my_host.example.net",
      "2001:db8::11",
      "fe80::1%eth0",
    ]) {
      it(`may be reached at ${address}`, () => {
        assert.deepEqual(problemsOf(withNode({ address })), []);
      });
    }

    const refused: readonly [string, object, readonly string[]][] = [
      [
        "W5: a name that is none",
        { name: "Node 1" },
        ['hastack:machines.Node 1.name: must be a name such as node-1; it is "Node 1"'],
      ],
      [
        "W5: an address, a port and a user that are none",
        { address: "node 1", port: 0, user: "de ploy" },
        [
          'hastack:machines.node-1.address: must be a host\'s name or address, such as 192.0.2.11; it is "node 1"',
          "hastack:machines.node-1.port: must be a port, 1 to 65535; it is 0",
          'hastack:machines.node-1.user: must be a user\'s name, such as deploy; it is "de ploy"',
        ],
      ],
      [
        "W5: what ssh would take for an option",
        { address: "-oProxyCommand=x", user: "-x" },
        [
          'hastack:machines.node-1.address: must be a host\'s name or address, such as 192.0.2.11; it is "-oProxyCommand=x"',
          'hastack:machines.node-1.user: must be a user\'s name, such as deploy; it is "-x"',
        ],
      ],
      [
        "W5: no role, a role that there is not, and a network that there is not",
        { roles: ["cash"], backend: "10.2.0" },
        [
          'hastack:machines.node-1.backend: must be an IPv4 address such as 172.28.10.100; it is "10.2.0"',
          'hastack:machines.node-1.roles.0: Invalid option: expected one of "loadBalancer"|"quorum"|"database"|"storefront"|"admin"|"cache"|"brick"|"arbiter"; it is "cash"',
        ],
      ],
      [
        "W5: a machine without a role",
        { roles: [] },
        ["hastack:machines.node-1.roles: must name at least one role; it is []"],
      ],
      [
        "W5: a key with a typing error",
        { hostkey: "ssh-ed25519 A" },
        ["hastack:machines.node-1.hostkey: is no setting; see infra/settings.ts"],
      ],
    ];
    for (const [what, values, problems] of refused) {
      it(what, () => assert.deepEqual(problemsOf(withNode(values)), problems));
    }

    it("W5: go by their place in the list where they have no name", () => {
      const changes = { platform: "ssh", machines: [{ backend: "10.2.0.11", roles: ["cache"] }] };
      assert.deepEqual(problemsOf(changes), [
        "hastack:machines.0.name: Invalid input: expected string, received undefined; it is missing",
      ]);
    });
  });

  it("another project's configuration in the same stack is none of its business", () => {
    const configuration = asPulumiGives({ ...leastConfiguration, "docker:host": "tcp://x" });
    assert.doesNotThrow(() => readSettings("test", configuration));
  });

  it("nothing can change them later, however deep it lies", () => {
    const settings = settingsWith({ loadBalancer: { publishedPorts: [8080, 8081] } });
    const ports = settings.loadBalancer.publishedPorts;
    assert.throws(() => ports.push(1), TypeError);
    assert.throws(() => Object.assign(settings.network.frontend, { vip: "x" }), TypeError);
    assert.throws(() => Object.assign(settings, { stack: "x" }), TypeError);
  });
});

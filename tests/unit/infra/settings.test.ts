import assert from "node:assert/strict";
import { readSettings } from "../../../infra/settings.ts";
import {
  asPulumiGives,
  leastConfiguration,
  refusal,
  settingsWith,
  shippedConfiguration,
} from "../../support/unit/fixtures.ts";

/** The lines that the settings are refused with. */
const problemsOf = (changes: Readonly<Record<string, unknown>>) =>
  refusal(() => settingsWith(changes));

describe("settings", () => {
  describe("what the shipped stack says", () => {
    it("W1: dev is read in full, and says what its file says", () => {
      const settings = readSettings("dev", asPulumiGives(shippedConfiguration("dev")));
      assert.equal(settings.stack, "dev");
      assert.equal(settings.platform, "docker");
      assert.equal(settings.keepData, false);
      assert.deepEqual(settings.application, { path: "app", settings: { sampleData: true } });
      assert.deepEqual(settings.network, {
        frontend: { subnet: "172.28.10.0/24", vip: "172.28.10.100" },
        backend: { subnet: "172.28.11.0/24", vip: "172.28.11.100" },
      });
      assert.deepEqual(settings.members, {
        loadBalancer: 2,
        quorum: 3,
        backup: 1,
        database: 2,
        cache: 1,
      });
      assert.deepEqual(settings.loadBalancer.publishedPorts, [8080, 8081]);
      assert.deepEqual(settings.loadBalancer.publishedStatsPorts, [8404, 8405]);
      assert.equal(settings.database.maxConnections, 100);
      assert.equal(settings.database.sharedBuffersMegabytes, 64);
    });
  });

  describe("defaults", () => {
    it("keep data, and leave the application what it says itself, unless the stack says so", () => {
      const { keepData, application, applicationSecrets, tiers } = settingsWith();
      assert.deepEqual(
        { keepData, application, applicationSecrets, tiers },
        {
          keepData: true,
          application: { path: "app", settings: {} },
          applicationSecrets: {},
          tiers: {},
        },
      );
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
        ['hastack:platform: "podman" is not valid, it must be docker or ssh'],
      ],
      [
        "a boolean that is none",
        { keepData: "yes" },
        ['hastack:keepData: "yes" is not valid, it must be true or false'],
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
          'hastack:network.frontend.subnet: "172.28.10/24" is not valid, it must be an IPv4 subnet such as 172.28.10.0/24',
          'hastack:network.frontend.vip: "172.28.10.300" is not valid, it must be an IPv4 address such as 172.28.10.100',
        ],
      ],
      [
        "a network without its other half",
        { network: { frontend: { subnet: "10.1.0.0/24", vip: "10.1.0.100" } } },
        ["hastack:network.backend: is missing, it must give a subnet and a vip"],
      ],
      [
        "half a member, and less than none",
        { members: { quorum: 2.5, cache: -1 } },
        [
          "hastack:members.quorum: 2.5 is not valid, it must be a whole number",
          "hastack:members.cache: -1 is not valid, it must be a whole number, 0 or more",
        ],
      ],
      [
        "ports that are none, each by its place in the list",
        { loadBalancer: { publishedPorts: [80, 0, 70_000, "8080"] } },
        [
          "hastack:loadBalancer.publishedPorts.1: 0 is not valid, it must be a port, 1 to 65535",
          "hastack:loadBalancer.publishedPorts.2: 70000 is not valid, it must be a port, 1 to 65535",
          'hastack:loadBalancer.publishedPorts.3: "8080" is not valid, it must be a number',
        ],
      ],
      [
        "a lease and a patience that Patroni would refuse",
        { database: { ttlSeconds: 19, retryTimeoutSeconds: 2 } },
        [
          "hastack:database.ttlSeconds: 19 is not valid, it must be 20 or more: Patroni refuses less",
          "hastack:database.retryTimeoutSeconds: 2 is not valid, it must be 3 or more: Patroni refuses less",
        ],
      ],
      [
        "checks and adverts without a pause",
        { loadBalancer: { checkIntervalMilliseconds: 49, advertSeconds: 0 } },
        [
          "hastack:loadBalancer.checkIntervalMilliseconds: 49 is not valid, it must be 50 milliseconds or more",
          "hastack:loadBalancer.advertSeconds: 0 is not valid, it must be a number of seconds above 0",
        ],
      ],
      [
        "a gate that could never pass",
        { gateTimeoutSeconds: 4 },
        ["hastack:gateTimeoutSeconds: 4 is not valid, it must be 5 or more"],
      ],
      [
        "a parameter of PostgreSQL that is no plain value",
        { database: { parameters: { work_mem: ["4MB"] } } },
        [
          'hastack:database.parameters.work_mem: ["4MB"] is not valid, it must be a text, a number, true or false',
        ],
      ],
      [
        "more connections, and longer times, than anything here can keep",
        {
          loadBalancer: { maxConnections: 100_001 },
          tiers: { web: { drainSeconds: 301, stopGraceSeconds: 601 } },
        },
        [
          "hastack:tiers.web.drainSeconds: 301 is not valid, it must be 300 or less",
          "hastack:tiers.web.stopGraceSeconds: 601 is not valid, it must be 600 or less",
          "hastack:loadBalancer.maxConnections: 100001 is not valid, it must be 100000 or less",
        ],
      ],
      [
        "a cache too small to be one",
        { cache: { megabytes: 7 } },
        ["hastack:cache.megabytes: 7 is not valid, it must be 8 megabytes or more"],
      ],
      [
        "a public address that is none, and one that ends with a slash",
        { publicUrl: "travel.example" },
        [
          'hastack:publicUrl: "travel.example" is not valid, it must be an address such as https://shop.example, without a path',
        ],
      ],
      [
        "a public address that ends with a slash",
        { publicUrl: "https://travel.example/" },
        [
          'hastack:publicUrl: "https://travel.example/" is not valid, it must be an address such as https://shop.example, without a path',
        ],
      ],
      [
        "a public address with a login and a query",
        { publicUrl: "https://me:x@travel.example?y" },
        [
          'hastack:publicUrl: "https://me:x@travel.example?y" is not valid, it must be an address such as https://shop.example, without a path',
        ],
      ],
      [
        "a mail server and a sender that are none",
        { smtp: { host: "mail server", from: "travel", password: "x" } },
        [
          'hastack:smtp.host: "mail server" is not valid, it must be a host\'s name or address, such as mail.example',
          'hastack:smtp.from: "travel" is not valid, it must be a mail address such as shop@example.org',
          "hastack:smtp.password: is not a setting, see docs/settings.md",
        ],
      ],
      [
        "an object that is none",
        { members: "{" },
        ['hastack:members: "{" is not valid, it must be a map of names and values'],
      ],
    ];
    for (const [what, changes, problems] of refused) {
      it(what, () => assert.deepEqual(problemsOf(changes), problems));
    }

    for (const name of [
      "max_connections",
      "shared_buffers",
      "max_slot_wal_keep_size",
      "fsync",
      "Fsync",
      "full_page_writes",
      "synchronous_commit",
      "SYNCHRONOUS_STANDBY_NAMES",
      "password_encryption",
      "log_parameter_max_length",
      "Log_Parameter_Max_Length_On_Error",
      "listen_addresses",
      "port",
      "unix_socket_directories",
      "hba_file",
      "data_directory",
    ]) {
      it(`D2: the parameter ${name} of PostgreSQL, which is not the stack's to give away`, () => {
        assert.deepEqual(problemsOf({ database: { parameters: { [name]: "off", jit: false } } }), [
          `hastack:database.parameters.${name}: is kept by hastack for safety or has a setting of its own, leave it out`,
        ]);
      });
    }

    it("a missing setting", () => {
      assert.throws(() => readSettings("test", {}), {
        name: "SettingsError",
        message: `the configuration is not valid:
  hastack:platform: is missing, it must be docker or ssh
  hastack:network: is missing, it must give a subnet and a vip for frontend and for backend`,
      });
    });

    it("a key whose part before the colon has a typing error; others' keys are theirs", () => {
      const keys = { "hastak:keepData": "true", "docker:host": "x" };
      const configuration = { ...asPulumiGives(leastConfiguration), ...keys };
      assert.deepEqual(
        refusal(() => readSettings("test", configuration)),
        ["hastak:keepData: is not a setting of hastack, did you mean hastack:keepData?"],
      );
    });

    it("a key with a typing error, at the top and inside", () => {
      assert.deepEqual(problemsOf({ plattform: "docker" }), [
        "hastack:plattform: is not a setting, did you mean platform?",
      ]);
      assert.deepEqual(problemsOf({ members: { quorom: 3, databases: 2 } }), [
        "hastack:members.quorom: is not a setting, did you mean quorum?",
        "hastack:members.databases: is not a setting, did you mean database?",
      ]);
    });

    it("a setting that has another place since tiers are the application's, and names the place", () => {
      assert.deepEqual(
        problemsOf({
          sampleData: true,
          members: { storefront: 2, admin: 2 },
          application: {
            storefrontPoolSize: 10,
            adminPoolSize: 5,
            drainSeconds: 3,
            stopGraceSeconds: 25,
            logLevel: "info",
          },
        }),
        [
          "hastack:members.storefront: is not a setting, use hastack:tiers.storefront.instances",
          "hastack:members.admin: is not a setting, use hastack:tiers.admin.instances",
          "hastack:application.storefrontPoolSize: is not a setting, use hastack:tiers.storefront.poolSize",
          "hastack:application.adminPoolSize: is not a setting, use hastack:tiers.admin.poolSize",
          "hastack:application.drainSeconds: is not a setting, use hastack:tiers.NAME.drainSeconds",
          "hastack:application.stopGraceSeconds: is not a setting, use hastack:tiers.NAME.stopGraceSeconds",
          "hastack:application.logLevel: is not a setting, use hastack:application.settings.logLevel",
          "hastack:sampleData: is not a setting, use hastack:application.settings.sampleData",
        ],
      );
    });

    it("a key that is near none, and says where all of them are", () => {
      assert.deepEqual(problemsOf({ nonsense: 1, tiers: { web: { colour: "red" } } }), [
        "hastack:tiers.web.colour: is not a setting, see docs/settings.md",
        "hastack:nonsense: is not a setting, see docs/settings.md",
      ]);
    });

    it("what is wrong in itself and what is for the other platform, at once", () => {
      const changes = { keepData: 1, tiers: { web: { instances: 2 } }, platform: "ssh" };
      assert.deepEqual(problemsOf(changes), [
        "hastack:keepData: 1 is not valid, it must be true or false",
        "hastack:tiers.web.instances: is for the platform docker only, leave it out (hastack:machines says where each tier runs)",
        "hastack:machines: is missing, list the machines and their roles",
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
      "hastack:smtpPassword: is not valid, it must not be empty",
    ]);
    const { applicationSecrets } = settingsWith({ applicationSecrets: { apiKey: "12345" } });
    assert.deepEqual(applicationSecrets, { apiKey: "12345" });
    assert.deepEqual(problemsOf({ applicationSecrets: { apiKey: 12345 } }), [
      "hastack:applicationSecrets.apiKey: is not valid, it must be a text",
    ]);
    assert.deepEqual(problemsOf({ applicationSecrets: "12345x" }), [
      "hastack:applicationSecrets: is not valid, it must be a map of names and values",
    ]);
  });

  describe("W5: refuses what the platform has no use for", () => {
    const machines = [{ name: "node-1", backend: "10.2.0.11", roles: ["cache"] }];
    const refused: readonly [string, Readonly<Record<string, unknown>>, readonly string[]][] = [
      [
        "machines, and how they are reached, on docker",
        { machines, ssh: { identityFile: "~/.ssh/id_ed25519" } },
        [
          "hastack:machines: is for the platform ssh only, leave it out (hastack:members says how many the platform makes)",
          "hastack:ssh: is for the platform ssh only, leave it out",
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
          "hastack:members: is for the platform docker only, leave it out (hastack:machines says who has which role)",
          "hastack:loadBalancer.publishedPorts: is for the platform docker only, leave it out (the load balancers have addresses of their own)",
          "hastack:loadBalancer.publishedStatsPorts: is for the platform docker only, leave it out (the load balancers have addresses of their own)",
        ],
      ],
      [
        "no machines on ssh",
        { platform: "ssh" },
        ["hastack:machines: is missing, list the machines and their roles"],
      ],
      [
        "an empty list of machines",
        { platform: "ssh", machines: [] },
        ["hastack:machines: [] is not valid, it must list the machines and their roles"],
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
      assert.deepEqual(settingsWith(withNode({})).machines, [node]);
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
        ['hastack:machines.Node 1.name: "Node 1" is not valid, it must be a name such as node-1'],
      ],
      [
        "W5: an address, a port and a user that are none",
        { address: "node 1", port: 0, user: "de ploy" },
        [
          'hastack:machines.node-1.address: "node 1" is not valid, it must be a host\'s name or address, such as 192.0.2.11',
          "hastack:machines.node-1.port: 0 is not valid, it must be a port, 1 to 65535",
          'hastack:machines.node-1.user: "de ploy" is not valid, it must be a user\'s name, such as deploy',
        ],
      ],
      [
        "W5: what ssh would take for an option",
        { address: "-oProxyCommand=x", user: "-x" },
        [
          'hastack:machines.node-1.address: "-oProxyCommand=x" is not valid, it must be a host\'s name or address, such as 192.0.2.11',
          'hastack:machines.node-1.user: "-x" is not valid, it must be a user\'s name, such as deploy',
        ],
      ],
      [
        "W5: an address in a network that there is not",
        { backend: "10.2.0" },
        [
          'hastack:machines.node-1.backend: "10.2.0" is not valid, it must be an IPv4 address such as 172.28.10.100',
        ],
      ],
      [
        "W5: a machine without a role",
        { roles: [] },
        ["hastack:machines.node-1.roles: [] is not valid, it must name at least one role"],
      ],
      [
        "W5: a key with a typing error",
        { hostkey: "ssh-ed25519 A" },
        ["hastack:machines.node-1.hostkey: is not a setting, did you mean hostKey?"],
      ],
    ];
    for (const [what, values, problems] of refused) {
      it(what, () => assert.deepEqual(problemsOf(withNode(values)), problems));
    }

    it("W5: go by their place in the list where they have no name", () => {
      const changes = { platform: "ssh", machines: [{ backend: "10.2.0.11", roles: ["cache"] }] };
      assert.deepEqual(problemsOf(changes), [
        "hastack:machines.0.name: is missing, it must be a text",
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

import assert from "node:assert/strict";
import { commandLine } from "../../../../../infra/platform/shell.ts";
import type { Target } from "../../../../../infra/platform/ssh/connection.ts";
import { type Facts, noSudo, parseFacts } from "../../../../../infra/platform/ssh/facts.ts";
import {
  architectureProblems,
  factsText,
  factsWords,
  inspectMachines,
  lookProblem,
  offset,
  problemsOf,
  type Seen,
  sharedDiskWarnings,
} from "../../../../../infra/platform/ssh/preflight.ts";
import { ports } from "../../../../../infra/roles.ts";
import { formatProblem, type Problem } from "../../../../../infra/rules/problem.ts";
import { SettingsError } from "../../../../../infra/settings.ts";
import type { Machine, Member } from "../../../../../infra/topology.ts";
import { planWith, settingsWith } from "../../../../support/unit/fixtures.ts";
import { onMachines, onNfs } from "../../../../support/unit/machine-stack.ts";
import { type StandIn, standIns } from "../../../../support/unit/machines.ts";

const none: Problem = { path: "", why: "", fix: "" };

const factsScript = (paths: readonly string[]) =>
  `set -- ${commandLine(factsWords(settings, paths))}\n${factsText()}`;

const target: Target = {
  name: "node-1",
  address: "10.3.0.11",
  port: 22,
  user: "deploy",
  hostKey: "ssh-ed25519 AAAA",
};
const everyRole: Machine = {
  name: "node-1",
  roles: ["loadBalancer", "quorum", "database", "storefront", "admin", "brick"],
  frontend: "10.1.0.11",
  backend: "10.2.0.11",
};
const tierPort = (role: string) =>
  role === "storefront" ? { port: 3000 } : role === "admin" ? { port: 3001 } : {};
const planned: readonly Member[] = [
  ["lb-1", "loadBalancer"] as const,
  ["etcd-1", "quorum"] as const,
  ["db-1", "database"] as const,
  ["storefront-1", "storefront"] as const,
  ["admin-1", "admin"] as const,
  ["brick-1", "brick"] as const,
].map(([name, role]) => ({
  name,
  role,
  machine: "node-1",
  backend: "10.2.0.11",
  ...tierPort(role),
}));
/** What is seen where all of these are. */
const everyMember = {
  placed: ["admin-1", "db-1", "etcd-1", "lb-1", "storefront-1"],
  ownStorage: true,
};
/** A machine that everything may be placed on, just so. */
const good: Facts = {
  system: { id: "debian", version: "13", title: "Debian GNU/Linux 13 (trixie)" },
  architecture: "x86_64",
  memoryMegabytes: 900,
  space: new Map([
    ["/", { mount: "/", freeMegabytes: 3072 }],
    ["/opt/hastack", { mount: "/", freeMegabytes: 3072 }],
    ["/var/lib/postgresql", { mount: "/var", freeMegabytes: 3072 }],
    ["/var/lib/etcd", { mount: "/var", freeMegabytes: 3072 }],
    ["/var/lib/hastack/bricks", { mount: "/var", freeMegabytes: 3072 }],
  ]),
  clock: 1_800_000_000,
  unknownNames: [],
  hostName: "node-1",
  addresses: ["10.1.0.11", "10.2.0.11", "10.3.0.11"],
  listeners: [{ port: 22, place: "0.0.0.0:22", program: "sshd", unit: "ssh.service" }],
  placed: [],
  ownStorage: false,
  shared: new Map(),
  otherFirewalls: [],
  altered: new Map(),
};
const settings = settingsWith();

/** What is said of a machine that differs in this from a good one, without the machine's name. */
function said(
  facts: Partial<Facts>,
  {
    machine = everyRole,
    clockOffset = 0,
    changes = settings,
    planned: members = planned,
  }: Partial<Seen & { changes: typeof settings }> = {},
): string[] {
  const all = problemsOf(changes, {
    target,
    machine,
    planned: members.filter(({ role }) => machine.roles.includes(role)),
    clockOffset,
    facts: { ...good, ...facts },
  });
  return all.map(formatProblem).map((problem) => {
    assert.ok(problem.startsWith("machine node-1 (deploy@10.3.0.11): "), problem);
    return problem.slice("machine node-1 (deploy@10.3.0.11): ".length);
  });
}

const listener = (port: number, program: string, unit?: string) => ({
  port,
  place: `0.0.0.0:${port}`,
  program,
  ...(unit !== undefined && { unit }),
});
const squatter = (port: number) => listener(port, "nc", "session-1.scope");
const taken = (port: number, role: string) =>
  `port ${port} (${role}) is taken by nc at 0.0.0.0:${port}, end it there, or have it use another port`;

describe("W5, S4: shared files on the file system of what stops without room", () => {
  const warned = (space: Facts["space"], roles = everyRole.roles) =>
    sharedDiskWarnings(settingsWith({ ...onMachines, storage: { reservePercent: 12 } }), {
      ...{ target, planned, clockOffset: 0 },
      machine: { ...everyRole, roles },
      facts: { ...good, space },
    }).map(formatProblem);
  const on = (mount: string) => ({ mount, freeMegabytes: 9000 });

  it("are told, with what is there and what is left to it", () => {
    const told = (others: string) =>
      `machine node-1 (deploy@10.3.0.11): its file system /var holds shared files (/var/lib/hastack/bricks) beside ${others}, to which the former leave 12 per cent of it and no more (hastack:storage.reservePercent), give /var/lib/hastack/bricks a file system of its own`;
    assert.deepEqual(warned(good.space), [
      told("etcd (/var/lib/etcd) and the database (/var/lib/postgresql)"),
    ]);
    const apart = new Map([...good.space, ["/var/lib/postgresql", on("/srv/data")]]);
    assert.deepEqual(warned(apart), [told("etcd (/var/lib/etcd)")]);
  });

  it("are told of backups by the settings of backups", () => {
    const space = new Map([
      ["/var/lib/hastack-backup", on("/var")],
      ["/var/lib/etcd", on("/var")],
    ]);
    const [told = ""] = warned(space, ["quorum", "backup"]);
    assert.match(told, /backups .* beside etcd .*hastack:backup.retentionDays/);
    assert.doesNotMatch(told, /reservePercent/);
  });

  it("are not told where they have one of their own, or nobody else is there", () => {
    assert.deepEqual(
      warned(new Map([...good.space, ["/var/lib/hastack/bricks", on("/srv/files")]])),
      [],
    );
    assert.deepEqual(warned(good.space, ["brick", "storefront"]), []);
    assert.deepEqual(warned(good.space, ["quorum", "database"]), []);
    assert.deepEqual(warned(new Map()), []);
  });
});

describe("base checks of a machine", () => {
  describe("W5, S3: on where its shared files are mounted from", () => {
    const own = settingsWith({ ...onMachines, ...onNfs });
    const there = "10.2.0.13:/var/lib/hastack/exports/uploads";
    const mounted = (source: string) => ({ shared: new Map([["uploads", source]]) });
    const left = (from: string, to: string) =>
      `its uploads are mounted from ${from}, and would be from ${to}: files do not move by themselves, take the settings back, or move the files first (docs/operate.md, Another place for shared files)`;

    it("find nothing where that stays", () => {
      assert.deepEqual(said(mounted("GlusterFS")), []);
      assert.deepEqual(said(mounted(there), { changes: own }), []);
    });

    it("refuse another driver, and another server", () => {
      assert.deepEqual(said(mounted("GlusterFS"), { changes: own }), [left("GlusterFS", there)]);
      assert.deepEqual(said(mounted(there)), [left(there, "GlusterFS")]);
      const before = there.replace("13:", "14:");
      assert.deepEqual(said(mounted(before), { changes: own }), [left(before, there)]);
    });

    it("are told of it by the unit that mounts it", () => {
      const line = "shared uploads 10.2.0.13:/var/lib/hastack/exports/uploads";
      assert.deepEqual(
        [...parseFacts(`clock 1\n${line}\nshared papers GlusterFS\n`).shared],
        [
          ["uploads", there],
          ["papers", "GlusterFS"],
        ],
      );
    });
  });

  it("W5: want room for the log that is kept for a standby", () => {
    const machine = { ...everyRole, roles: ["database"] };
    const changes = settingsWith({ database: { maximumSlotLogMegabytes: 4096 } });
    assert.deepEqual(said({}, { machine, changes }), [
      "its file system /var has 3072 MiB free and the database (/var/lib/postgresql) must have 6144, make room there",
    ]);
  });

  it("W5: find nothing on one that is just enough for every role", () => {
    assert.deepEqual(said({}), []);
  });

  describe("W5: tell the problem, and what to do", () => {
    const cases: readonly [string, Partial<Facts>, readonly string[]][] = [
      [
        "a sudo that wants a password",
        { notRoot: "sudo: a password is required", listeners: undefined },
        [
          "deploy cannot become root (sudo: a password is required), put the line `deploy ALL=(ALL) NOPASSWD: ALL` into /etc/sudoers.d/hastack there",
        ],
      ],
      [
        "a sudo that wants a terminal",
        { notRoot: "sudo: sorry, you must have a tty to run sudo", listeners: undefined },
        [
          "deploy cannot become root (sudo: sorry, you must have a tty to run sudo), put the line `Defaults:deploy !requiretty` into /etc/sudoers.d/hastack there",
        ],
      ],
      [
        "no sudo at all",
        { notRoot: noSudo, listeners: undefined },
        [
          "deploy cannot become root (sudo is not there), install it there, or let hastack:machines.node-1.user be root",
        ],
      ],
      [
        "another release of Debian",
        { system: { id: "debian", version: "12", title: "Debian GNU/Linux 12 (bookworm)" } },
        ["it runs Debian GNU/Linux 12 (bookworm), install Debian 13 (trixie) there"],
      ],
      [
        "another distribution with that number, and without a title",
        { system: { id: "alpine", version: "13", title: "" } },
        ["it runs alpine 13, install Debian 13 (trixie) there"],
      ],
      [
        "a system that does not say what it is",
        { system: undefined },
        ["it runs an unknown system, install Debian 13 (trixie) there"],
      ],
      [
        "another processor",
        { architecture: "riscv64" },
        ["its processor is riscv64, use a machine with x86_64 or aarch64"],
      ],
      ["another init", { otherInit: "tini" }, ["its process 1 is tini, let it boot with systemd"]],
      [
        "too little memory",
        { memoryMegabytes: 899 },
        ["it has 899 MiB of memory and needs 900, give it more"],
      ],
      [
        "one file system that is too small for several things, once, by the largest",
        {
          space: new Map([
            ["/", { mount: "/", freeMegabytes: 900 }],
            ["/opt/hastack", { mount: "/", freeMegabytes: 900 }],
            ["/var/lib/postgresql", { mount: "/", freeMegabytes: 900 }],
            ["/var/lib/etcd", { mount: "/", freeMegabytes: 900 }],
            ["/var/lib/hastack/bricks", { mount: "/", freeMegabytes: 900 }],
          ]),
        },
        [
          "its file system / has 900 MiB free and etcd (/var/lib/etcd) must have 3072, make room there",
        ],
      ],
      [
        "two file systems, each",
        {
          space: new Map([
            ...good.space,
            ["/opt/hastack", { mount: "/opt", freeMegabytes: 100 }],
            ["/var/lib/postgresql", { mount: "/srv/data", freeMegabytes: 3071 }],
          ]),
        },
        [
          "its file system /srv/data has 3071 MiB free and the database (/var/lib/postgresql) must have 3072, make room there",
          "its file system /opt has 100 MiB free and releases (/opt/hastack) must have 3072, make room there",
        ],
      ],
      [
        "a name of its own that it does not know",
        { unknownNames: ["node-1"] },
        ["it does not know its own name node-1, add the line `127.0.1.1 node-1` to its /etc/hosts"],
      ],
      [
        "hosts of its packages that it does not know",
        { unknownNames: ["deb.debian.org", "mirror.example"] },
        ["deb.debian.org", "mirror.example"].map(
          (name) =>
            `it cannot resolve ${name} (its packages come from there), mend its name servers (/etc/resolv.conf), or name a proxy to apt`,
        ),
      ],
      [
        "an address that it does not have, with those that it has",
        { addresses: ["10.1.0.11", "10.3.0.11"] },
        [
          "it has no address 10.2.0.11 (it has 10.1.0.11, 10.3.0.11), give it that one, or set hastack:machines.node-1.backend",
        ],
      ],
      [
        "no address at all",
        { addresses: [] },
        ["frontend", "backend"].map(
          (name) =>
            `it has no address 10.${name === "frontend" ? 1 : 2}.0.11 (it has none), give it that one, or set hastack:machines.node-1.${name}`,
        ),
      ],
      [
        "a service on a port of its roles",
        { listeners: [listener(5432, "postgres", "postgresql@17-main.service")] },
        [
          "port 5432 (database) is taken by postgres of postgresql@17-main.service at 0.0.0.0:5432, end it there: systemctl disable --now postgresql@17-main.service",
        ],
      ],
      [
        "services of others, of programs that its roles run, unless their port tells it",
        {
          listeners: [listener(2379, "etcd", "etcd.service")],
          othersUnits: ["haproxy.service", "etcd.service", "valkey-server.service"],
        },
        [
          "port 2379 (quorum) is taken by etcd of etcd.service at 0.0.0.0:2379, end it there: systemctl disable --now etcd.service",
          "its haproxy.service is not the stack's and runs, or will from the next boot on (loadBalancer runs one of its own), use another machine for loadBalancer, or switch it off: systemctl disable --now haproxy.service",
        ],
      ],
      [
        "another program on a port, once for all its addresses",
        { listeners: [squatter(80), { ...squatter(80), place: "[::]:80" }] },
        [taken(80, "loadBalancer")],
      ],
      [
        "ports that cannot be looked at",
        { listeners: undefined },
        ["its ports cannot be looked at: ss is missing, install iproute2 there"],
      ],
      [
        "the stack's user number in other hands",
        { userOfId: "bob" },
        [
          "its user bob has the number 880 (shared files take it for hastack), give bob another one (usermod --uid)",
        ],
      ],
      [
        "a user of the stack's name with another number",
        { idOfUser: 1001 },
        [
          "its user hastack has the number 1001 (shared files want 880), rename or remove that user",
        ],
      ],
      [
        "another stack's things",
        { owner: "shop node-1" },
        ["it belongs to the stack shop, take that away first, or use another machine"],
      ],
    ];
    for (const [what, facts, problems] of cases) {
      it(what, () => assert.deepEqual(said(facts), problems));
    }

    it("all of a machine's, in one go", () => {
      const all = said({
        otherInit: "sh",
        memoryMegabytes: 10,
        userOfId: "bob",
        listeners: [squatter(3000), squatter(3001)],
      });
      assert.equal(all.length, 5, all.join("\n"));
    });

    it("a port that is not the usual one, in the machine's name", () => {
      const facts = { ...good, otherInit: "sh" };
      const seen = { machine: everyRole, planned, clockOffset: 0, facts };
      const [problem = none] = problemsOf(settings, { ...seen, target: { ...target, port: 2222 } });
      assert.match(
        formatProblem(problem),
        /^machine node-1 \(deploy@10\.3\.0\.11, port 2222\): its process 1/,
      );
    });
  });

  it("W5: want memory for the database's buffers where the database is", () => {
    const changes = settingsWith({ database: { sharedBuffersMegabytes: 512 } });
    assert.deepEqual(said({ memoryMegabytes: 2047 }, { changes }), [
      "it has 2047 MiB of memory and needs 2048, give it more, or make hastack:database.sharedBuffersMegabytes smaller",
    ]);
    assert.deepEqual(said({ memoryMegabytes: 2048 }, { changes }), []);
    const machine: Machine = { ...everyRole, roles: ["storefront"] };
    assert.deepEqual(said({ memoryMegabytes: 900 }, { changes, machine }), []);
  });

  it("W5: want space for what the machine's roles keep, and for nothing else", () => {
    const space = new Map([
      ...good.space,
      ["/opt/hastack", { mount: "/opt", freeMegabytes: 1 }],
      ["/var/lib/postgresql", { mount: "/var", freeMegabytes: 1 }],
      ["/var/lib/etcd", { mount: "/var", freeMegabytes: 1 }],
      ["/var/lib/hastack/bricks", { mount: "/var", freeMegabytes: 1 }],
    ]);
    const machine: Machine = { ...everyRole, roles: ["loadBalancer", "cache"] };
    assert.deepEqual(said({ space }, { machine }), []);
    const all = said({ space: new Map([["/", { mount: "/", freeMegabytes: 1023 }]]) }, { machine });
    assert.deepEqual(all, [
      "its file system / has 1023 MiB free and packages (/) must have 1024, make room there",
    ]);
  });

  it("W6: want little of a machine that the stack is on already", () => {
    const low = new Map([["/", { mount: "/", freeMegabytes: 512 }]]);
    const facts = { ...everyMember, unknownNames: ["deb.debian.org"], space: low };
    assert.deepEqual(said(facts), []);
    const full = new Map([["/", { mount: "/", freeMegabytes: 511 }]]);
    assert.deepEqual(said({ ...facts, space: full }), [
      "its file system / has 511 MiB free and packages (/) must have 512, make room there",
    ]);
  });

  it("W6: want all that a new role needs of a machine that has others", () => {
    const space = new Map([
      ["/", { mount: "/", freeMegabytes: 1023 }],
      ["/var/lib/etcd", { mount: "/srv/etcd", freeMegabytes: 512 }],
      ["/var/lib/postgresql", { mount: "/srv/db", freeMegabytes: 3071 }],
      ["/var/lib/hastack/bricks", { mount: "/srv/bricks", freeMegabytes: 512 }],
    ]);
    const placed = everyMember.placed.filter((name) => name !== "db-1");
    const facts = { ...everyMember, placed, space, unknownNames: ["deb.debian.org"] };
    assert.deepEqual(said(facts), [
      "its file system /srv/db has 3071 MiB free and the database (/var/lib/postgresql) must have 3072, make room there",
      "its file system / has 1023 MiB free and packages (/) must have 1024, make room there",
      "it cannot resolve deb.debian.org (its packages come from there), mend its name servers (/etc/resolv.conf), or name a proxy to apt",
    ]);
    assert.deepEqual(said({ ...facts, placed: everyMember.placed }), []);
    assert.deepEqual(said({ space, ...everyMember, ownStorage: false }).slice(0, 1), [
      "its file system /srv/bricks has 512 MiB free and shared files (/var/lib/hastack/bricks) must have 3072, make room there",
    ]);
  });

  it("W6: find nothing where each member is what it was", () => {
    assert.deepEqual(said(everyMember), []);
  });

  it("W6: tell a member that would get another number", () => {
    const placed = ["etcd-2", "storefront-11"];
    assert.deepEqual(
      said({ placed }),
      [
        ["etcd-2", "etcd-1"],
        ["storefront-11", "storefront-1"],
      ].map(
        ([was, is]) =>
          `it is ${was} and would become ${is}, keep the order of hastack:machines, and add new ones at the end`,
      ),
    );
  });

  it("W6: let a member go that is planned there no longer", () => {
    const machine: Machine = { ...everyRole, roles: ["storefront"] };
    assert.deepEqual(said({ placed: ["etcd-2", "storefront-1"] }, { machine }), []);
    assert.deepEqual(said({ placed: ["etcd-2"] }, { machine }), []);
  });

  it("W6: go on where an earlier run has left a member beside the right one", () => {
    assert.deepEqual(said({ placed: ["etcd-1", "etcd-2"] }), []);
  });

  describe("W5, W8: a tier of another name", () => {
    const machine: Machine = { ...everyRole, roles: ["shop-front", "admin"] };
    const member = { machine: "node-1", backend: "10.2.0.11" };
    const shopFront = { ...member, name: "shop-front-1", role: "shop-front", port: 3000 };
    const admin = { ...member, name: "admin-1", role: "admin", port: 3001 };
    const there = {
      ...everyMember,
      listeners: [
        listener(3000, "node", "hastack-storefront.service"),
        listener(3000, "haproxy", "hastack-storefront-proxy.service"),
        listener(3001, "node", "hastack-admin.service"),
        listener(3001, "haproxy", "hastack-admin-proxy.service"),
      ],
    };
    const held = (port: number, role: string, by: string) =>
      `port ${port} (${role}) is held by ${by} of this stack while ${role}-1 is made, `;

    it("takes the port of the old one, which goes first", () => {
      const renamed = [{ ...shopFront, formerName: "storefront-1" }, admin];
      assert.deepEqual(said(there, { machine, planned: renamed }), []);
    });

    it("is refused the port where the old name is not known, with both ways out", () => {
      assert.deepEqual(said(there, { machine, planned: [shopFront, admin] }), [
        `${held(3000, "shop-front", "storefront")}write formerly: storefront in hastack.yaml if shop-front is its new name, or else give shop-front another port in hastack.yaml`,
      ]);
      const elsewhere = [{ ...shopFront, port: 3002 }, admin];
      assert.deepEqual(said(there, { machine, planned: elsewhere }), []);
    });

    it("is refused the port of a tier that stays: that is started anew after it", () => {
      const staying = [
        { ...shopFront, port: 3001, formerName: "storefront-1" },
        { ...admin, port: 3003 },
      ];
      assert.deepEqual(said(there, { machine, planned: staying }), [
        `${held(3001, "shop-front", "admin")}give shop-front another port in hastack.yaml`,
      ]);
    });

    it("is refused another number than the old one had", () => {
      const second = { ...shopFront, name: "shop-front-2", formerName: "storefront-2" };
      assert.deepEqual(said({ placed: ["storefront-1"] }, { machine, planned: [second] }), [
        "it is storefront-1 and would become shop-front-2, keep the order of hastack:machines, and add new ones at the end",
      ]);
    });

    it("finds what the old one has used of the disk", () => {
      const space = new Map([
        ["/", { mount: "/", freeMegabytes: 512 }],
        ["/opt/hastack", { mount: "/opt", freeMegabytes: 512 }],
      ]);
      const renamed = [{ ...shopFront, formerName: "storefront-1" }, admin];
      assert.deepEqual(said({ ...there, space }, { machine, planned: renamed }), []);
    });
  });

  describe("W5: tell a clock that is off", () => {
    const cases: readonly [number, readonly string[]][] = [
      [2, []],
      [-2, []],
      [
        2.6,
        [
          "its clock is 3 s ahead of yours, set it, and keep it right by a time service such as systemd-timesyncd",
        ],
      ],
      [
        -3600,
        [
          "its clock is 3600 s behind yours, set it, and keep it right by a time service such as systemd-timesyncd",
        ],
      ],
    ];
    for (const [clockOffset, problems] of cases) {
      it(`by ${clockOffset} s`, () => assert.deepEqual(said({}, { clockOffset }), problems));
    }

    it("and not one that was read between our two looks at ours", () => {
      assert.equal(offset(105, 100, 110), 0);
      assert.equal(offset(97, 100, 110), -3);
      assert.equal(offset(114, 100, 110), 4);
      assert.equal(offset(undefined, 100, 110), 0);
    });
  });

  describe("W5: take a port as free", () => {
    const cases: readonly [string, readonly NonNullable<Facts["listeners"]>[number][]][] = [
      [
        "where one of the stack's own units has it",
        [listener(5432, "postgres", "hastack-patroni.service")],
      ],
      ["where it is none of the machine's roles", [squatter(ports.cache)]],
      ["where it is for HTTPS, and there is none", [squatter(ports.https)]],
      ["where it is for mail, and none is sent", [squatter(ports.mail)]],
    ];
    for (const [what, listeners] of cases) {
      it(what, () => assert.deepEqual(said({ listeners }), []));
    }

    it("where the stack's own GlusterFS has it, and nobody else's", () => {
      const listeners = [
        listener(24007, "glusterd", "glusterd.service"),
        listener(49152, "glusterfsd"),
      ];
      assert.deepEqual(said({ listeners, ownStorage: true }), []);
      assert.deepEqual(said({ listeners }), [
        "port 24007 (brick) is taken by glusterd of glusterd.service at 0.0.0.0:24007, end it there: systemctl disable --now glusterd.service",
        "port 49152 (brick) is taken by glusterfsd at 0.0.0.0:49152, end it there, or have it use another port",
      ]);
    });

    it("S3: where the kernel has it as the NFS server that it is to be", () => {
      const machine = { ...everyRole, roles: ["nfs"] };
      const changes = settingsWith({ ...onMachines, ...onNfs });
      const member = { name: "nfs-1", role: "nfs", machine: "node-1", backend: "10.2.0.11" };
      const given = { machine, changes, planned: [member] };
      assert.deepEqual(said({ listeners: [listener(ports.nfs, "the kernel")] }, given), []);
      assert.deepEqual(said({ listeners: [listener(ports.nfs, "ganesha.nfsd")] }, given), [
        "port 2049 (nfs) is taken by ganesha.nfsd at 0.0.0.0:2049, end it there, or have it use another port",
      ]);
    });

    it("but not the one for mail where mail is sent", () => {
      const changes = settingsWith({ smtp: { host: "mail.example", from: "a@mail.example" } });
      const listeners = [squatter(ports.mail)];
      assert.deepEqual(said({ listeners }, { changes }), [taken(ports.mail, "loadBalancer")]);
    });
  });

  it("L4: tell a virtual IP that a machine has which is no load balancer", () => {
    const addresses = [...good.addresses, "10.2.0.100"];
    assert.deepEqual(said({ addresses }), []);
    const machine: Machine = { ...everyRole, roles: ["database"] };
    assert.deepEqual(said({ addresses }, { machine }), [
      "it has the virtual IP 10.2.0.100 and is not a load balancer, take it off its interface",
    ]);
  });

  it("W5: tell machines that one release cannot run on", () => {
    const seen = (name: string, architecture: string, role: "storefront" | "database"): Seen => ({
      target: { ...target, name },
      machine: { ...everyRole, name, roles: [role] },
      planned: [],
      clockOffset: 0,
      facts: { ...good, architecture },
    });
    const [one, other] = [
      seen("app-1", "x86_64", "storefront"),
      seen("app-2", "aarch64", "storefront"),
    ];
    assert.deepEqual(architectureProblems([one, other]).map(formatProblem), [
      "hastack:machines: app-1 (x86_64) and app-2 (aarch64) have different processors and run the same release, put the application's tiers on machines of one architecture",
    ]);
    assert.deepEqual(architectureProblems([one, seen("db-1", "aarch64", "database")]), []);
  });
});

describe("base checks: what a machine prints", () => {
  it("is read, whatever its shell says besides", () => {
    const facts = parseFacts(`Welcome to node-1!
clock 1800000000.25
notRoot sudo: a password is required
system debian 13 Debian GNU/Linux 13 (trixie)
architecture aarch64
memory 1048576
space / 2097152 /
space /opt/hastack 1023 /srv/with space
space /var/lib/etcd
addresses 10.1.0.11 fe80::1
hostName node-1
userOfId
idOfUser 880
unknownName deb.debian.org
altered etcd-2 etcd.yml
altered etcd-2 hastack-etcd.service
listenersSeen
listener LISTEN 0 128 [::]:80 [::]:* users:(("nginx",pid=7,fd=6),("nginx",pid=8,fd=6))
listener LISTEN 0 128 127.0.0.1:2049 0.0.0.0:*
group pid=7 9:name=systemd:/
group pid=7 0::/system.slice/nginx.service
placed etcd-2
placed etcd-2.before
placed storefront-10
placed shop-front-1
placed shop-front-1.copy
placed mine
owner lab node-1
ownStorage
shared uploads GlusterFS
ssh 10.3.0.1 50000 10.3.0.11 22
firewall
firewallOpen
firewallMended 2
knownDoor tcp 9100
`);
    assert.deepEqual(facts, {
      clock: 1_800_000_000.25,
      notRoot: "sudo: a password is required",
      system: good.system,
      architecture: "aarch64",
      otherInit: undefined,
      othersUnits: [],
      running: [],
      memoryMegabytes: 1024,
      space: new Map([
        ["/", { mount: "/", freeMegabytes: 2048 }],
        ["/opt/hastack", { mount: "/srv/with space", freeMegabytes: 0 }],
      ]),
      addresses: ["10.1.0.11", "fe80::1"],
      hostName: "node-1",
      userOfId: undefined,
      idOfUser: 880,
      unknownNames: ["deb.debian.org"],
      listeners: [
        { port: 80, place: "[::]:80", program: "nginx", unit: "nginx.service" },
        { port: 2049, place: "127.0.0.1:2049", program: "the kernel" },
      ],
      placed: ["etcd-2", "storefront-10", "shop-front-1"],
      owner: "lab node-1",
      ownStorage: true,
      shared: new Map([["uploads", "GlusterFS"]]),
      sshConnection: "10.3.0.1 50000 10.3.0.11 22",
      firewall: { isOpen: true, letsFormerIn: false, mended: 2, known: ["tcp 9100"] },
      otherFirewalls: [],
      altered: new Map([["etcd-2", ["etcd.yml", "hastack-etcd.service"]]]),
      udpListeners: [],
    });
  });

  it("is little where it is no Debian at all", () => {
    const facts = parseFacts("This account is not available.\n");
    const { listeners, space, addresses, placed, ownStorage } = facts;
    assert.deepEqual(
      [listeners, space.size, addresses, placed, ownStorage],
      [undefined, 0, [], [], false],
    );
  });
});

describe("base checks: a look", () => {
  const result = { code: 0, stdout: "clock 1800000000.25\n", stderr: "" };

  it("is taken as it is when the machine said all", () => {
    assert.equal(lookProblem(target, result), undefined);
  });

  it("W5: is told as such when it took too long, whatever was seen until then", () => {
    for (const stdout of [result.stdout, ""]) {
      assert.equal(
        formatProblem(
          lookProblem(target, { code: 124, stdout, stderr: "not done within 30 s\n" }) ?? none,
        ),
        "machine node-1 (deploy@10.3.0.11): looking at it took more than 30 s, see what holds it up there (a network mount that is dead, name servers, a login script)",
      );
    }
  });

  it("W5: tells what the machine said in place of facts", () => {
    assert.equal(
      formatProblem(lookProblem(target, { code: 1, stdout: "Go away.\n", stderr: "" }) ?? none),
      "machine node-1 (deploy@10.3.0.11): it does not run commands (it said: Go away.), give deploy a shell there",
    );
  });
});

describe("base checks of real machines", function () {
  this.timeout(60_000);
  let machines: readonly [StandIn, StandIn];

  before(async function () {
    this.timeout(600_000);
    machines = await standIns();
    // Other tests, which share them, leave them to a stack
    for (const one of machines) await one.look("rm -f /etc/hastack/.machine");
  });

  /** Looks at both as at two machines with all these roles. */
  async function inspect(change: (target: Target) => Partial<Target> = () => ({})) {
    const asked = machines.map(({ target: one, frontend, backend }) => ({
      machine: { ...everyRole, name: one.name, frontend, backend },
      target: { ...one, ...change(one) },
    }));
    const wished = settingsWith({
      platform: "ssh",
      ssh: { identityFile: asked[0]?.target.identityFile },
      machines: asked.map(({ machine, target: { identityFile, ...reached } }) => ({
        ...reached,
        ...machine,
      })),
    });
    const storefront = asked.map(({ machine: { name, backend } }, index) => ({
      name: `storefront-${index + 1}`,
      role: "storefront",
      machine: name,
      backend,
      ...tierPort("storefront"),
    }));
    const topology = {
      ...planWith().topology,
      machines: asked.map(({ machine }) => machine),
      tiers: { storefront },
    };
    return inspectMachines(wished, topology, [
      { from: "storefront", to: "storefront", network: "backend", port: 3000 },
    ]);
  }

  const problems = async (
    change?: (target: Target) => Partial<Target>,
  ): Promise<readonly string[]> => {
    try {
      await inspect(change);
      return [];
    } catch (error) {
      assert.ok(error instanceof SettingsError, String(error));
      return error.problems.map(formatProblem);
    }
  };

  it("W5: find nothing on bare ones", async () => {
    const { targets, architecture } = await inspect();
    assert.deepEqual(
      targets.map(({ name }) => name),
      ["node-1", "node-2"],
    );
    assert.equal(architecture, process.arch);
  });

  it("W5: change nothing", async () => {
    const [one] = machines;
    const { stdout } = await one.attempt(factsScript(["/", "/no/such/folder"]));
    const facts = parseFacts(stdout);
    assert.equal(facts.space.get("/no/such/folder")?.mount, "/");
    assert.ok((facts.memoryMegabytes ?? 0) > 100);
    assert.ok(facts.addresses.includes(one.backend));
    const count =
      "find / -xdev -newer /run/unit-mark -type f -not -path '/var/log/*' -not -path '/proc/*'";
    await one.look("touch /run/unit-mark");
    await one.attempt(factsScript(["/"]));
    assert.equal(await one.look(count), "");
  });

  it("W5: tell all problems of all machines at once", async () => {
    const [one, other] = machines;
    await one.look(
      `systemd-run --quiet --unit=squatter systemd-socket-activate --listen=0.0.0.0:3000 cat
       mkdir -p /opt && mount -t tmpfs -o size=100m tmpfs /opt`,
    );
    await other.look("mv /etc/sudoers.d/deploy /root/");
    try {
      const all = await problems();
      assert.equal(all.length, 3, all.join("\n"));
      assert.match(
        all[0] ?? "",
        /^machine node-1 \(deploy@172\.29\.54\.11\): its file system \/opt has 100 MiB free and /,
      );
      assert.match(
        all[1] ?? "",
        /^machine node-1 .*: port 3000 \(storefront\) is taken by systemd-socket\S* of squatter\.service at /,
      );
      assert.match(
        all[2] ?? "",
        /^machine node-2 .*: deploy cannot become root \(sudo: a password is required\), /,
      );
    } finally {
      await one.look("systemctl stop squatter; umount /opt");
      await other.look("mv /root/deploy /etc/sudoers.d/");
    }
    assert.deepEqual(await problems(), []);
  });

  it("W5: tell what is free on each file system of its own, and what must be", async () => {
    const [one] = machines;
    const places = {
      "/var/lib/postgresql": "size=64m",
      // Large enough: it takes memory only for what lies in it
      "/var/lib/etcd": "size=8g",
      "/opt/hastack": "size=64m",
      // What is to lie further down is not there yet
      "/var/lib/hastack": "size=64m",
    };
    const paths = Object.keys(places);
    const mounts = Object.entries(places).map(
      ([path, options]) =>
        `mkdir ${path} 2> /dev/null && echo ${path} >> /root/made; mount -t tmpfs -o ${options} tmpfs ${path}`,
    );
    const { maximumSlotLogMegabytes: log } = settingsWith({}).database;
    const told = [
      `its file system /var/lib/postgresql has 44 MiB free and the database (/var/lib/postgresql) must have ${2048 + log}`,
      "its file system /opt/hastack has 64 MiB free and releases (/opt/hastack) must have 3072",
      "its file system /var/lib/hastack has 64 MiB free and shared files (/var/lib/hastack/bricks) must have 3072",
    ];
    await one.look(
      `: > /root/made\n${mounts.join("\n")}\nfallocate -l 20M /var/lib/postgresql/others`,
    );
    try {
      const place = `machine node-1 (deploy@${one.target.address})`;
      assert.deepEqual(
        (await problems()).toSorted(),
        told.map((why) => `${place}: ${why}, make room there`).toSorted(),
      );
    } finally {
      await one.look(`umount ${paths.join(" ")}; xargs -r rmdir < /root/made; rm /root/made`);
    }
    assert.deepEqual(await problems(), []);
  });

  it("W5: tell a clock that is off, and leave one that is nearly right", async () => {
    const [, other] = machines;
    // The clock itself is this machine's: all ask it by this program
    const ahead = (seconds: number) =>
      other.look(`cat > /usr/local/bin/date << 'END'
#!/bin/sh
exec /usr/bin/date --date='${seconds} seconds' "$@"
END
chmod 0755 /usr/local/bin/date`);
    try {
      for (const [seconds, off] of [
        [8, /^machine node-2 \(deploy@[\d.]+\): its clock is [78] s ahead of yours, set it, /],
        [
          -600,
          /^machine node-2 \(deploy@[\d.]+\): its clock is (59\d|600) s behind yours, set it, /,
        ],
      ] as const) {
        await ahead(seconds);
        const [problem = "", ...others] = await problems();
        assert.match(problem, off);
        assert.deepEqual(others, []);
      }
      await ahead(1);
      assert.deepEqual(await problems(), []);
    } finally {
      await other.look("rm /usr/local/bin/date");
    }
  });

  it("W5: name a port between them that somebody drops, within 30 s", async () => {
    const [one, other] = machines;
    await other.look(`ip rule > /dev/null; nft -v > /dev/null 2>&1 || { apt-get -qq update > /dev/null
  DEBIAN_FRONTEND=noninteractive apt-get -qq -y install nftables > /dev/null 2>&1; }
nft 'table inet unit { chain in { type filter hook input priority 0; tcp dport 3000 drop; }; }'`);
    try {
      const begin = Date.now();
      assert.deepEqual(await problems(), [
        `machine node-1 (deploy@${one.target.address}): it gets no answer from node-2 (${other.backend}) at port 3000/tcp: something between them drops it, let it through there (another firewall on node-2, a cloud's security group)`,
      ]);
      assert.ok(Date.now() - begin < 30_000);
    } finally {
      await other.look("nft delete table inet unit");
    }
  });

  it("W5: tell a sudo that wants a terminal, and what ends that", async () => {
    const [, other] = machines;
    const rules = "/etc/sudoers.d/zz-unit";
    await other.look(`echo 'Defaults requiretty' > ${rules}`);
    try {
      const [problem = "", ...others] = await problems();
      assert.match(
        problem,
        /^machine node-2 .*you must have a tty .*`(Defaults:deploy !requiretty)` /,
      );
      assert.deepEqual(others, []);
      await other.look(`echo 'Defaults:deploy !requiretty' >> ${rules}`);
      assert.deepEqual(await problems(), []);
    } finally {
      await other.look(`rm ${rules}`);
    }
  });

  it("W5: tell machines that cannot be talked to beside those that can", async () => {
    const [one] = machines;
    // In place of the stack's own user, where another test has made that
    await one.look(
      `cp -p /etc/passwd /root/passwd
       sed -i /^hastack:/d /etc/passwd
       echo bob:x:880:880::/home/bob:/bin/sh >> /etc/passwd`,
    );
    try {
      const all = await problems(({ name }) =>
        name === "node-2" ? { address: "172.29.54.99" } : {},
      );
      assert.equal(all.length, 2, all.join("\n"));
      assert.match(all[0] ?? "", /^machine node-1 .*: its user bob has the number 880 \(/);
      assert.match(
        all[1] ?? "",
        /^machine node-2 \(deploy@172\.29\.54\.99\): it cannot be reached, /,
      );
    } finally {
      await one.look("mv /root/passwd /etc/passwd");
    }
  });

  it("W5: tell an account that runs no commands", async () => {
    const [, other] = machines;
    await other.look("usermod --shell /usr/sbin/nologin deploy");
    try {
      assert.deepEqual(await problems(), [
        "machine node-2 (deploy@172.29.54.12): it does not run commands (it said: This account is currently not available.), give deploy a shell there",
      ]);
    } finally {
      await other.look("usermod --shell /bin/bash deploy");
    }
  });
});

import assert from "node:assert/strict";
import {
  movedProblems,
  placeProblems,
  portProblems,
  subnetProblems,
  type UsedSubnet,
} from "../../../../../infra/platform/docker/preflight.ts";
import { formatProblem } from "../../../../../infra/rules/problem.ts";
import { agency, planWith, renamed, settingsWith } from "../../../../support/unit/fixtures.ts";

const { network } = planWith().topology;
const settings = settingsWith({
  loadBalancer: { publishedPorts: [8080, 8081], publishedStatsPorts: [8404, 8405] },
});

describe("preflight", () => {
  describe("W5: refuses a subnet that overlaps", () => {
    const cases: readonly [string, readonly UsedSubnet[], readonly string[]][] = [
      ["nothing, where nothing is in use", [], []],
      [
        "nothing, where others are neighbours",
        [
          { subnet: "10.0.255.0/24", user: "the Docker network old" },
          { subnet: "10.1.1.0/24", user: "the interface eth1" },
        ],
        [],
      ],
      [
        "a network of the engine",
        [{ subnet: "10.1.0.0/24", user: "the Docker network shop" }],
        [
          "hastack:network.frontend.subnet: 10.1.0.0/24 overlaps 10.1.0.0/24 of the Docker network shop, use another subnet, and a vip inside it",
        ],
      ],
      [
        "an interface whose subnet is larger, given by its own address",
        [{ subnet: "10.2.7.9/16", user: "the interface eth0" }],
        [
          "hastack:network.backend.subnet: 10.2.0.0/24 overlaps 10.2.7.9/16 of the interface eth0, use another subnet, and a vip inside it",
        ],
      ],
      [
        "a smaller one inside it",
        [{ subnet: "10.2.0.192/28", user: "the Docker network small" }],
        [
          "hastack:network.backend.subnet: 10.2.0.0/24 overlaps 10.2.0.192/28 of the Docker network small, use another subnet, and a vip inside it",
        ],
      ],
      [
        "several, each told",
        [
          { subnet: "10.0.0.0/8", user: "the interface vpn0" },
          { subnet: "10.1.0.128/25", user: "the Docker network shop" },
        ],
        [
          "hastack:network.frontend.subnet: 10.1.0.0/24 overlaps 10.0.0.0/8 of the interface vpn0, use another subnet, and a vip inside it",
          "hastack:network.frontend.subnet: 10.1.0.0/24 overlaps 10.1.0.128/25 of the Docker network shop, use another subnet, and a vip inside it",
          "hastack:network.backend.subnet: 10.2.0.0/24 overlaps 10.0.0.0/8 of the interface vpn0, use another subnet, and a vip inside it",
        ],
      ],
    ];
    for (const [what, used, problems] of cases) {
      it(what, () => assert.deepEqual(subnetProblems(network, used).map(formatProblem), problems));
    }
  });

  describe("W5: refuses to move the subnet of a stack that runs", () => {
    const moved = (name: string, wanted: string, there: string) =>
      `hastack:network.${name}.subnet: ${wanted} is not ${there}, where the stack runs, and members cannot move, keep it, or destroy the stack first`;
    const cases: readonly [string, Readonly<Record<string, string>>, readonly string[]][] = [
      ["nothing, where it does not run yet", {}, []],
      [
        "nothing, where it runs there already",
        { "hastack-test-frontend": "10.1.0.0/24", "hastack-test-backend": "10.2.0.0/24" },
        [],
      ],
      [
        "nothing, where another stack runs elsewhere",
        { "hastack-dev-frontend": "10.8.0.0/24", bridge: "10.9.0.0/24" },
        [],
      ],
      [
        "the backend alone",
        { "hastack-test-frontend": "10.1.0.0/24", "hastack-test-backend": "10.7.0.0/24" },
        [moved("backend", "10.2.0.0/24", "10.7.0.0/24")],
      ],
      [
        "both, also into a larger subnet around the old one",
        { "hastack-test-frontend": "10.1.0.0/16", "hastack-test-backend": "10.7.0.0/24" },
        [
          moved("frontend", "10.1.0.0/24", "10.1.0.0/16"),
          moved("backend", "10.2.0.0/24", "10.7.0.0/24"),
        ],
      ],
    ];
    for (const [what, there, problems] of cases) {
      it(what, () => {
        const networks = new Map(
          Object.entries(there).map(([name, subnet]) => [name, { subnets: [subnet] }]),
        );
        assert.deepEqual(movedProblems(settings, networks).map(formatProblem), problems);
      });
    }
  });

  describe("W5, W8: keeps tiers where they run", () => {
    const running = (...tiers: readonly (readonly [string, number])[]) =>
      new Map(
        [...tiers, ["db", 31] as const].flatMap(([name, host]) =>
          [1, 2].map((number): [string, string] => [
            `${name}-${number}`,
            `10.2.0.${host + number - 1}`,
          ]),
        ),
      );
    const both = running(["storefront", 41], ["admin", 51]);
    const with3 = "tiers:\n  - { name: worker, command: [work] }\n";
    const first = agency.replace("tiers:\n", with3);
    const formerly = (tier: string, instance: string, block: number, host: number) =>
      `hastack:tiers.${tier}: ${tier}-1 cannot have 10.2.0.${block}, where ${instance}-1 still runs, write formerly: ${instance} in hastack.yaml if ${tier} is its new name, or else set hastack:tiers.${tier}.firstHost: ${host}`;
    const move = (tier: string, from: number, to: number) =>
      `hastack:tiers.${tier}: ${tier}-1 runs at 10.2.0.${from} and cannot move to 10.2.0.${to}, set hastack:tiers.${tier}.firstHost: ${from}`;
    const swapped = { storefront: { firstHost: 51 }, admin: { firstHost: 41 } };
    const cases: readonly [
      string,
      ReadonlyMap<string, string>,
      { readonly text?: string; readonly tiers?: object },
      readonly string[],
    ][] = [
      ["nothing, where nothing runs", new Map(), {}, []],
      ["nothing, where all run where they shall", both, {}, []],
      ["nothing, where a tier has another name that is known", both, { text: renamed }, []],
      [
        "nothing, where a renaming stopped half-way",
        new Map([...both].map(([name, at]) => [name.replace("storefront-1", "shop-front-1"), at])),
        { text: renamed },
        [],
      ],
      [
        "a tier by another name that is not known as the same",
        both,
        { text: renamed.replace("    formerly: storefront\n", "") },
        [formerly("shop-front", "storefront", 41, 71)],
      ],
      [
        "nothing, where that begins elsewhere",
        both,
        {
          text: renamed.replace("    formerly: storefront\n", ""),
          tiers: { "shop-front": { firstHost: 71 } },
        },
        [],
      ],
      [
        "all that run behind a new tier",
        both,
        { text: first },
        [move("storefront", 41, 51), move("admin", 51, 71)],
      ],
      [
        "nothing, where they keep their places",
        both,
        { text: first, tiers: { storefront: { firstHost: 41 }, admin: { firstHost: 51 } } },
        [],
      ],
      [
        "tiers that would change places",
        both,
        { tiers: swapped },
        [move("storefront", 41, 51), move("admin", 51, 41)],
      ],
      [
        "a tier that would move to where nobody is",
        both,
        { tiers: { admin: { firstHost: 91 } } },
        [move("admin", 51, 91)],
      ],
      [
        "a tier that would move up because one before it goes",
        running(["worker", 41], ["storefront", 51], ["admin", 71]),
        {},
        [move("storefront", 51, 41), move("admin", 71, 51)],
      ],
      [
        "a renamed tier that would move, too",
        running(["storefront", 71], ["admin", 51]),
        { text: renamed },
        [
          "hastack:tiers.shop-front: shop-front-1 runs at 10.2.0.71 and cannot move to 10.2.0.41, set hastack:tiers.shop-front.firstHost: 71",
        ],
      ],
    ];
    for (const [what, there, { text, tiers }, problems] of cases) {
      it(what, () => {
        const { topology } = planWith(tiers && { tiers }, text);
        assert.deepEqual(placeProblems(topology, there).map(formatProblem), problems);
      });
    }

    it("and names no place where there is none left", () => {
      const full = running(
        ...([41, 51, 71, 81, 91, 101, 111] as const).map(
          (host, index) => [`old-${"abcdefg"[index]}`, host] as const,
        ),
      );
      const [line] = placeProblems(planWith().topology, full).map(formatProblem);
      assert.match(line ?? "", /formerly: old-a .*, or else add it once that is gone$/);
    });
  });

  describe("W5: refuses a published port that is in use", () => {
    const inUse = (setting: string, port: number) =>
      `hastack:loadBalancer.${setting}: ${port} is in use by another program on 127.0.0.1, use another port, or end that program`;
    const cases: readonly [string, readonly number[], readonly string[]][] = [
      ["none, where none is", [], []],
      ["none, where another is", [8082], []],
      ["one of the site", [8081], [inUse("publishedPorts", 8081)]],
      [
        "all of them at once",
        [8405, 8080, 8081],
        [
          inUse("publishedPorts", 8080),
          inUse("publishedPorts", 8081),
          inUse("publishedStatsPorts", 8405),
        ],
      ],
    ];
    for (const [what, taken, problems] of cases) {
      it(what, () =>
        assert.deepEqual(portProblems(settings, new Set(taken)).map(formatProblem), problems),
      );
    }
  });
});

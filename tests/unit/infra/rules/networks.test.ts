import assert from "node:assert/strict";
import { networkProblems } from "../../../../infra/rules/networks.ts";
import { formatProblem } from "../../../../infra/rules/problem.ts";
import { machineSettings, settingsWith } from "../../../support/unit/fixtures.ts";

type Network = readonly [subnet: string, vip: string];
const network = (frontend: Network, backend: Network) => ({
  frontend: { subnet: frontend[0], vip: frontend[1] },
  backend: { subnet: backend[0], vip: backend[1] },
});
const goodFrontend = ["10.1.0.0/24", "10.1.0.100"] as const;
const goodBackend = ["10.2.0.0/24", "10.2.0.100"] as const;

const managed = (subnet: string) =>
  networkProblems({
    ...machineSettings(),
    network: { ...network(goodFrontend, goodBackend), management: { subnet } },
  }).map(formatProblem);

const planned = (frontend: Network, backend: Network) =>
  networkProblems(settingsWith({ network: network(frontend, backend) })).map(formatProblem);
const given = (frontend: Network, backend: Network) =>
  networkProblems({ ...machineSettings(), network: network(frontend, backend) }).map(formatProblem);

describe("rules on networks", () => {
  describe("where the platform makes the machines", () => {
    const refused: readonly (readonly [string, Network, Network, readonly string[]])[] = [
      [
        "a VIP outside its subnet",
        ["10.1.0.0/24", "10.3.0.100"],
        goodBackend,
        [
          "hastack:network.frontend.vip: 10.3.0.100 is outside 10.1.0.0/24, use an address inside it",
        ],
      ],
      [
        "a VIP where temporary containers get their addresses",
        goodFrontend,
        ["10.2.0.0/24", "10.2.0.128"],
        [
          "hastack:network.backend.vip: 10.2.0.128 is in the range of members or of temporary containers, use 10.2.0.70 to 10.2.0.127",
        ],
      ],
      [
        "a VIP where members get their addresses",
        ["10.1.0.0/24", "10.1.0.69"],
        goodBackend,
        [
          "hastack:network.frontend.vip: 10.1.0.69 is in the range of members or of temporary containers, use 10.1.0.70 to 10.1.0.127",
        ],
      ],
      [
        "overlapping subnets",
        ["10.2.0.0/16", "10.2.0.90"],
        goodBackend,
        [
          "hastack:network.backend.subnet: 10.2.0.0/24 overlaps the frontend's 10.2.0.0/16, use another",
        ],
      ],
      [
        "host bits in a subnet",
        ["10.1.0.7/24", "10.1.0.100"],
        goodBackend,
        ["hastack:network.frontend.subnet: 10.1.0.7/24 has host bits set, use 10.1.0.0/24"],
      ],
      [
        "a subnet too small for the address plan, and one too large",
        ["10.1.0.0/25", "10.1.0.100"],
        ["10.8.0.0/15", "10.8.0.100"],
        [
          "hastack:network.frontend.subnet: 10.1.0.0/25 has prefix length 25, use 16 to 24",
          "hastack:network.backend.subnet: 10.8.0.0/15 has prefix length 15, use 16 to 24",
        ],
      ],
    ];
    for (const [what, frontend, backend, problems] of refused) {
      it(`W5: refuse ${what}`, () => assert.deepEqual(planned(frontend, backend), problems));
    }

    const accepted: readonly (readonly [string, Network, Network])[] = [
      ["the first VIP of its range", ["10.1.0.0/24", "10.1.0.70"], goodBackend],
      ["the last VIP of its range", ["10.1.0.0/24", "10.1.0.127"], goodBackend],
      ["a subnet of the largest size", ["10.1.0.0/16", "10.1.0.100"], goodBackend],
      ["neighbouring subnets", goodFrontend, ["10.1.1.0/24", "10.1.1.100"]],
    ];
    for (const [what, frontend, backend] of accepted) {
      it(`take ${what}`, () => assert.deepEqual(planned(frontend, backend), []));
    }
  });

  describe("where the machines are listed", () => {
    it("W5: refuse a VIP that is the network or the broadcast address", () => {
      assert.deepEqual(given(["10.1.0.0/24", "10.1.0.0"], ["10.2.0.0/24", "10.2.0.255"]), [
        "hastack:network.frontend.vip: 10.1.0.0 is the network address of 10.1.0.0/24, use another",
        "hastack:network.backend.vip: 10.2.0.255 is the broadcast address of 10.2.0.0/24, use another",
      ]);
    });

    it("W5: refuse a subnet that holds too few or too many addresses", () => {
      assert.deepEqual(given(["10.1.0.0/30", "10.1.0.1"], ["11.0.0.0/7", "11.0.0.1"]), [
        "hastack:network.frontend.subnet: 10.1.0.0/30 has prefix length 30, use 8 to 29",
        "hastack:network.backend.subnet: 11.0.0.0/7 has prefix length 7, use 8 to 29",
        "hastack:network.backend.subnet: 11.0.0.0/7 overlaps the frontend's 10.1.0.0/30, use another",
      ]);
    });

    it("N1: refuse a management network that is not apart from the others", () => {
      assert.deepEqual(managed("10.0.0.0/8"), [
        "hastack:network.management.subnet: 10.0.0.0/8 overlaps the frontend's 10.1.0.0/24, use another",
        "hastack:network.management.subnet: 10.0.0.0/8 overlaps the backend's 10.2.0.0/24, use another",
      ]);
      assert.deepEqual(managed("10.3.0.7/24"), [
        "hastack:network.management.subnet: 10.3.0.7/24 has host bits set, use 10.3.0.0/24",
      ]);
      assert.deepEqual(managed("10.3.0.0/24"), []);
    });

    it("take any other address of subnets of any use", () => {
      assert.deepEqual(given(["10.1.0.0/29", "10.1.0.6"], ["12.0.0.0/8", "12.0.0.1"]), []);
    });
  });
});

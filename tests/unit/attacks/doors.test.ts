/** The attacks' table of doors leaves no port out, and no certificate. */
import assert from "node:assert/strict";
import { type Leaf, leaves } from "../../../infra/certificates/domains.ts";
import { ports, roleTable } from "../../../infra/roles.ts";
import { doorsOf } from "../../support/attacks/doors.ts";
import type { StackSecrets } from "../../support/attacks/state.ts";
import type { TestStack } from "../../support/test-stack.ts";

/** What has tests of its own, and what docs/security.md calls open. */
const elsewhere: readonly number[] = [
  ...[ports.http, ports.https, ports.stats, ports.mail],
  ...[ports.gluster, ports.brick, ports.nfs],
  // Nobody listens there, but while a restore takes the stack's place
  ports.restored,
];

const place = { address: (member: string) => member, sharing: (member: string) => [member] };
const doorsWith = (certificates: readonly { leaf: Leaf }[]) =>
  doorsOf(
    { place } as unknown as TestStack,
    { password: () => "password", certificates } as unknown as StackSecrets,
    "all",
  );
const doors = doorsWith([{ leaf: "keeper" }]);

describe("the doors that attacks are tried at", () => {
  it("are all ports of all roles", () => {
    const listening = Object.values(roleTable).flatMap((role) => [...role.ports]);
    const missing = listening.filter(
      (port) => !elsewhere.includes(port) && !doors.some((door) => door.port === port),
    );
    assert.deepEqual(missing, []);
  });

  for (const [name, { use }] of Object.entries(leaves)) {
    const isShown = use === "server";
    it(`${isShown ? "none is opened" : "some is opened"} by ${name}`, () => {
      const member = { "etcd-peer": "etcd-1" }[name];
      const offer = { name, kind: name as Leaf, ...(member && { member }) };
      assert.equal(
        doors.some((door) => door.isOpenTo(offer)),
        !isShown,
      );
    });
  }

  it("are none from a machine of backups, where there is none", () => {
    assert.ok(doors.some(({ from }) => from === "backup-1"));
    assert.ok(!doorsWith([]).some(({ from }) => from === "backup-1"));
  });

  it("are opened by nothing that is forged, nor without TLS", () => {
    for (const kind of ["forged", "plain"] as const) {
      assert.deepEqual(
        doors.filter((door) => door.isOpenTo({ name: kind, kind })),
        [],
      );
    }
  });
});

/**
 * A disk that is full, on machines. What keeps data has a file system of its own there, in memory, whose
 * size can be changed: it is full when that is little more than what is used.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../../../lib/until.ts";
import { fault, timed } from "../../support/measure.ts";
import { attempt, healed, inside, primaries, primary, sql } from "../../support/members.ts";
import { limits, mostSeconds, promises, worstOf } from "../../support/promises.ts";
import type { TestStack } from "../../support/test-stack.ts";
import { destination, postDestination, request } from "../../support/traffic.ts";

const disks = {
  etcd: "/var/lib/etcd",
  db: "/var/lib/postgresql",
  brick: "/var/lib/hastack/bricks",
} as const;
type Kind = keyof typeof disks;
const diskOf = (member: string) => disks[member.replace(/-\d$/, "") as Kind];

/** What the checks before `up` want of a disk, and more. */
const usualSize = "6g";
/** Long enough for whoever looks at a disk now and then: GlusterFS does it every 5 s. */
const noticedSeconds = 8;

/** Members whose disk may be full, with those that are on their machines. */
const members = ["db-1", "db-2", "etcd-1", "etcd-2", "etcd-3", "brick-1", "brick-2"];

/** Gives each a file system of its own, with something on it. Before `up`. */
export async function makeDisks(stack: TestStack): Promise<void> {
  for (const member of members) {
    const disk = diskOf(member);
    await inside(
      stack,
      member,
      `mkdir -p ${disk}; mount -t tmpfs -o size=${usualSize},mode=0755 tmpfs ${disk}
       fallocate -l 100M ${disk}/others`,
    );
  }
}

/** Leaves so many kilobytes free. */
function fill(stack: TestStack, member: string, kilobytes: number) {
  const disk = diskOf(member);
  return inside(
    stack,
    member,
    `used=$(df --output=used -k ${disk} | tail -1)
     mount -o remount,size=$((used + ${kilobytes}))k ${disk}`,
  );
}

/** Leaves a brick less than its reserve, which is a tenth. */
const fillBrick = (stack: TestStack, member: string) => fill(stack, member, 8000);

function makeRoom(stack: TestStack, member: string) {
  return inside(stack, member, `mount -o remount,size=${usualSize} ${diskOf(member)}`);
}

const nextFile = "SELECT pg_logical_emit_message(false, '', 'x'); SELECT pg_switch_wal();\n";

/** Has a primary begin new files of its log until its disk has no room for the next. */
async function useLog(stack: TestStack, member: string): Promise<void> {
  const input = nextFile.repeat(60);
  const psql = ["psql", "-h/run/postgresql", "-XAt", "-v", "ON_ERROR_STOP=1", "hastack"];
  const { code } = await attempt(stack, member, psql, { user: "postgres", input });
  assert.notEqual(code, 0, "the disk was not full");
}

/** The answer to a picture. */
async function postPicture(stack: TestStack, title: string) {
  const { body, type } = destination(title);
  return request(`${stack.url}api/content`, {
    method: "POST",
    headers: {
      Authorization: await stack.authorization(),
      "Content-Type": type,
      "Content-Length": body.length,
      "Idempotency-Key": randomUUID(),
    },
    body,
    limitMilliseconds: 20_000,
    ca: stack.ca,
  });
}

const healInfo = "gluster volume heal hastack-uploads info summary";

/** Waits until every brick has what the others have. */
async function bricksHealed(stack: TestStack): Promise<void> {
  await until("the bricks are healed", {
    probe: () => inside(stack, "brick-1", healInfo),
    done: (told) =>
      /^Total Number of entries: 0$/m.test(told) && !/^Total Number of entries: [1-9-]/m.test(told),
    // Healing looks every minute
    limitSeconds: 150,
  });
}

export function fullDisksSuite(stack: TestStack): void {
  describe("a disk is full", () => {
    beforeEach(() => healed(stack));
    afterEach(async () => {
      for (const member of members) await makeRoom(stack, member);
    });

    it("S2, S4: of one brick: pictures are taken by the other, and healed once there is room", async () => {
      await fault(stack, "disk of a brick full", promises.brickLost, async () => {
        await fillBrick(stack, "brick-2");
        await sleep(noticedSeconds * 1000);
        const behind = await inside(stack, "brick-1", healInfo);
        assert.match(behind, /^Total Number of entries: [1-9]/m);
      });
      await makeRoom(stack, "brick-2");
      await timed("healed after there was room", () => bricksHealed(stack));
    });

    it("S2, S4: of both bricks: a picture gets 507 while the reserve is free, and nothing is left behind", async () => {
      const rows = () => sql(stack, "db-1", "SELECT count(*) FROM content");
      const before = await rows();
      for (const member of ["brick-1", "brick-2"]) await fillBrick(stack, member);
      await sleep(noticedSeconds * 1000);
      const { status, body } = await postPicture(stack, "without room");
      assert.equal(status, 507, body.slice(0, 200));
      assert.equal((await stack.request("")).status, 200);
      assert.equal(await rows(), before);
      const free = await inside(stack, "brick-1", `df --output=avail -k ${disks.brick} | tail -1`);
      assert.ok(Number(free) > 4000, `${free} kB`);
      for (const member of ["brick-1", "brick-2"]) await makeRoom(stack, member);
      await sleep(noticedSeconds * 1000);
      await postDestination(stack, "with room");
      await timed("healed after there was room", () => bricksHealed(stack));
    });

    it("D2: of an etcd member: nobody sees it, and it comes back by itself once there is room", async () => {
      await fault(stack, "disk of an etcd member full", promises.quorumMemberLost, async () => {
        await fill(stack, "etcd-3", 4);
        const log = "journalctl --quiet --output=cat --unit=hastack-etcd";
        await until("it finds no room", {
          probe: () => inside(stack, "etcd-3", log),
          done: (said) => /no space left on device/.test(said),
          describe: () => "",
          limitSeconds: 60,
        });
        await sleep(noticedSeconds * 1000);
        await makeRoom(stack, "etcd-3");
      });
      await until("the member is healthy", {
        probe: () =>
          attempt(stack, "etcd-3", [
            ...["sh", "-c"],
            `cd ${stack.place.files("etcd-3")} && curl -sS --max-time 2 --cacert tls/quorum-client-ca.crt --cert tls/etcd-server.pem https://${stack.place.address("etcd-3")}:2379/health`,
          ]),
        done: ({ stdout }) => stdout.includes('"health":"true"'),
        limitSeconds: limits.rejoin,
      });
    });

    it("D4: of the standby: writes go on without it, and it comes back by itself once there is room", async () => {
      const standby = (await primary(stack)) === "db-1" ? "db-2" : "db-1";
      await fault(stack, "disk of the standby full", promises.standbyLost, async () => {
        await fill(stack, standby, 256);
        await sql(stack, await primary(stack), nextFile.repeat(12));
        await sleep(noticedSeconds * 1000);
        await makeRoom(stack, standby);
      });
    });

    it("D4: of the primary: the standby takes over, and it comes back by itself once there is room", async () => {
      const full = await primary(stack);
      const promised = worstOf([promises.primaryProcessKilled, promises.primaryMachineLost]);
      await fault(stack, "disk of the primary full", promised, async () => {
        await fill(stack, full, 256);
        await until("the standby is promoted", {
          // It may be up again before Patroni looks, and goes on until it needs the next file
          probe: async () => {
            await useLog(stack, full);
            return primaries(stack);
          },
          done: (found) => found.length === 1 && found[0] !== full,
          limitSeconds: mostSeconds(promises.primaryMachineLost, "writes"),
        });
        await sleep(noticedSeconds * 1000);
        await makeRoom(stack, full);
      });
    });
  });
}

import { globSync, readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { inRoot, root } from "../../lib/paths.ts";

/** One part of a test run, which can run alone. */
export interface Part {
  readonly name: string;
  readonly about: string;
  /** What it takes on two cores, all together; side by side with others it takes longer. */
  readonly minutes: number;
  /** Minutes after which it is ended: one that hangs must not take the others' results along. */
  readonly limitMinutes: number;
  /** Its files, for those that are mocha's. */
  readonly files?: () => readonly string[];
  /** Made ready before its first test. */
  readonly globalSetup?: string;
  /** `useful`: it also runs where set-up failed, as far as it gets. @default needed */
  readonly setUp?: "useful" | "unused";
  /** Why `npm test` leaves it to `npm run test:full`. @default it is part of both */
  readonly onlyFull?: string;
  /**
   * It runs beside its neighbours that say so too, two at a time. Whole stacks do not: two of them take as long
   * together as one after the other, and what is measured is then the load. @default false
   */
  readonly sideBySide?: boolean;
}

const all = (pattern: string) => globSync(pattern, { cwd: root }).sort();

const startsMachines = (file: string) =>
  /\b(standIns|startMachines)\(/.test(readFileSync(inRoot(file), "utf8"));
const unitTests = all("tests/unit/**/*.test.ts");
const backupTests = [
  ...all("tests/unit/infra/render/backup/*.test.ts"),
  "tests/unit/operate/backup/takeover-pair.test.ts",
];
/** Pairs of members that take minutes to lose each other, or to go over from an earlier release. */
const pairTests = [
  "clocks-apart",
  "etcd-bridge",
  "full-database",
  "plaintext-bridge",
  "power-loss",
  "standby-care",
].map((name) => `tests/unit/infra/render/${name}.test.ts`);
const renderTests = all("tests/unit/infra/render/**/*.test.ts").filter(
  (file) => ![...backupTests, ...pairTests].includes(file),
);

const longRun = "npm run test:full has the minutes for it";

/** All there are, in their order; what is quick and finds most comes first. */
export const parts: readonly Part[] = [
  {
    name: "set-up",
    about: "what the tests need on this machine: engine, Pulumi, images, a browser",
    minutes: 1,
    limitMinutes: 60,
    setUp: "unused",
  },
  {
    name: "lint",
    about: "biome: format and rules",
    minutes: 0.1,
    limitMinutes: 5,
    setUp: "unused",
    sideBySide: true,
  },
  {
    name: "types",
    about: "tsc",
    minutes: 0.3,
    limitMinutes: 10,
    setUp: "unused",
    sideBySide: true,
  },
  {
    name: "unit",
    about: "the program's parts",
    minutes: 6,
    limitMinutes: 40,
    files: () =>
      unitTests.filter(
        (file) =>
          ![...renderTests, ...backupTests, ...pairTests].includes(file) && !startsMachines(file),
      ),
    setUp: "useful",
    sideBySide: true,
  },
  {
    name: "unit-programs",
    about: "its files in the programs that read them: PostgreSQL, etcd, HAProxy and the others",
    minutes: 12,
    limitMinutes: 40,
    files: () => renderTests,
    setUp: "useful",
    sideBySide: true,
  },
  {
    name: "unit-machines",
    about: "what is done to a machine over SSH, on two stand-ins",
    minutes: 4,
    limitMinutes: 40,
    files: () => unitTests.filter(startsMachines),
    setUp: "useful",
    sideBySide: true,
  },
  {
    name: "app",
    about: "the application, with a database and a browser",
    minutes: 8,
    limitMinutes: 40,
    files: () => all("app/test/**/*.test.ts"),
    globalSetup: inRoot("app/test/support/global-setup.ts"),
    sideBySide: true,
  },
  {
    name: "unit-backups",
    about: "the programs of the machine of backups: pgBackRest, restic, PostgreSQL and its log",
    minutes: 12,
    limitMinutes: 45,
    files: () => backupTests,
    onlyFull: longRun,
  },
  {
    name: "unit-pairs",
    about:
      "database and etcd members: a standby that is copied anew, a full disk, a power cut, earlier releases",
    minutes: 8,
    limitMinutes: 45,
    files: () => pairTests,
    onlyFull: longRun,
  },
  {
    name: "fuzz",
    about: "requests made from the API's own document",
    minutes: 20,
    limitMinutes: 90,
    files: () => all("tests/fuzz/**/*.test.ts"),
    onlyFull: longRun,
  },
  {
    name: "toolchain",
    about: "Pulumi's parts that are built here, beside Pulumi's own",
    minutes: 30,
    limitMinutes: 120,
    files: () => all("tests/toolchain/**/*.test.ts"),
  },
  {
    name: "e2e-dev",
    about: "the whole stack on Docker, under faults",
    minutes: 15,
    limitMinutes: 60,
    files: () => ["tests/e2e/dev.test.ts"],
  },
  {
    name: "e2e-lab",
    about: "the whole stack on three machines, under faults",
    minutes: 10,
    limitMinutes: 60,
    files: () => ["tests/e2e/lab.test.ts"],
  },
  {
    name: "by-hand",
    about: "containers, volumes and networks on Docker that somebody removes, or does not know",
    minutes: 1.5,
    limitMinutes: 20,
    files: () => ["tests/e2e/by-hand.test.ts"],
  },
  {
    name: "example-dev",
    about: "the example in Python on Docker, in place of the travel agency",
    minutes: 8,
    limitMinutes: 40,
    files: () => ["tests/e2e/example-dev.test.ts"],
    onlyFull: longRun,
  },
  {
    name: "example-lab",
    about: "the example in Python on three machines",
    minutes: 8,
    limitMinutes: 40,
    files: () => ["tests/e2e/example-lab.test.ts"],
    onlyFull: longRun,
  },
  {
    name: "changes",
    about: "a stack on Docker under load: settings, what is changed by hand, HTTPS, operations",
    minutes: 30,
    limitMinutes: 75,
    files: () => ["tests/e2e/changes.test.ts"],
    onlyFull: longRun,
  },
  {
    name: "changes-lab",
    about:
      "the same on three machines: what is changed by hand, a release that is not fit, operations",
    minutes: 15,
    limitMinutes: 60,
    files: () => ["tests/e2e/changes-lab.test.ts"],
    onlyFull: longRun,
  },
  {
    name: "keep-data",
    about: "data that outlives its stack on Docker",
    minutes: 8,
    limitMinutes: 40,
    files: () => ["tests/e2e/keep-data.test.ts"],
    onlyFull: longRun,
  },
  {
    name: "absent",
    about: "changes of a stack on Docker while machines of it are lost",
    minutes: 9,
    limitMinutes: 40,
    files: () => ["tests/e2e/absent.test.ts"],
    onlyFull: longRun,
  },
  {
    name: "abuse",
    about: "clients that take more than their share of a stack on Docker",
    minutes: 14,
    limitMinutes: 40,
    files: () => ["tests/e2e/abuse.test.ts"],
    onlyFull: longRun,
  },
  {
    name: "taken-over",
    about: "a running stack of an earlier release, taken over under load",
    minutes: 6,
    limitMinutes: 30,
    files: () => ["tests/e2e/taken-over.test.ts"],
    onlyFull: longRun,
  },
  {
    name: "taken-over-lab",
    about: "the same on three machines",
    minutes: 10,
    limitMinutes: 40,
    files: () => ["tests/e2e/taken-over-lab.test.ts"],
    onlyFull: longRun,
  },
  {
    name: "certificates",
    about: "the members' certificates on Docker: renewed, and from another authority, under load",
    minutes: 12,
    limitMinutes: 50,
    files: () => ["tests/e2e/certificates.test.ts"],
    onlyFull: longRun,
  },
  {
    name: "certificates-lab",
    about: "the same on three machines",
    minutes: 18,
    limitMinutes: 60,
    files: () => ["tests/e2e/certificates-lab.test.ts"],
    onlyFull: longRun,
  },
  {
    name: "rotate",
    about: "the passwords of a stack on Docker, replaced under load",
    minutes: 9,
    limitMinutes: 40,
    files: () => ["tests/e2e/rotate.test.ts"],
    onlyFull: longRun,
  },
  {
    name: "rotate-lab",
    about: "the same on three machines",
    minutes: 12,
    limitMinutes: 50,
    files: () => ["tests/e2e/rotate-lab.test.ts"],
    onlyFull: longRun,
  },
  {
    name: "tiers",
    about: "tiers that are renamed, added and removed while the stack runs, under load",
    minutes: 11,
    limitMinutes: 40,
    files: () => ["tests/e2e/tiers.test.ts"],
    onlyFull: longRun,
  },
  {
    name: "tiers-lab",
    about: "a tier that is renamed on three machines, under load",
    minutes: 7,
    limitMinutes: 40,
    files: () => ["tests/e2e/tiers-lab.test.ts"],
    onlyFull: longRun,
  },
  {
    name: "killed-ups",
    about: "ups on Docker that are killed at drawn moments, and the one after them",
    minutes: 12,
    limitMinutes: 50,
    files: () => ["tests/e2e/killed-ups.test.ts"],
    onlyFull: longRun,
  },
  {
    name: "killed-ups-lab",
    about: "the same on three machines",
    minutes: 16,
    limitMinutes: 60,
    files: () => ["tests/e2e/killed-ups-lab.test.ts"],
    onlyFull: longRun,
  },
  {
    name: "backups",
    about: "backups on Docker: a wrong change is taken back, drills",
    minutes: 20,
    limitMinutes: 60,
    files: () => ["tests/e2e/backups.test.ts"],
    onlyFull: longRun,
  },
  {
    name: "backups-lost",
    about: "backups on Docker and in S3: one of them is away or damaged, and everything is lost",
    minutes: 40,
    limitMinutes: 100,
    files: () => ["tests/e2e/backups-lost.test.ts"],
    onlyFull: longRun,
  },
  {
    name: "backups-lab",
    about: "backups on three machines, whose machine of backups is restarted and rebooted",
    minutes: 22,
    limitMinutes: 75,
    files: () => ["tests/e2e/backups-lab.test.ts"],
    onlyFull: longRun,
  },
  {
    name: "prove",
    about: "npm run prove on Docker: one fault of each kind, and what it leaves",
    minutes: 12,
    limitMinutes: 45,
    files: () => ["tests/e2e/prove.test.ts"],
    onlyFull: longRun,
  },
  {
    name: "mutants",
    about: "npm run prove on stacks that are broken in secret, and 20 times on one that is not",
    minutes: 60,
    limitMinutes: 120,
    files: () => ["tests/e2e/mutants.test.ts"],
    onlyFull: longRun,
  },
  {
    name: "sleep",
    about:
      "a stack on Docker that sleeps for a quarter of an hour, and 100 looks for changes by hand",
    minutes: 20,
    limitMinutes: 40,
    files: () => ["tests/e2e/sleep.test.ts"],
    onlyFull: longRun,
  },
  {
    name: "reboots",
    about: "three machines that reboot, one by one and all at once; npm run reboot, update, stop",
    minutes: 20,
    limitMinutes: 60,
    files: () => ["tests/e2e/reboots.test.ts"],
    onlyFull: longRun,
  },
  {
    name: "lab-command",
    about: "npm run lab in a fresh clone, and its end",
    minutes: 7,
    limitMinutes: 40,
    files: () => ["tests/e2e/lab-command.test.ts"],
    onlyFull: longRun,
  },
  {
    name: "nfs",
    about: "shared files on NFS, between three machines with kernels of their own",
    minutes: 12,
    limitMinutes: 40,
    files: () => ["tests/e2e/nfs.test.ts"],
    onlyFull: longRun,
  },
  {
    name: "full-disks",
    about: "three machines: each disk in turn has no room, under load",
    minutes: 12,
    limitMinutes: 40,
    files: () => ["tests/e2e/full-disks.test.ts"],
    onlyFull: longRun,
  },
  {
    name: "seven-life",
    about: "seven machines: made, destroyed, made again, data kept",
    minutes: 20,
    limitMinutes: 60,
    files: () => ["tests/e2e/seven-life.test.ts"],
    onlyFull: longRun,
  },
  {
    name: "seven-changes",
    about: "seven machines: releases, settings, certificates, visitors",
    minutes: 20,
    limitMinutes: 60,
    files: () => ["tests/e2e/seven-changes.test.ts"],
    onlyFull: longRun,
  },
  {
    name: "seven-faults",
    about: "seven machines: every fault, also of the store of uploads, reboots, a power cut",
    minutes: 28,
    limitMinutes: 75,
    files: () => ["tests/e2e/seven-faults.test.ts"],
    onlyFull: longRun,
  },
  {
    name: "seven-operations",
    about: "seven machines: status, drift, every operation, reboots one by one and all at once",
    minutes: 35,
    limitMinutes: 90,
    files: () => ["tests/e2e/seven-operations.test.ts"],
    onlyFull: longRun,
  },
];

export interface Choice {
  readonly parts: readonly Part[];
  /** Whether the parts were chosen by name: then one runs that has no need to. */
  readonly named: boolean;
  /** `npm run test:full`: the long runs too. */
  readonly full: boolean;
  /** Whether parts run again that have passed. */
  readonly again: boolean;
  /** Only shows what there is. */
  readonly list: boolean;
  /** Handed to mocha: `--grep`, files and the like. */
  readonly mocha: readonly string[];
}

/** `e2e` means all parts whose names begin with it. */
const isMeant = (asked: string, { name }: Part) => name === asked || name.startsWith(`${asked}-`);

/**
 * Reads `npm test -- [--part NAME[,NAME]] [--grep TEXT]`, and of `npm run test:full` also
 * `[--list] [--again]`.
 * @throws for a part that there is not.
 */
export function readChoice(args: readonly string[]): Choice {
  const { values } = parseArgs({
    args: [...args],
    options: {
      full: { type: "boolean", default: false },
      part: { type: "string", multiple: true, default: [] },
      only: { type: "string", multiple: true, default: [] },
      list: { type: "boolean", default: false },
      again: { type: "boolean", default: false },
      grep: { type: "string" },
    },
  });
  const asked = [...values.part, ...values.only].flatMap((names) => names.split(","));
  const unknown = asked.filter((name) => !parts.some((part) => isMeant(name, part)));
  if (unknown.length > 0) {
    const names = parts.map(({ name }) => name).join(", ");
    throw new Error(`--part ${unknown.join(",")}: there is no such part; use one of ${names}`);
  }
  const named = asked.length > 0;
  const chosen = parts.filter((part) => !named || asked.some((name) => isMeant(name, part)));
  const withSetUp = chosen.some(({ setUp }) => setUp !== "unused");
  return {
    parts: parts.filter((part) => chosen.includes(part) || (part.name === "set-up" && withSetUp)),
    named,
    full: values.full,
    again: values.again,
    list: values.list,
    mocha: values.grep === undefined ? [] : ["--grep", values.grep],
  };
}

/** The parts in their order, those that run side by side together. */
export function waves(list: readonly Part[]): Part[][] {
  const found: Part[][] = [];
  for (const part of list) {
    const last = found.at(-1);
    if (part.sideBySide && last?.[0]?.sideBySide) last.push(part);
    else found.push([part]);
  }
  return found;
}

/** Machines that are not fit for the stack, or are not to be had, before anything is on them. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { parse, stringify } from "yaml";
import { inMachine, setFiles } from "../../../lab/machines.ts";
import type { MachinePlace } from "../../support/machine-place.ts";
import type { TestStack } from "../../support/test-stack.ts";

/** Something wrong with a machine, and how it is put right again. */
interface Trouble {
  readonly make: string;
  readonly mend: string;
  /** What `up` says of it: the problem, and what to do. */
  readonly told: RegExp;
}

const otherSystem: Trouble = {
  make: `sed 's/^VERSION_ID=.*/VERSION_ID="12"/; s/13 (trixie)/12 (bookworm)/' /etc/os-release > /run/other-release
    mount --bind /run/other-release /usr/lib/os-release`,
  mend: "umount /usr/lib/os-release",
  told: /it runs Debian GNU\/Linux 12 \(bookworm\), install Debian 13/,
};

const portTaken: Trouble = {
  make: "systemd-run --quiet --unit=squatter systemd-socket-activate --listen=0.0.0.0:3000 cat",
  mend: "systemctl stop squatter",
  told: /port 3000 \(storefront\) is taken by systemd-socket\S* of squatter.service.*systemctl disable --now/,
};

const fullDisk: Trouble = {
  make: "mkdir -p /opt && mount -t tmpfs -o size=100m tmpfs /opt",
  mend: "umount /opt",
  told: /its file system \/opt has 100 MiB free and releases \(\/opt\/hastack\) must have \d+, make room/,
};

const noSudo: Trouble = {
  make: "mv /etc/sudoers.d/deploy /root/",
  mend: "mv /root/deploy /etc/sudoers.d/",
  told: /deploy cannot become root \(sudo: .*\), put the line .* into \/etc\/sudoers\.d/,
};

const noKey: Trouble = {
  make: "mv /home/deploy/.ssh/authorized_keys /root/kept_keys",
  mend: "mv /root/kept_keys /home/deploy/.ssh/authorized_keys",
  told: /it does not let us in \(.*\), put your public key into ~deploy\/\.ssh\/authorized_keys/,
};

export function badMachinesSuite(stack: TestStack, place: MachinePlace): void {
  const [storefront, other] = ["storefront-1", "storefront-2"].map((one) => place.machine(one));
  const voter = place.machine("etcd-3");
  const inventory = setFiles(place.set.set, place.set.project).inventory;

  describe("machines that are not fit", () => {
    afterEach("nothing was changed on any of them", async () => {
      assert.deepEqual(await place.leftovers(), []);
    });

    it("all problems of all machines are told at once, each with what to do", async () => {
      await refused([
        [storefront ?? "", otherSystem],
        [other ?? "", portTaken],
        [other ?? "", fullDisk],
        [voter, noSudo],
      ]);
    });

    it("machines that cannot be talked to are told at once, each with what to do", async () => {
      const before = readFileSync(inventory, "utf8");
      const changed = parse(before);
      const management = place.set.networks.management.replace(/0\/24$/, "");
      changed.machines[storefront ?? ""].address = `${management}99`;
      changed.machines[other ?? ""].hostKey = changed.machines[voter].hostKey;
      writeFileSync(inventory, stringify(changed));
      try {
        const stdout = await refused([[voter, noKey]]);
        assert.match(
          stdout,
          new RegExp(
            `machine ${storefront} \\(deploy@${management}99\\): it cannot be reached.*run up again`,
          ),
        );
        assert.match(
          stdout,
          new RegExp(`machine ${other} .*: its host key is not the configured one, .*host-keys`),
        );
      } finally {
        writeFileSync(inventory, before);
      }
    });

    /** `up` with these troubles must end at once. @returns what it said */
    async function refused(troubles: readonly (readonly [string, Trouble])[]): Promise<string> {
      const mends: (() => Promise<string>)[] = [];
      try {
        for (const [machine, { make, mend }] of troubles) {
          await inMachine(place.set.set, machine, make);
          mends.push(() => inMachine(place.set.set, machine, mend));
        }
        const { code, stdout } = await stack.up();
        assert.notEqual(code, 0, stdout);
        for (const [machine, { told }] of troubles) {
          const lines = stdout.split("\n").filter((line) => line.includes(`machine ${machine} `));
          assert.ok(
            lines.some((line) => told.test(line)),
            `${told} of ${machine}: ${stdout}`,
          );
        }
        assert.doesNotMatch(stdout, /at .*\.ts:\d+/, "no stack trace");
        return stdout;
      } finally {
        for (const mend of mends) await mend();
      }
    }
  });
}

/** Those who keep shared files: GlusterFS's bricks with what they have to heal, or the NFS server. */
import { hangs } from "./ask.ts";
import { type Asked, counted, eachOf, type Judged, type Kind } from "./kind.ts";
import type { Finding } from "./picture.ts";

/** What GlusterFS says of one brick of a volume. */
export interface Brick {
  readonly at: string;
  readonly connected: boolean;
  /** Files that it lacks the newest of, or another one lacks; nothing where it is not known. */
  readonly toHeal: number | undefined;
}

/** Reads what `gluster volume heal VOLUME info` says. */
export function readHeal(text: string): Brick[] {
  return text
    .split(/^Brick /m)
    .slice(1)
    .map((part) => {
      const [at = ""] = part.split("\n");
      const entries = /^Number of entries: (\d+)/m.exec(part)?.[1];
      return {
        at: at.trim(),
        connected: /^Status: Connected/m.test(part),
        toHeal: entries === undefined ? undefined : Number(entries),
      };
    });
}

const healOf = (one: Asked, volume: string) => readHeal(one.answer(`heal-${volume}`)?.text ?? "");

/** What keeps files on the machine. */
const units: Readonly<Record<string, string>> = {
  brick: "glusterd",
  arbiter: "glusterd",
  nfs: "nfs-server",
};

export const storage: Kind = {
  subject: "storage",

  questions({ application }, { role }) {
    const unit = { unit: `systemctl is-active ${units[role]}` };
    if (role === "nfs") return unit;
    const heals = application.shared.map((name): [string, string] => [
      `heal-${name}`,
      // Without the names of files, of which there may be many
      `gluster --mode=script volume heal hastack-${name} info | grep -E '^(Brick|Status|Number) ?'`,
    ]);
    return { ...unit, ...Object.fromEntries(heals) };
  },

  judge({ application, settings }, asked) {
    const members = eachOf(asked, judgeMember);
    const well = [...members.values()].filter(({ findings }) => findings.length === 0).length;
    const is = `${well} of ${counted(asked.length, "member")} well`;
    if (settings.storage.driver === "nfs") return { members, is, findings: [] };
    const heals = application.shared.map((volume) => judgeHeal(volume, asked));
    return {
      members,
      is: [is, ...heals.map((one) => one.is)].join(", "),
      findings: heals.flatMap(({ findings }) => findings),
    };
  },
};

function judgeMember(one: Asked): Judged {
  const unit = units[one.member.role] ?? "";
  const said = one.answer("unit")?.text.trim() ?? "";
  if (said === "active") return { is: `${unit} runs`, findings: [] };
  const finding: Finding = {
    state: "down",
    what: `${unit} is ${said || "silent"}`,
    should: "it runs",
    fix: `on ${one.member.machine}: journalctl -u ${unit}; systemctl start ${unit}`,
  };
  return { is: finding.what, findings: [finding] };
}

/** A volume, by the first member that can tell. */
function judgeHeal(volume: string, asked: readonly Asked[]): Judged {
  const told = asked.map((one) => healOf(one, volume)).find((bricks) => bricks.length > 0);
  if (told === undefined) {
    const late = asked.some((one) => one.reached && hangs(one.answer(`heal-${volume}`)));
    const finding: Finding = {
      state: "unknown",
      what: `${volume}: ${late ? "GlusterFS does not tell in time" : "nobody tells"} what is to heal`,
      should: "nothing is",
      fix: "a brick that hangs is given up after 5 s; then ask again",
    };
    return { is: `${volume} unknown`, findings: [finding] };
  }
  const findings = told
    .filter((brick) => !brick.connected)
    .map(
      ({ at }): Finding => ({
        state: "degraded",
        what: `${volume}: the brick ${at} is not connected`,
        should: "every brick is; files are kept by the others meanwhile",
        fix: "bring its machine back, or there: systemctl restart glusterd",
      }),
    );
  const toHeal = Math.max(0, ...told.map((one) => one.toHeal ?? 0));
  if (toHeal > 0)
    findings.push({
      state: "degraded",
      what: `${volume}: ${counted(toHeal, "file")} to heal`,
      should: "none",
      fix: "wait: it heals by itself within a minute once all bricks are connected",
    });
  return {
    is: `${volume} ${toHeal === 0 && findings.length === 0 ? "whole" : `${toHeal} to heal`}`,
    findings,
  };
}

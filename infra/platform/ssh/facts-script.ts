/**
 * The shell text that looks at a machine and changes nothing: it runs as whoever logs in, also on a
 * machine that is no Debian, and prints one fact a line, its name first.
 */
import { quote } from "../shell.ts";
import { dropIn } from "./gluster.ts";
import { folders } from "./machine-script.ts";

/** What was seen of a machine; what could not be read is missing. */
export interface Facts {
  /** Why whoever logs in cannot become root, in sudo's words, or `noSudo`. */
  readonly notRoot?: string;
  /** `ID` and `VERSION_ID` of its distribution, and how that calls itself. */
  readonly system?: { readonly id: string; readonly version: string; readonly title: string };
  /** As `uname -m` says it. */
  readonly architecture?: string;
  /** Name of process 1, where that is not systemd. */
  readonly otherInit?: string;
  readonly memoryMegabytes?: number;
  /** Per path that was asked for: the file system that holds it, or will. */
  readonly space: ReadonlyMap<string, { readonly mount: string; readonly freeMegabytes: number }>;
  /** Its clock, in seconds since 1970. */
  readonly clock?: number;
  /** Names that are not known there: its own, and hosts that its packages come from. */
  readonly unknownNames: readonly string[];
  readonly hostName?: string;
  readonly addresses: readonly string[];
  /** Programs that listen; nothing where that cannot be seen. */
  readonly listeners?: readonly Listener[];
  /** Who has the number of the stack's user. */
  readonly userOfId?: string;
  /** The number of the stack's user, where there is one. */
  readonly idOfUser?: number;
  /** Members of the stack that were placed there before. */
  readonly placed: readonly string[];
  /** Whether its GlusterFS is the stack's own. */
  readonly ownGluster: boolean;
}

/** A program that takes connections. */
export interface Listener {
  readonly port: number;
  /** As `ss` shows it: `0.0.0.0:80`. */
  readonly place: string;
  readonly program: string;
  /** The systemd unit that it belongs to. @default none */
  readonly unit?: string;
}

/** What stands in place of sudo's words where there is no sudo. */
export const noSudo = "sudo is not there";

/** A name server that does not answer must not hold up all the others. */
const lookUpSeconds = 4;

/**
 * @param paths whose free space is asked for; they need not be there yet
 * @param user the stack's own user, and its number
 */
export function factsScript(
  paths: readonly string[],
  user: { readonly name: string; readonly id: number },
): string {
  return `export PATH="$PATH:/usr/sbin:/sbin" LC_ALL=C
echo "clock $(date +%s.%N)"
become=
if [ "$(id -u)" != 0 ]; then
  become='sudo -n'
  if ! command -v sudo > /dev/null; then echo 'notRoot ${noSudo}'
  elif ! said=$(sudo -n true 2>&1); then echo "notRoot $said" | head -n 1
  fi
fi
[ ! -r /etc/os-release ] || (. /etc/os-release; echo "system \${ID:-?} \${VERSION_ID:-?} \${PRETTY_NAME:-}")
echo "architecture $(uname -m)"
[ -d /run/systemd/system ] || echo "otherInit $(cat /proc/1/comm)"
echo "memory $(sed -n 's/^MemTotal: *\\([0-9]*\\) kB$/\\1/p' /proc/meminfo)"
paths=${quote(paths.join(" "))}
for there in $paths; do
  until [ -e "$there" ]; do there=\${there%/*}; there=\${there:-/}; done
  set -- "$@" "$there"
done
df -Pk "$@" | awk -v paths="$paths" 'BEGIN { split(paths, path) } NR > 1 { print "space", path[NR - 1], $4, $6 }'
echo "addresses $(hostname -I)"
echo "hostName $(hostname)"
echo "userOfId $(getent passwd ${user.id} | cut -d : -f 1)"
echo "idOfUser $(getent passwd ${quote(user.name)} | cut -d : -f 3)"
for file in ${folders.files}/*/.files; do
  folder=\${file%/*}
  [ ! -e "$file" ] || echo "placed \${folder##*/}"
done
[ ! -e ${dropIn} ] || echo ownGluster
knows() { timeout ${lookUpSeconds} getent ahosts "$1" > /dev/null || echo "unknownName $1"; }
knows "$(hostname)" &
proxy=$(apt-config shell a Acquire::http::Proxy b Acquire::https::Proxy c Acquire::http::Proxy-Auto-Detect)
[ -n "$proxy" ] || cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources |
  grep -v '^ *#' | grep -o 'https\\?://[^/ ]*' | sed 's|.*[/@]||; s|:[0-9]*$||' | sort -u | {
    while read -r host; do knows "$host" & done
    wait
  }
# Programs of others are shown to root alone
if listeners=$($become ss -Hltnp); then
  echo listenersSeen
  echo "$listeners" | sed 's/^/listener /'
  for pid in $(echo "$listeners" | grep -o 'pid=[0-9]*' | sort -u); do
    sed "s/^/group $pid /" "/proc/\${pid#*=}/cgroup"
  done
fi
wait`;
}

/** Reads what the script printed. Lines that it did not print, such as a greeting, are passed over. */
export function parseFacts(text: string): Facts {
  const lines = text.split("\n").map((line) => /^(\w+) ?(.*)$/.exec(line) ?? []);
  const all = (name: string) =>
    lines.filter(([, word]) => word === name).map(([, , rest = ""]) => rest.trim());
  const one = (name: string) => all(name).find((rest) => rest !== "");
  const number = (name: string) => (one(name) === undefined ? undefined : Number(one(name)));
  const kilobytes = number("memory");
  const [id, version = "", ...title] = words(one("system"));
  return {
    notRoot: one("notRoot"),
    system: id === undefined ? undefined : { id, version, title: title.join(" ") },
    architecture: one("architecture"),
    otherInit: one("otherInit"),
    memoryMegabytes: kilobytes === undefined ? undefined : Math.floor(kilobytes / 1024),
    space: new Map(all("space").flatMap(readSpace)),
    clock: number("clock"),
    unknownNames: all("unknownName"),
    hostName: one("hostName"),
    addresses: words(one("addresses")),
    listeners:
      all("listenersSeen").length > 0 ? readListeners(all("listener"), all("group")) : undefined,
    userOfId: one("userOfId"),
    idOfUser: number("idOfUser"),
    // Not the copies beside them, which a run that was cut off leaves
    placed: all("placed").filter((name) => /^[a-z]+-[1-9]\d*$/.test(name)),
    ownGluster: all("ownGluster").length > 0,
  };
}

const words = (text = "") => text.split(/\s+/).filter(Boolean);

/** `PATH FREE MOUNT`, where `df` knows it. */
function readSpace(line: string): [string, { mount: string; freeMegabytes: number }][] {
  const [path = "", free, ...mount] = words(line);
  if (free === undefined) return [];
  return [[path, { mount: mount.join(" "), freeMegabytes: Math.floor(Number(free) / 1024) }]];
}

function readListeners(lines: readonly string[], groups: readonly string[]): Listener[] {
  const units = new Map(
    groups.flatMap((line) => {
      const [, pid, unit] = /^pid=(\d+) .*\/([^/]+\.(?:service|scope))$/.exec(line) ?? [];
      return pid !== undefined && unit !== undefined ? [[pid, unit] as const] : [];
    }),
  );
  return lines.map((line) => {
    const [, , , place = "", , users = ""] = words(line);
    const [, program = "the kernel", pid = ""] = /"([^"]*)",pid=(\d+)/.exec(users) ?? [];
    const unit = units.get(pid);
    return {
      port: Number(place.split(":").at(-1)),
      place,
      program,
      ...(unit !== undefined && { unit }),
    };
  });
}

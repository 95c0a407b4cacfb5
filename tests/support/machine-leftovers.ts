/**
 * What a stack has left on a machine: everything that has its name, and what it made under names
 * that others gave. Debian's packages, the users they made and the journal may stay.
 */
import { inMachine } from "../../lab/machines.ts";

/** Looks; each line that one prints is something left, with its kind before it. */
const looks: Readonly<Record<string, string>> = {
  file: "find / /run /tmp /var/lib -xdev \\( -name '*hastack*' -o -lname '*hastack*' \\) -print",
  // Programs that change /etc/passwd and the like keep what was before in a file ending in -
  "text in": "grep -rlsF --exclude='*-' hastack /etc /var/spool /usr/local || :",
  unit: "systemctl list-units --all --plain --no-legend --full | grep -F hastack || :",
  "unit file": "systemctl list-unit-files --no-legend --full | grep -F hastack || :",
  mount: "grep -F -e hastack -e fuse.glusterfs /proc/self/mounts || :",
  user: "getent passwd | grep ^hastack || :",
  group: "getent group | grep hastack || :",
  process: "ps -eo pid,args | grep '[h]astack' || :",
  data: "ls -Ad /var/lib/postgresql/*/hastack /var/lib/etcd/* /var/lib/valkey/* 2>/dev/null || :",
  firewall: "! command -v nft > /dev/null || nft list tables | grep -F hastack || :",
  "kernel setting": "grep -x 1 /proc/sys/net/ipv4/ip_nonlocal_bind || :",
  "virtual address": "ip -4 -oneline address | grep -F .100/ || :",
  listener:
    "ss -Hltn | awk '{print $4}' | grep -E ':(80|443|8404|5000|5001|2525|5432|5440|8008|2379|2380|3000|3001|6379)$' || :",
  gluster: "ls -d /var/lib/glusterd/peers/* /var/lib/glusterd/vols/* 2>/dev/null || :",
};

/** @returns each with its kind and machine: `node-1 file /etc/hastack` */
export async function leftovers(set: string, machine: string): Promise<string[]> {
  const found: string[] = [];
  for (const [kind, look] of Object.entries(looks)) {
    const lines = (await inMachine(set, machine, look)).split("\n").filter(Boolean);
    found.push(...lines.map((line) => `${machine} ${kind} ${line}`));
  }
  return found;
}

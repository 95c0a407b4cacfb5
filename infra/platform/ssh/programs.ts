/** The programs on machines: what each call is made of, and the text that makes it. */
import { joined, readProgram } from "../machine.ts";
import { folders } from "./layout.ts";

/** Files that every machine gets. */
const shippedFiles = [
  "request",
  "owner",
  "users",
  "share",
  "base",
  "base-packages",
  "install-packages",
  "systemd",
  "deliver",
  "notify",
  "gate",
  "place",
  "remove",
  "task",
  "mount",
  "storage",
  "nfs",
  "watch",
  "altered",
  "firewall",
  "firewall-guard",
] as const;

/** Files of the storage drivers: GlusterFS's has had its name since it was the only one. */
const elsewhere: Readonly<Record<string, string>> = {
  mount: "ssh/storage/mount",
  storage: "ssh/storage/glusterfs/program",
  nfs: "ssh/storage/nfs/program",
  watch: "ssh/storage/nfs/watch.pl",
};

/** What a call is made of, in the order in which it is read. */
const calls: Readonly<Record<string, readonly (typeof shippedFiles)[number][]>> = {
  base: ["request", "owner", "base"],
  remove_base: ["request", "owner", "users", "base"],
  packages: ["request", "owner", "base"],
  place: ["request", "users", "systemd", "deliver", "notify", "gate", "place"],
  remove: ["request", "users", "systemd", "remove"],
  task: ["request", "users", "share", "deliver", "task"],
  open_firewall: ["request", "firewall"],
  close_firewall: ["request", "firewall"],
  confirm_firewall: ["request", "firewall"],
  remove_firewall: ["request", "owner", "firewall"],
};
const storageCall = (driver: "storage" | "nfs") =>
  ["request", "owner", "share", "mount", driver] as const;

/** Calls that bring the programs themselves, or take them away. */
const shipping: readonly string[] = ["ship", "unship"];

/** Debian's packages that every machine has from the stack, whatever is placed there. */
export const basePackages: readonly string[] = readProgram("base-packages").trim().split("\n");

/** The files' texts by their names, as a machine gets them. */
export function shippedPrograms(): Readonly<Record<string, string>> {
  return Object.fromEntries(
    shippedFiles.map((name) => [name, readProgram(elsewhere[name] ?? name)]),
  );
}

/**
 * The text that makes a call on a machine.
 * @param name of what is worked on: one run at a time
 */
export function callText(call: string, name: string): string {
  if (shipping.includes(call)) return joined(["request", "owner", "ship"], name, call);
  const files = calls[call] ?? storageCall(call.endsWith("_export") ? "nfs" : "storage");
  const missing = /^(remove|unmount)/.test(call)
    ? "echo 'nothing of the stack is on this machine'; exit 0"
    : `echo '${folders.programs} is missing: was the machine installed anew? Then let up make all anew that was on it (npx pulumi up --replace)' >&2; exit 1`;
  return [
    `[ -d ${folders.programs} ] || { ${missing}; }`,
    ...files.map((file) => {
      const path = `${folders.programs}/${file}`;
      // What an earlier release has placed is also removed: it has these functions in `storage`
      return file === "mount" ? `[ ! -e ${path} ] || . ${path}` : `. ${path}`;
    }),
    `receive ${name}`,
    call,
    "",
  ].join("\n");
}

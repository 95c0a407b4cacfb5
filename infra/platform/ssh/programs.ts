/** The programs on machines: what each call is made of, and the text that makes it. */
import { joined, readProgram } from "../machine.ts";
import { folders } from "./layout.ts";
import { storageDriver } from "./storage/storage.ts";

/** Files that every machine gets; the storage driver's goes by its name. */
const shippedFiles = [
  "request",
  "owner",
  "users",
  "share",
  "base",
  "install-packages",
  "systemd",
  "deliver",
  "notify",
  "gate",
  "place",
  "remove",
  "task",
  "storage",
] as const;

/** What a call is made of, in the order in which it is read. */
const calls: Readonly<Record<string, readonly (typeof shippedFiles)[number][]>> = {
  base: ["request", "owner", "base"],
  remove_base: ["request", "owner", "users", "base"],
  packages: ["request", "owner", "base"],
  place: ["request", "users", "systemd", "deliver", "notify", "gate", "place"],
  remove: ["request", "users", "systemd", "remove"],
  task: ["request", "users", "share", "deliver", "task"],
};
const storageCall = ["request", "owner", "share", "storage"] as const;

/** Calls that bring the programs themselves, or take them away. */
const shipping: readonly string[] = ["ship", "unship"];

/** The files' texts by their names, as a machine gets them. */
export function shippedPrograms(): Readonly<Record<string, string>> {
  return Object.fromEntries(
    shippedFiles.map((name) => [
      name,
      readProgram(name === "storage" ? storageDriver.program : name),
    ]),
  );
}

/**
 * The text that makes a call on a machine.
 * @param name of what is worked on: one run at a time
 */
export function callText(call: string, name: string): string {
  if (shipping.includes(call)) return joined(["request", "owner", "ship"], name, call);
  const files = calls[call] ?? storageCall;
  const missing = /^(remove|unmount)/.test(call)
    ? "echo 'nothing of the stack is on this machine'; exit 0"
    : `echo '${folders.programs} is missing: was the machine installed anew? Then let up make all anew that was on it (npx pulumi up --replace)' >&2; exit 1`;
  return [
    `[ -d ${folders.programs} ] || { ${missing}; }`,
    ...files.map((file) => `. ${folders.programs}/${file}`),
    `receive ${name}`,
    call,
    "",
  ].join("\n");
}

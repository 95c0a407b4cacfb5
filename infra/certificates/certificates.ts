/** How components ask for certificates: as files of their workloads and tasks. */
import type * as pulumi from "@pulumi/pulumi";
import type { ManagedFile } from "../platform/platform.ts";
import { authorityFile, type Domain, type Leaf, leafFile, leaves } from "./domains.ts";

/** What a workload or a task needs. */
export interface Wanted {
  /** Certificates of its member; the authority of each comes along. */
  readonly leaves?: readonly Leaf[];
  /** Authorities by which it knows others. */
  readonly authorities?: readonly Domain[];
}

/** What follows from a certificate's change. */
export interface Handling {
  /** Who reads certificates and keys. @default root */
  readonly owner?: string;
  /** Process that reads its files again when any of them changes. @default none */
  readonly reloads?: string;
  /** Process that starts anew when a certificate changes. @default none */
  readonly restarts?: string;
  /** Process that starts anew when an authority changes. @default as for certificates */
  readonly authorityRestarts?: string;
}

/** Files and the values of their placeholders. */
export interface Given {
  readonly files: readonly ManagedFile[];
  readonly secrets: Readonly<Record<string, pulumi.Output<string>>>;
  /** Differs when the description of any of the certificates does; it holds no secret. */
  readonly version: string;
}

export interface Certificates {
  /**
   * What a workload or a task on this member needs.
   * @throws Error where the member has no such certificate
   */
  of(member: string, wanted: Wanted, handling?: Handling): Given;
}

/** Keys of a workload's secrets. */
export const leafSecret = (leaf: Leaf): string => `tls_${leaf.replaceAll("-", "_")}`;
export const authoritySecret = (domain: Domain): string => `ca_${domain.replaceAll("-", "_")}`;

/** The domains whose authorities come along. */
export function domainsOf({ leaves: own = [], authorities = [] }: Wanted): Domain[] {
  return [...new Set([...own.map((leaf) => leaves[leaf].domain), ...authorities])];
}

export function certificateFiles(
  wanted: Wanted,
  { owner, reloads, restarts, authorityRestarts = restarts }: Handling,
): ManagedFile[] {
  const after = (restarted: string | undefined) => ({
    ...(reloads !== undefined && { reloads }),
    ...(restarted !== undefined && { restarts: restarted }),
  });
  return [
    ...(wanted.leaves ?? []).map((leaf) => ({
      path: leafFile(leaf),
      content: `@{${leafSecret(leaf)}}`,
      mode: "0400",
      ...(owner !== undefined && { owner }),
      check: leafCheck(leaf),
      ...after(restarts),
    })),
    ...domainsOf(wanted).map((domain) => ({
      path: authorityFile(domain),
      content: `@{${authoritySecret(domain)}}`,
      mode: "0444",
      ...after(authorityRestarts),
    })),
  ];
}

/**
 * A new certificate must be one that this member trusts before and after the change, and so must the
 * one before: then it is one that the others trust, whichever of them has changed already. Its dates
 * do not matter here.
 */
function leafCheck(leaf: Leaf): string {
  const [file, authority] = [leafFile(leaf), authorityFile(leaves[leaf].domain)];
  const step =
    "change hastack:certificates.authorities by one step at a time, each with its own up: [1], [1, 2], [2, 1], [2]";
  return `trusts() { openssl verify -no_check_time -no-CApath -no-CAstore -CAfile "$1" "$2"; }
trusts ${authority} ${file} || exit 1
[ ! -e ../${authority} ] || trusts ../${authority} ${file} > /dev/null 2>&1 || {
  echo 'it is of an authority that is not trusted here yet; ${step}'
  exit 1
}
[ ! -e ../${file} ] || trusts ${authority} ../${file} > /dev/null 2>&1 || {
  echo 'the one before is of an authority that would not be trusted any more; ${step}'
  exit 1
}`;
}

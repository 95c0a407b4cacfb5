/**
 * A state for machines that are new. `up` goes by the state: what the state has, and the machines have
 * not, it would take for placed. So all that is on machines is taken out of it, and the next `up` places
 * it anew, with what stays: passwords, keys, authorities and certificates.
 */
import { backupDirectory } from "../../infra/roles.ts";

/** A resource of a state, as far as it is looked at. */
export interface StateResource {
  readonly urn: string;
  readonly type: string;
  readonly custom?: boolean;
  readonly provider?: string;
  readonly parent?: string;
  readonly dependencies?: readonly string[];
  readonly propertyDependencies?: Readonly<Record<string, readonly string[] | null>>;
  readonly deletedWith?: string;
  readonly inputs?: Readonly<Record<string, unknown>>;
}

const isCommand = ({ type }: Pick<StateResource, "type">): boolean => type.startsWith("command:");

/** Authorities and certificates are made by commands that run here. */
const makesCertificates = ({ inputs }: Pick<StateResource, "inputs">): boolean =>
  /^node certificates\/make\.ts /.test(String(inputs?.create));

/** Whether it is something on a machine, or in a Docker engine. */
export function isOnMachines(one: Pick<StateResource, "type" | "inputs">): boolean {
  return one.type.startsWith("docker:") || (isCommand(one) && !makesCertificates(one));
}

/** Whether it was made once, and nothing can make it again as it is. */
export function holdsSecret(one: Pick<StateResource, "type" | "inputs">): boolean {
  const isAuthority = String(one.inputs?.create) === "node certificates/make.ts authority";
  return one.type.startsWith("random:") || (isCommand(one) && isAuthority);
}

const isProvider = ({ type }: StateResource): boolean => type.startsWith("pulumi:providers:");

/** The machine of a command over SSH. */
const machineOf = ({ inputs }: StateResource): unknown =>
  (inputs?.environment as Readonly<Record<string, unknown>> | undefined)?.MACHINE;

interface Exported {
  readonly deployment: {
    readonly resources?: readonly StateResource[];
    readonly pending_operations?: unknown;
  };
}

/**
 * @param state as `pulumi stack export` writes it
 * @param kept machines whose resources stay
 * @returns the same for new machines, and how many things on machines it has no more
 */
export function forNewMachines(
  state: string,
  kept: readonly string[] = [],
): { readonly state: string; readonly dropped: number } {
  const exported = JSON.parse(state) as Exported;
  const { resources = [], pending_operations: _cutOff, ...rest } = exported.deployment;
  const placed = resources.filter(
    (one) => !isOnMachines(one) || kept.includes(String(machineOf(one))),
  );
  // A provider that serves nothing any more would be asked for all the same
  const used = new Set(
    placed.map(({ provider = "" }) => provider.split("::").slice(0, -1).join("::")),
  );
  const left = placed.filter((one) => !isProvider(one) || used.has(one.urn));
  const urns = new Set(left.map(({ urn }) => urn));
  const deployment = { ...rest, resources: left.map((one) => withoutOthers(one, urns)) };
  return {
    state: JSON.stringify({ ...exported, deployment }),
    dropped: resources.length - placed.length,
  };
}

/** A resource that waits for nothing that is not there. */
function withoutOthers(one: StateResource, urns: ReadonlySet<string>): StateResource {
  const { dependencies, propertyDependencies, deletedWith, ...rest } = one;
  const there = (all: readonly string[] | null) => (all ?? []).filter((urn) => urns.has(urn));
  return {
    ...rest,
    ...(dependencies && { dependencies: there(dependencies) }),
    ...(propertyDependencies && {
      propertyDependencies: Object.fromEntries(
        Object.entries(propertyDependencies).map(([name, all]) => [name, there(all)]),
      ),
    }),
    ...(deletedWith !== undefined && urns.has(deletedWith) && { deletedWith }),
  };
}

const onMachines = (state: string): readonly StateResource[] =>
  ((JSON.parse(state) as Exported).deployment?.resources ?? []).filter(isOnMachines);

/** How many things on machines a state knows. @param state as `pulumi stack export` writes it */
export const thingsOnMachines = (state: string): number => onMachines(state).length;

/** The same, by their URNs. */
export const urnsOnMachines = (state: string): string[] => onMachines(state).map(({ urn }) => urn);

/** Things that would take the backups with them, were they taken away. @returns their URNs */
export const takingBackups = (state: string): string[] =>
  onMachines(state)
    .filter(({ inputs }) => {
      const environment = inputs?.environment as Readonly<Record<string, unknown>> | undefined;
      return String(environment?.REMOVAL).includes(backupDirectory);
    })
    .map(({ urn }) => urn);

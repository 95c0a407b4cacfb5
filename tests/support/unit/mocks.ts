/**
 * Runs a program against Pulumi's mocks and keeps what the engine would have been told of each
 * resource. Pulumi's own mocks show inputs only; parents, order and options are read from the
 * requests themselves.
 */
import * as pulumi from "@pulumi/pulumi";
import { leaves } from "../../../infra/certificates/domains.ts";
import { issueAuthority, issueLeaf } from "../../../infra/certificates/issue.ts";

/** One resource, as the engine is asked for it. */
export interface Registration {
  /** Full type, such as `docker:index/container:Container`. */
  readonly type: string;
  /** Last part of the type. */
  readonly kind: string;
  readonly name: string;
  /** What this module calls it: kind and name, such as `Container lb-1`. */
  readonly label: string;
  /** Whether a provider makes it; components are made by nobody. */
  readonly custom: boolean;
  /** Label of its parent. */
  readonly parent: string | undefined;
  /** Labels of the resources that must be there before it, components' children included. */
  readonly dependencies: readonly string[];
  readonly protect: boolean;
  readonly retainOnDelete: boolean;
  readonly deleteBeforeReplace: boolean;
  readonly replaceOnChanges: readonly string[];
  /** Inputs whose change the engine passes over; `*` is all. */
  readonly ignoreChanges: readonly string[];
  /** Names that it had before. */
  readonly aliases: readonly string[];
  /** Inputs as plain values; what is not known yet in a preview is `unknown`. */
  readonly inputs: Readonly<Record<string, unknown>>;
  /** The same, with `secret` in place of each secret: all that a reviewer gets to see. */
  readonly shown: Readonly<Record<string, unknown>>;
  /** What a component registers as its outputs, as a reviewer gets to see it. */
  readonly outputs: Readonly<Record<string, unknown>>;
  /** When it was asked for and when it was there, as places in one common sequence. */
  readonly asked: number;
  readonly done: number;
}

export const secret = "(secret)";
export const unknown = "(unknown)";

export interface RecordOptions {
  /** Whether it is a preview, where outputs of new resources are unknown. @default false */
  readonly preview?: boolean;
  /** Which generation of passwords the mocks give out. @default 1 */
  readonly generation?: number;
}

/** The password that the mocks generate for a principal. */
export const mockPassword = (principal: string, generation = 1) =>
  `mock-password-${generation}-of-${principal}`;

/** Authority and certificate of all that the mocks issue; real programs take them. */
const authority = await issueAuthority("mock");
const { certificate, key } = await issueLeaf(
  { leaf: "instance", domain: "instances", use: "both", names: ["mock"], addresses: [] },
  authority,
  new Date("2100-01-01"),
);

/** What a resource of these types has beyond its inputs. */
function outputs(type: string, name: string, inputs: { name?: string }, generation: number) {
  switch (kindOf(type)) {
    case "RandomPassword":
      return { result: mockPassword(name.replace(/^(password|secret)-/, ""), generation) };
    case "Command":
      return { stdout: commandOutput(name) };
    case "RemoteImage":
      return { imageId: `id-of-${inputs.name}` };
    default:
      return {};
  }
}

/** What the programs behind certificates print; other commands print nothing of use. */
function commandOutput(name: string): string {
  if (name.startsWith("authority-")) {
    return JSON.stringify({
      certificate: `${authority.certificate}# ${name}\n`,
      key: `mock-key-of-${name}`,
    });
  }
  if (!name.endsWith("-certificates")) return "";
  const made = Object.keys(leaves).map((leaf) => [
    leaf,
    `${certificate}${key}# mock-${leaf}-of-${name}\n`,
  ]);
  return JSON.stringify(Object.fromEntries(made));
}

/** Commands take a while, so that whatever does not wait for them gets ahead of them. */
const commandMilliseconds = 4;

let last: Promise<unknown> = Promise.resolve();

/** Runs the program and returns every resource by its name. One run waits for the one before. */
export function record(program: () => unknown, options: RecordOptions = {}): Promise<Recording> {
  const own = last.then(() => run(program, options));
  last = own.catch(() => undefined);
  return own;
}

async function run(
  program: () => unknown,
  { preview = false, generation = 1 }: RecordOptions,
): Promise<Recording> {
  await pulumi.runtime.setMocks(
    {
      call: () => {
        throw new Error("the program calls no function of a provider");
      },
      newResource: async ({ type, name, inputs }) => {
        if (type.startsWith("command:")) await pause(commandMilliseconds);
        const made = preview ? {} : outputs(type, name, inputs, generation);
        return { id: preview ? undefined : `id-of-${name}`, state: { ...inputs, ...made } };
      },
    },
    "hastack",
    "test",
    preview,
  );
  const recording = new Recording();
  recording.listen();
  const result = await program();
  await pulumi.runtime.disconnect();
  recording.result = result;
  recording.refuseDuplicates();
  return recording;
}

/** All resources of one run. */
export class Recording {
  readonly #resources = new Map<string, Registration>();
  readonly #duplicates: string[] = [];
  readonly #outputs = new Map<string, Readonly<Record<string, unknown>>>();
  #sequence = 0;
  /** What the program returned. */
  result: unknown;

  get all(): readonly Registration[] {
    return [...this.#resources.values()];
  }

  /**
   * The resource of a type, such as `Container`, and a name.
   * @throws Error if there is none
   */
  get(type: string, name: string): Registration {
    const found = this.#resources.get(`${type} ${name}`);
    if (!found) throw new Error(`no ${type} ${name} among ${[...this.#resources.keys()]}`);
    return found;
  }

  /** Names of the resources of a type, in alphabetical order. */
  names(type: string): string[] {
    return this.ofType(type)
      .map((one) => one.name)
      .sort();
  }

  ofType(type: string): Registration[] {
    return this.all.filter((one) => one.kind === type);
  }

  /** Children of a resource as `Container lb-1`, in alphabetical order. */
  childrenOf(type: string, name: string): string[] {
    const { label } = this.get(type, name);
    return this.all
      .filter((one) => one.parent === label)
      .map((one) => one.label)
      .sort();
  }

  /** @throws Error where two resources have one name, as the engine does */
  refuseDuplicates(): void {
    const labels = this.#duplicates.join(", ");
    if (labels) throw new Error(`there are two resources of each of these names: ${labels}`);
  }

  /** Takes part in every registration from now on. */
  listen(): void {
    // biome-ignore lint/suspicious/noExplicitAny: the requests' classes are not part of the SDK's face
    const monitor = pulumi.runtime.getMonitor() as any;
    const register = monitor.registerResource.bind(monitor);
    // biome-ignore lint/suspicious/noExplicitAny: see above
    monitor.registerResource = (request: any, callback: (...answer: unknown[]) => void) => {
      const asked = this.#sequence++;
      return register(request, (...answer: unknown[]) => {
        this.#keep(request, asked);
        callback(...answer);
      });
    };
    const registerOutputs = monitor.registerResourceOutputs.bind(monitor);
    // biome-ignore lint/suspicious/noExplicitAny: see above
    monitor.registerResourceOutputs = (request: any, callback: unknown) => {
      const outputs = plain(request.getOutputs()?.toJavaScript() ?? {}, () => secret);
      this.#outputs.set(labelOf(request.getUrn()) ?? "", outputs as Record<string, unknown>);
      return registerOutputs(request, callback);
    };
  }

  // biome-ignore lint/suspicious/noExplicitAny: see above
  #keep(request: any, asked: number): void {
    const type: string = request.getType();
    const name: string = request.getName();
    const kind = kindOf(type);
    const label = `${kind} ${name}`;
    const inputs = request.getObject().toJavaScript();
    const outputs = this.#outputs;
    if (this.#resources.has(label)) this.#duplicates.push(label);
    this.#resources.set(label, {
      type,
      kind,
      name,
      label,
      custom: request.getCustom(),
      parent: labelOf(request.getParent()),
      dependencies: request.getDependenciesList().map(labelOf),
      protect: request.getProtect() ?? false,
      retainOnDelete: request.getRetainondelete() ?? false,
      deleteBeforeReplace: request.getDeletebeforereplace() ?? false,
      replaceOnChanges: request.getReplaceonchangesList(),
      ignoreChanges: request.getIgnorechangesList(),
      aliases: request.getAliasesList().map(aliasName),
      inputs: plain(inputs, (value) => value) as Record<string, unknown>,
      shown: plain(inputs, () => secret) as Record<string, unknown>,
      get outputs() {
        return outputs.get(label) ?? {};
      },
      asked,
      done: this.#sequence++,
    });
  }
}

/** How Pulumi writes a value that is not known yet. */
const unknownValue = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

function plain(value: unknown, ofSecret: (inner: unknown) => unknown): unknown {
  if (value === unknownValue) return unknown;
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((one) => plain(one, ofSecret));
  const fields = value as Record<string, unknown>;
  if (pulumi.runtime.isRpcSecret(fields)) return plain(ofSecret(fields.value), ofSecret);
  return Object.fromEntries(
    Object.entries(fields).map(([key, inner]) => [key, plain(inner, ofSecret)]),
  );
}

// biome-ignore lint/suspicious/noExplicitAny: see above
function aliasName(alias: any): string {
  return alias.getSpec()?.getName() || alias.getUrn();
}

function kindOf(type: string): string {
  return type.split(":").at(-1) ?? type;
}

/** `urn:pulumi:stack::project::parent$type::name` in short. */
function labelOf(urn: string): string | undefined {
  const [, , type = "", name] = urn.split("::");
  return urn ? `${kindOf(type)} ${name}` : undefined;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/**
 * Runs a program against Pulumi's mocks and keeps what the engine would have been told of each
 * resource. Pulumi's own mocks show inputs only; parents, order and options are read from the
 * requests themselves.
 */
import * as pulumi from "@pulumi/pulumi";

/** One resource, as the engine is asked for it. */
export interface Registration {
  readonly type: string;
  readonly name: string;
  /** Whether a provider makes it; components are made by nobody. */
  readonly custom: boolean;
  readonly parent: string | undefined;
  /** Names of the resources that must be there before it, components' children included. */
  readonly dependencies: readonly string[];
  readonly protect: boolean;
  readonly retainOnDelete: boolean;
  readonly deleteBeforeReplace: boolean;
  readonly replaceOnChanges: readonly string[];
  /** Inputs as plain values; what is not known yet in a preview is `unknown`. */
  readonly inputs: Readonly<Record<string, unknown>>;
  /** The same, with `secret` in place of each secret: all that a reviewer gets to see. */
  readonly shown: Readonly<Record<string, unknown>>;
  /** When it was asked for and when it was there, as places in one common sequence. */
  readonly asked: number;
  readonly done: number;
}

export const secret = "(secret)";
export const unknown = "(unknown)";

export interface RecordOptions {
  /** Whether it is a preview, where outputs of new resources are unknown. @default false */
  readonly preview?: boolean;
  /** The stack's name. @default test */
  readonly stack?: string;
}

/** The password that the mocks generate for a principal. */
export const mockPassword = (principal: string) => `mock-password-of-${principal}`;

/** What a resource of these types has beyond its inputs. */
const outputs: Readonly<Record<string, (name: string) => Record<string, unknown>>> = {
  "random:index/randomPassword:RandomPassword": (name) => ({
    result: mockPassword(name.replace("password-", "")),
  }),
  "docker:index/remoteImage:RemoteImage": (name) => ({ imageId: `sha256:${name}` }),
};

/** Commands take a while, so that whatever does not wait for them gets ahead of them. */
const commandMilliseconds = 4;

/** Runs the program and returns every resource by its name. */
export async function record(
  program: () => unknown,
  { preview = false, stack = "test" }: RecordOptions = {},
): Promise<Recording> {
  await pulumi.runtime.setMocks(
    {
      call: () => {
        throw new Error("the program calls no function of a provider");
      },
      newResource: async ({ type, name, inputs }) => {
        if (type.startsWith("command:")) await pause(commandMilliseconds);
        const made = preview ? {} : (outputs[type]?.(name) ?? {});
        return { id: preview ? undefined : `id-of-${name}`, state: { ...inputs, ...made } };
      },
    },
    "hastack",
    stack,
    preview,
  );
  const recording = new Recording();
  recording.listen();
  const result = await program();
  await pulumi.runtime.disconnect();
  recording.result = result;
  return recording;
}

/** All resources of one run. */
export class Recording {
  readonly #resources = new Map<string, Registration>();
  #sequence = 0;
  /** What the program returned. */
  result: unknown;

  get all(): readonly Registration[] {
    return [...this.#resources.values()];
  }

  /** @throws Error if there is none of this name */
  get(name: string): Registration {
    const found = this.#resources.get(name);
    if (!found) throw new Error(`no ${name} among ${[...this.#resources.keys()].join(", ")}`);
    return found;
  }

  /** Names of the resources of a type, such as `Container`, in alphabetical order. */
  names(type: string): string[] {
    return this.ofType(type)
      .map((one) => one.name)
      .sort();
  }

  ofType(type: string): Registration[] {
    return this.all.filter((one) => one.type.split(":").at(-1) === type);
  }

  childrenOf(parent: string): Registration[] {
    return this.all.filter((one) => one.parent === parent);
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
  }

  // biome-ignore lint/suspicious/noExplicitAny: see above
  #keep(request: any, asked: number): void {
    const name: string = request.getName();
    if (this.#resources.has(name)) throw new Error(`${name} is there twice`);
    const inputs = request.getObject().toJavaScript();
    this.#resources.set(name, {
      type: request.getType(),
      name,
      custom: request.getCustom(),
      parent: nameOf(request.getParent()),
      dependencies: request.getDependenciesList().map(nameOf),
      protect: request.getProtect() ?? false,
      retainOnDelete: request.getRetainondelete() ?? false,
      deleteBeforeReplace: request.getDeletebeforereplace() ?? false,
      replaceOnChanges: request.getReplaceonchangesList(),
      inputs: plain(inputs, (value) => value) as Record<string, unknown>,
      shown: plain(inputs, () => secret) as Record<string, unknown>,
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

function nameOf(urn: string): string | undefined {
  return urn ? urn.split("::").at(-1) : undefined;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** What is to be, and what there is, in one shape: things with named properties. */

/** A thing of a machine as the last `up` left it. */
export interface Expectation {
  /** The machine that is asked; nothing where the Docker engine is. */
  readonly machine: string;
  /** The question, `KIND THING`: `look` and `engine.ts` know the kinds. */
  readonly ask: string;
  /** What people call it. */
  readonly thing: string;
  /** Its properties by name. */
  readonly should: Properties;
  /** Whether properties that are not named are not to be there. @default they are not looked at */
  readonly whole?: boolean;
  /** For what a delivery brought. @default something else made it */
  readonly brought?: Brought;
  /** For a file. */
  readonly file?: WantedFile;
  /** What puts it right. */
  readonly fix: string;
  /** Whether the `up` that made it was cut off, so that nothing is known for certain. */
  readonly unsure: boolean;
}

export type Properties = Readonly<Record<string, string>>;

export interface Brought {
  /** The folder that it was brought into; the note of that lies there. */
  readonly folder: string;
  /** What puts it right where there is no note yet, so that `up` does not see it. */
  readonly withoutNote: string;
}

export interface WantedFile {
  /** In that folder. @default it is in none */
  readonly path?: string;
  /** With `@{name}` for secrets. */
  readonly template: string;
  /** Filled in; nothing where a secret is not known. */
  readonly text: string | undefined;
  /** Whether it holds any. */
  readonly isSecret: boolean;
}

/** What a machine, or the engine, answered: by question, its properties in their order. */
export type Answers = ReadonlyMap<string, Answer>;

/** Names may repeat. */
export type Answer = readonly (readonly [name: string, value: string])[];

/** A thing that is not as the last `up` left it. */
export interface Finding {
  readonly machine: string;
  readonly thing: string;
  /** Of the file that is there; nothing where it is not about a line. */
  readonly line?: number;
  /** The property that differs. */
  readonly property: string;
  readonly is: string;
  readonly shouldBe: string;
  /** All of it in a sentence. */
  readonly what: string;
  readonly fix: string;
}

/** From a zod schema to one in JSON, for documents and for editors. */
import { z } from "zod";

/** A JSON schema, as far as schemas of settings have need of it. */
export interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  /** What holds without a value, in words. */
  readonly absent?: string;
  readonly enum?: readonly unknown[];
  readonly format?: string;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly items?: JsonSchema;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
}

/** The schema of what somebody writes: what has a default may be left out. */
export function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, { io: "input" }) as JsonSchema;
}

/** The same, with what a description says behind `@default` in place of a default. */
export function withDefaultsApart(schema: JsonSchema): JsonSchema {
  const text = JSON.stringify(schema, (_, value) => {
    const [description, absent] = String(value?.description ?? "").split(" @default ");
    return absent === undefined ? value : { ...value, description, absent };
  });
  return JSON.parse(text) as JsonSchema;
}

/** The text of a schema for editors, without what they do not know, or show without need. */
export function editorSchema(title: string, schema: JsonSchema): string {
  const { $schema, ...rest } = schema as JsonSchema & { $schema?: string };
  const text = JSON.stringify(
    { $schema: "https://json-schema.org/draft/2020-12/schema", title, ...rest },
    (key, value) => {
      if (typeof value?.absent === "string") {
        const { absent, description = "", ...others } = value;
        return { description: `${description} Default: ${absent}.`.trim(), ...others };
      }
      if (key === "format" && value === "cidrv4") return undefined;
      return key === "maximum" && value === Number.MAX_SAFE_INTEGER ? undefined : value;
    },
    2,
  );
  return `${text}\n`;
}

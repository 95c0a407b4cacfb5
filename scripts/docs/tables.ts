/** From a JSON schema to tables in Markdown: one row for each value that can be set. */
import type { JsonSchema } from "./json-schema.ts";
import { markdownTable } from "./markdown-table.ts";

const header = ["type", "default", "what it is"];

/**
 * A table of all values below a schema.
 * @param path what the names of its rows begin with
 * @param kind what the table calls a value
 */
export function tableOf(path: string, schema: JsonSchema, kind = "setting"): string {
  return `${markdownTable([kind, ...header], rowsOf(path, schema, false))}\n`;
}

function rowsOf(path: string, schema: JsonSchema, required: boolean): string[][] {
  const { properties, items, additionalProperties, description = "" } = schema;
  if (properties) {
    return Object.entries(properties).flatMap(([name, inner]) =>
      rowsOf(
        path === "" ? name : `${path}.${name}`,
        inner,
        schema.required?.includes(name) ?? false,
      ),
    );
  }
  if (items?.properties) return rowsOf(`${path}[]`, items, true);
  if (typeof additionalProperties === "object" && additionalProperties.properties) {
    return rowsOf(`${path}.NAME`, additionalProperties, false);
  }
  const cells = [`\`${path}\``, typeOf(path, schema), defaultOf(schema, required), description];
  return [cells.map((cell) => cell.replaceAll("|", "\\|"))];
}

function defaultOf(schema: JsonSchema, required: boolean): string {
  if (schema.absent !== undefined) return schema.absent;
  if (schema.default !== undefined) return `\`${JSON.stringify(schema.default)}\``;
  return required ? "required" : "none";
}

const units: readonly (readonly [RegExp, string])[] = [
  [/milliseconds$/i, "milliseconds"],
  [/(?<!PerTen)seconds$/i, "seconds"],
  [/megabytes$/i, "megabytes"],
  [/bytes$/i, "bytes"],
];

function typeOf(path: string, schema: JsonSchema): string {
  const { type, items, additionalProperties, format } = schema;
  if (schema.enum) return schema.enum.map((value) => `\`${value}\``).join(" or ");
  if (Array.isArray(type)) return type.map((one) => typeOf(path, { type: one })).join(", ");
  if (schema.anyOf) return schema.anyOf.map((one) => typeOf(path, one)).join(", ");
  switch (type) {
    case "boolean":
      return "true or false";
    case "integer":
    case "number": {
      const whole = type === "integer" ? "whole number" : "number";
      const unit = units.find(([name]) => name.test(path))?.[1];
      const of = type === "integer" || unit === undefined ? "" : "number of ";
      return [`${unit === undefined ? whole : `${of}${unit}`}`, rangeOf(schema)]
        .filter(Boolean)
        .join(", ");
    }
    case "array":
      return items ? `list: ${typeOf(path, items)}` : "list";
    case "object":
      return typeof additionalProperties === "object" && additionalProperties.type
        ? `by name: ${typeOf(path, additionalProperties)}`
        : "by name";
    case "string":
      return formats[format ?? ""] ?? "text";
    default:
      return "any";
  }
}

const formats: Readonly<Record<string, string>> = {
  cidrv4: "IPv4 subnet",
  ipv4: "IPv4 address",
  hostname: "name or address of a host",
  email: "mail address",
};

function rangeOf({ minimum, exclusiveMinimum, maximum }: JsonSchema): string {
  const above = exclusiveMinimum === undefined ? undefined : `above ${exclusiveMinimum}`;
  if (maximum === undefined || maximum === Number.MAX_SAFE_INTEGER) {
    return above ?? (minimum === undefined ? "" : `${minimum} or more`);
  }
  return `${minimum ?? above ?? "at most"} to ${maximum}`;
}

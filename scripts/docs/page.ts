/** A page with all values of a schema: a table of the plain ones, and a section for each other. */
import type { JsonSchema } from "./json-schema.ts";
import { tableOf } from "./tables.ts";

/**
 * @param beginning title and text of the page
 * @param kind what the page calls a value
 */
export function pageOf(
  beginning: string,
  { properties = {}, required = [] }: JsonSchema,
  kind: string,
): string {
  const all = Object.entries(properties);
  const general = all.filter(([, schema]) => !isSection(schema));
  const sections = all.filter(([, schema]) => isSection(schema));
  const plain = { properties: Object.fromEntries(general), required };
  return [
    beginning,
    `## General\n\n${tableOf("", plain, kind)}`,
    ...sections.map(([name, schema]) => {
      const { description = "", absent } = schema;
      const without = absent === undefined ? "" : ` Default: ${absent}.`;
      return `## ${name}\n\n${description}${without}\n\n${tableOf(name, schema, kind)}`;
    }),
  ].join("\n");
}

/** Whether a value has parts of its own. */
function isSection({ properties, items, additionalProperties }: JsonSchema): boolean {
  const inner = typeof additionalProperties === "object" ? additionalProperties : items;
  return properties !== undefined || inner?.properties !== undefined;
}

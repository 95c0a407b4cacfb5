import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { descriptionSchema } from "../../../infra/application/description.ts";
import { settingsSchema } from "../../../infra/settings.ts";
import { readProjectFile } from "../../../lib/paths.ts";
import {
  editorSchema,
  type JsonSchema,
  jsonSchemaOf,
  withDefaultsApart,
} from "../../../scripts/docs/json-schema.ts";
import { tableOf } from "../../../scripts/docs/tables.ts";
import { generatedDocuments } from "../../../scripts/docs.ts";
import { shippedConfiguration, threeMachines } from "../../support/unit/fixtures.ts";

/** All values below a schema that somebody may give, by their paths. */
function leaves(path: string, schema: JsonSchema): [string, JsonSchema][] {
  const { properties, items, additionalProperties } = schema;
  const inner = typeof additionalProperties === "object" ? additionalProperties : items;
  if (inner?.properties) return leaves(`${path}.NAME`, inner);
  if (!properties) return [[path, schema]];
  return Object.entries(properties).flatMap(([name, one]) => leaves(`${path}.${name}`, one));
}

/** Keys of a document that the schema does not know. */
function unknownKeys(path: string, value: unknown, schema: JsonSchema): string[] {
  if (typeof value !== "object" || value === null) return [];
  const { properties, items, additionalProperties } = schema;
  return Object.entries(value).flatMap(([key, inner]) => {
    const others = typeof additionalProperties === "object" ? additionalProperties : undefined;
    const known = Array.isArray(value) ? items : (properties?.[key] ?? others);
    const at = `${path}.${key}`;
    return known ? unknownKeys(at, inner, known) : [at];
  });
}

describe("npm run docs", () => {
  for (const { path, text } of generatedDocuments()) {
    it(`${path} is as the schemas say`, () => {
      assert.ok(readProjectFile(path) === text, `${path} is stale: run npm run docs`);
    });
  }

  it("every setting, and every key of hastack.yaml, has a sentence", () => {
    const settings = leaves("hastack:", jsonSchemaOf(settingsSchema));
    assert.ok(settings.length > 50, `only ${settings.length} settings`);
    const keys = leaves("", withDefaultsApart(jsonSchemaOf(descriptionSchema)));
    assert.ok(keys.length > 40, `only ${keys.length} keys`);
    for (const [path, { description = "" }] of [...settings, ...keys]) {
      assert.match(description, /^[A-Z].*[.]$/, path);
    }
  });

  for (const path of ["app/hastack.yaml", "examples/notes/hastack.yaml"]) {
    it(`${path} leads editors to the schema, which knows its keys`, () => {
      const text = readProjectFile(path);
      const [, link = ""] = /^# yaml-language-server: \$schema=(\S+)\n/.exec(text) ?? [];
      const schema = join(dirname(path), link);
      assert.equal(schema, "docs/hastack-yaml.schema.json");
      assert.deepEqual(unknownKeys("", parse(text), JSON.parse(readProjectFile(schema))), []);
      const wrong = { name: "x", tiers: [{ nmae: "web" }], secrets: { a: { generate: true } } };
      const unknown = unknownKeys("", wrong, JSON.parse(readProjectFile(schema)));
      assert.deepEqual(unknown, [".tiers.0.nmae", ".secrets.a.generate"]);
    });
  }

  it("what a text says behind @default is a default of its own, and a sentence for editors", () => {
    const schema = withDefaultsApart(
      jsonSchemaOf(z.strictObject({ port: z.int().optional().describe("Where. @default none") })),
    );
    assert.deepEqual(schema.properties?.port?.description, "Where.");
    assert.match(
      tableOf("", schema, "key"),
      /^\| key .*\n.*\n\| `port` .*\| none +\| Where\. +\|$/m,
    );
    const text = JSON.parse(editorSchema("", schema)) as JsonSchema;
    assert.equal(text.properties?.port?.description, "Where. Default: none.");
    assert.doesNotMatch(readProjectFile("docs/hastack-yaml.md"), /@default/);
  });

  it("every setting has a default, says what holds without it, or is required", () => {
    const { properties = {} } = jsonSchemaOf(settingsSchema);
    const sections = [jsonSchemaOf(settingsSchema), ...Object.values(properties)];
    for (const section of sections) {
      const { items, additionalProperties } = section;
      const inner = typeof additionalProperties === "object" ? additionalProperties : items;
      const holder = inner?.properties ? inner : section;
      for (const [name, one] of Object.entries(holder.properties ?? {})) {
        const said = one.default !== undefined || one.absent !== undefined;
        assert.ok(said || holder.required?.includes(name), name);
      }
    }
  });

  it("the editor's schema knows what the shipped stacks say, and takes secrets encrypted alone", () => {
    const schema = JSON.parse(readProjectFile("docs/settings.schema.json")) as JsonSchema;
    const known = schema.properties?.config?.properties ?? {};
    for (const configuration of [
      shippedConfiguration("dev"),
      shippedConfiguration("lab"),
      threeMachines(),
    ]) {
      for (const name of Object.keys(configuration)) assert.ok(known[name], name);
    }
    assert.deepEqual(known["hastack:smtpPassword"]?.required, ["secure"]);
    assert.deepEqual(known["hastack:certificate"]?.required, ["secure"]);
    const { additionalProperties } = known["hastack:applicationSecrets"] ?? {};
    assert.deepEqual((additionalProperties as JsonSchema).required, ["secure"]);
  });

  describe("a table", () => {
    it("has a row for each value, with its type, unit, range, default and sentence", () => {
      const schema = z.strictObject({
        mode: z.enum(["fast", "slow"]).describe("How fast."),
        waitSeconds: z.int().min(1).max(9).default(3).describe("How | long."),
        gap: z.strictObject({
          checkMilliseconds: z.int().min(5).optional().meta({
            description: "How often.",
            absent: "never",
          }),
        }),
        ports: z.array(z.int().positive()).default([]).describe("Which ports."),
        hosts: z.array(z.strictObject({ ip: z.ipv4().describe("Where.") })).optional(),
        words: z.record(z.string(), z.string()).optional().describe("Some words."),
      });
      assert.equal(
        tableOf("", jsonSchemaOf(schema)),
        `| setting                 | type                        | default  | what it is   |
| ----------------------- | --------------------------- | -------- | ------------ |
| \`mode\`                  | \`fast\` or \`slow\`            | required | How fast.    |
| \`waitSeconds\`           | seconds, 1 to 9             | \`3\`      | How \\| long. |
| \`gap.checkMilliseconds\` | milliseconds, 5 or more     | never    | How often.   |
| \`ports\`                 | list: whole number, above 0 | \`[]\`     | Which ports. |
| \`hosts[].ip\`            | IPv4 address                | required | Where.       |
| \`words\`                 | by name: text               | none     | Some words.  |
`,
      );
    });
  });

  it("an editor's schema has nothing that editors do not know", () => {
    const text = editorSchema("A title", jsonSchemaOf(settingsSchema));
    assert.doesNotMatch(text, /"absent": "|cidrv4|9007199254740991/);
    assert.equal(JSON.parse(text).title, "A title");
  });
});

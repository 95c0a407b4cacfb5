/** docs/settings.md, and the editor's schema of `Pulumi.<stack>.yaml`. */
import { secretSettings, settingsSchema } from "../../infra/settings.ts";
import type { Generated } from "./generated.ts";
import { editorSchema, type JsonSchema, jsonSchemaOf } from "./json-schema.ts";
import { pageOf } from "./page.ts";

export function settingsDocuments(): Generated[] {
  const schema = jsonSchemaOf(settingsSchema);
  return [
    { path: "docs/settings.md", text: pageOf(beginning, schema, "setting") },
    {
      path: "docs/settings.schema.json",
      text: editorSchema("Settings of a stack of hastack", fileSchemaOf(schema)),
    },
  ];
}

const beginning = `# Settings

<!-- Generated from infra/settings.ts by \`npm run docs\`; change it there. -->

\`Pulumi.<stack>.yaml\` holds the settings of a stack below \`config:\`, each with \`hastack:\` before its
name. A setting that is left out has its default. A preview checks all of them at once. Units are in
the names: \`drainSeconds\`, \`sharedBuffersMegabytes\`. Secrets are never written there in the clear:
\`npx pulumi config set --secret hastack:NAME\`. An editor that knows YAML schemas completes and checks
names by \`docs/settings.schema.json\`.
`;

/** The file around the settings; other keys of Pulumi's, and other projects' settings, are free. */
function fileSchemaOf({ properties = {}, required = [] }: JsonSchema): JsonSchema {
  const config = Object.entries(properties).map(([name, schema]) => [
    `hastack:${name}`,
    secretSettings.has(name) ? secretSchema(schema) : schema,
  ]);
  return {
    type: "object",
    properties: {
      config: {
        type: "object",
        properties: Object.fromEntries(config),
        required: required.map((name) => `hastack:${name}`),
      },
    },
  };
}

/** As Pulumi writes a secret into the file. */
const encrypted = {
  type: "object",
  properties: { secure: { type: "string" } },
  required: ["secure"],
  additionalProperties: false,
} as const;

function secretSchema({ description = "", additionalProperties }: JsonSchema): JsonSchema {
  return typeof additionalProperties === "object"
    ? { description, type: "object", additionalProperties: encrypted }
    : { description, ...encrypted };
}

/** docs/hastack-yaml.md, and the editor's schema of an application's `hastack.yaml`. */
import { descriptionSchema } from "../../infra/application/description.ts";
import type { Generated } from "./generated.ts";
import { editorSchema, jsonSchemaOf, withDefaultsApart } from "./json-schema.ts";
import { pageOf } from "./page.ts";

export function descriptionDocuments(): Generated[] {
  const schema = withDefaultsApart(jsonSchemaOf(descriptionSchema));
  return [
    { path: "docs/hastack-yaml.md", text: pageOf(beginning, schema, "key") },
    {
      path: "docs/hastack-yaml.schema.json",
      text: editorSchema("An application on hastack", schema),
    },
  ];
}

const beginning = `# hastack.yaml

<!-- Generated from infra/application/description.ts by \`npm run docs\`; change it there. -->

\`hastack.yaml\` in an application's folder says what hastack must know of it; what the application is
given in return is in [your-application.md](your-application.md). A key that is left out has its
default. A preview checks all of them at once. \`tiers[]\` stands for each tier of the list, \`NAME\` for
names of your own. An editor that knows YAML schemas completes and checks keys with this first line:

\`\`\`yaml
# yaml-language-server: $schema=../docs/hastack-yaml.schema.json
\`\`\`
`;

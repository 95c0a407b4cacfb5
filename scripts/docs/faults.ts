/** docs/faults.md: what `npm run prove` breaks, and what is promised of it. */
import { faults } from "../../operate/prove/faults.ts";
import { limits } from "../../operate/prove/report/words.ts";
import type { Generated } from "./generated.ts";
import { markdownTable } from "./markdown-table.ts";

export function faultsDocuments(): Generated[] {
  return [{ path: "docs/faults.md", text: `${beginning}\n${table()}\n` }];
}

const beginning = `# Faults

<!-- Generated from operate/prove/faults.ts by \`npm run docs\`; change it there. -->

What [\`npm run prove\`](prove.md) breaks, by the names that \`--only\` takes, and what is promised: the longest time without
a success at a client, and how many operations may fail.
`;

function table(): string {
  const rows = faults.map(({ name, what, promised: { reads, writes } }) => [
    `\`${name}\``,
    what,
    limits(reads),
    limits(writes),
  ]);
  return markdownTable(["name", "what fails", "promised: reads", "writes"], rows);
}

/** What the documents point at exists: links, their headings, and paths of the project. */
import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseDescription } from "../../infra/application/application.ts";
import { stackVariables } from "../../infra/application/names.ts";
import { inRoot, readProjectFile, root } from "../../lib/paths.ts";

const pages = ["README.md", ...globSync("{docs,app/sql,examples/*}/*.md", { cwd: root })];

/** Without what is meant as an example of text. */
const proseOf = (page: string) => page.replaceAll(/^ *```[\s\S]*?^ *```$/gm, "");

/** Targets of links and pictures that are not on another site. */
function linksIn(page: string): string[] {
  return [...proseOf(page).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = ""]) => target)
    .filter((target) => !/^[a-z]+:/.test(target));
}

/** The names that GitHub gives to headings. */
function anchorsIn(page: string): string[] {
  return [...proseOf(page).matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, "")
      .replaceAll(" ", "-"),
  );
}

const folders =
  /^(app|bench|docs|examples|haproxy|infra|lab|lib|release|scripts|tests|toolchain)\//;

/** Words in backticks that are paths of the project; `infra/*` and `tests/NAME` are patterns. */
function pathsIn(page: string): string[] {
  return [...proseOf(page).matchAll(/`([^`\n]+)`/g)]
    .map(([, text = ""]) => text)
    .filter((text) => /^[\w./-]+$/.test(text) && !/[A-Z]{3,}/.test(dirname(text)))
    .filter((text) => folders.test(text) || /^Pulumi(\.[a-z]+)?\.yaml$/.test(text));
}

/** The descriptions of applications that are shown whole. */
function descriptionsIn(page: string): string[] {
  return [...page.matchAll(/^( *)```yaml\n([\s\S]*?)^ *```$/gm)]
    .map(([, indent = "", text = ""]) => text.replaceAll(new RegExp(`^${indent}`, "gm"), ""))
    .filter((text) => /^name:/m.test(text) && /^tiers:/m.test(text));
}

describe("documents", () => {
  for (const page of pages) {
    const text = readProjectFile(page);

    it(`${page}: every link leads to something`, () => {
      const broken = linksIn(text).filter((link) => {
        const [path = "", anchor] = link.split("#");
        const target = path === "" ? inRoot(page) : inRoot(dirname(page), path);
        if (!existsSync(target)) return true;
        return anchor !== undefined && !anchorsIn(readFileSync(target, "utf8")).includes(anchor);
      });
      assert.deepEqual(broken, []);
    });

    it(`${page}: every path that it names exists`, () => {
      const missing = pathsIn(text).filter(
        (path) => !existsSync(inRoot(path)) && !existsSync(inRoot(dirname(page), path)),
      );
      assert.deepEqual(missing, []);
    });
  }

  it("a page in docs/ is linked from the README or from another page", () => {
    const linked = pages.flatMap((page) =>
      linksIn(readProjectFile(page)).map((link) => join(dirname(page), link.split("#")[0] ?? "")),
    );
    const lonely = globSync("docs/*.md", { cwd: root }).filter((page) => !linked.includes(page));
    assert.deepEqual(lonely, []);
  });

  it("links, headings and paths are found", () => {
    const page = "# My `b` page\n[a](b.md#c) ![d](e.png) [f](https://g)\n`infra/index.ts` `a/b`\n";
    assert.deepEqual(linksIn(page), ["b.md#c", "e.png"]);
    assert.deepEqual(anchorsIn(page), ["my-b-page"]);
    assert.deepEqual(pathsIn(page), ["infra/index.ts"]);
    assert.deepEqual(linksIn("```md\n[a](b)\n```\n"), []);
  });

  for (const page of ["README.md", "docs/your-application.md"]) {
    it(`${page}: its applications are described as they must be`, () => {
      const descriptions = descriptionsIn(readProjectFile(page));
      assert.ok(descriptions.length > 0, "there is none");
      for (const text of descriptions) parseDescription(text, page);
    });
  }

  it("docs/your-application.md has every variable that the stack gives, and no other", () => {
    const page = readProjectFile("docs/your-application.md");
    const [, table = ""] = page.split(/^\| variable .*$/m);
    const rows = table.slice(0, table.indexOf("\n\n")).split("\n").slice(2);
    const named = rows.flatMap((row) =>
      [...(row.split("|")[1] ?? "").matchAll(/`(\w+)`/g)].map(([, name = ""]) => name),
    );
    assert.deepEqual(named.sort(), [...stackVariables].sort());
  });
});

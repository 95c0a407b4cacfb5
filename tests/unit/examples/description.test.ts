/** The example in Python fits to what it says of itself, and to what it is given. */
import assert from "node:assert/strict";
import { existsSync, globSync } from "node:fs";
import { instanceVariables, migrationVariables } from "../../../infra/application/environment.ts";
import { inRoot, readProjectFile } from "../../../lib/paths.ts";
import { planWith } from "../../support/unit/fixtures.ts";

const folder = "examples/notes";
const { application, settings, topology } = planWith(
  { application: { path: folder, settings: { title: "Our notes" } } },
  readProjectFile(`${folder}/hastack.yaml`),
);
const given = { application, settings, topology, release: "0123456789ab" };
const [web] = application.tiers;

/** The environment variables that a program reads. */
const readIn = (file: string) =>
  [...readProjectFile(`${folder}/${file}`).matchAll(/os\.environ\[["'](\w+)["']\]/g)].map(
    ([, name = ""]) => name,
  );

describe("the example's description", () => {
  it("O6: has one tier, whose instances are members like any others", () => {
    assert.deepEqual(Object.keys(topology.tiers), ["web"]);
    assert.deepEqual(
      topology.tiers.web?.map(({ name }) => name),
      ["web-1", "web-2"],
    );
    assert.equal(web?.databaseRole, "app_web");
    assert.match(readProjectFile(`${folder}/schema.sql`), / TO app_web;/);
  });

  it("O6: names every file that the programs need, and no other", () => {
    const files = application.release.files ?? [];
    for (const file of files) assert.ok(existsSync(inRoot(folder, file)), file);
    const needed = globSync("{*.py,*.sql,templates}", { cwd: inRoot(folder) });
    assert.deepEqual([...files].sort(), needed.sort());
    const commands = [
      ...[web?.command ?? [], application.migrations?.command ?? []],
      ...application.jobs.map(({ command }) => command),
    ];
    for (const [, file = ""] of commands) assert.ok(files.includes(file), file);
  });

  it("O6: gets every variable that the programs read, its own too", () => {
    const [member] = topology.tiers.web ?? [];
    assert.ok(web && member);
    const variables = instanceVariables(given, web, member);
    const read = ["serve.py", "database.py", "notes.py", "sweep.py", "trash.py"].flatMap(readIn);
    assert.ok(read.length > 8, `${read}`);
    for (const name of read) assert.ok(name in variables, name);
    assert.equal(variables.TITLE, "Our notes");
    const migration = migrationVariables(given);
    assert.deepEqual(readIn("migrate.py"), ["DATABASE_URL"]);
    for (const name of readIn("migrate.py")) assert.ok(name in migration, name);
  });

  it("O6: limits bodies and time at HAProxy as the program does", () => {
    const [, megabytes] =
      /^BIGGEST_BODY = (\d+) \* 1024 \* 1024/m.exec(readProjectFile(`${folder}/serve.py`)) ?? [];
    assert.equal(web?.bodyLimitMegabytes, Number(megabytes));
    const [, wait] = /^WRITE_SECONDS = (\d+)/m.exec(readProjectFile(`${folder}/database.py`)) ?? [];
    assert.ok((web?.responseSeconds ?? 0) > Number(wait) + 5);
  });
});

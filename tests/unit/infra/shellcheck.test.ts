import assert from "node:assert/strict";
import type { JobDescription } from "../../../infra/application/description.ts";
import { renderJob } from "../../../infra/application/job.ts";
import { serviceFiles } from "../../../infra/platform/docker/s6.ts";
import type { Workload } from "../../../infra/platform/platform.ts";
import { readProjectFile, root } from "../../../lib/paths.ts";
import { mustRun } from "../../../lib/run.ts";
import { type Container, start } from "../../support/unit/containers.ts";
import { imageFor } from "../../support/unit/images.ts";
import { recordMachines } from "../../support/unit/machine-stack.ts";
import type { Recording } from "../../support/unit/mocks.ts";
import { describeStack, recordStack } from "../../support/unit/stack.ts";

/** One of no application that is shipped. */
const job: JobDescription = {
  name: "tidy",
  tier: "web",
  command: ["tidy", "it's"],
  dailyAt: "03:15",
  limitSeconds: 60,
};

/** A shell text, and whose it is. */
type Texts = Map<string, string>;

/** What is meant where shellcheck warns. */
const exclusions: Readonly<Record<string, string>> = {
  SC1003: "quotes within quotes, as quote() writes them",
  SC1091: "what is read there is the machine's own",
  SC2015: "conditions that are joined, not branches",
  SC2016: "text for a shell or a program of its own, which expands it",
  SC2094: "users of etcd that are called what the files with their passwords are called",
  SC2317: "functions that each delivery has, whether it needs them or not",
};

/** A task ends with the first of its commands that fails. */
const inTask = (script: string) => `set -eu\n${script}`;

/** Shell texts inside of what commands ask for: checks, health, scripts of tasks. */
function commandTexts(recording: Recording, platform: string): Texts {
  const texts: Texts = new Map();
  for (const { name, inputs } of recording.ofType("Command")) {
    const { REQUEST } = (inputs.environment ?? {}) as Record<string, string>;
    const { health, files = {}, script } = JSON.parse(REQUEST ?? "{}");
    if (script !== undefined) texts.set(`${platform} ${name} script`, inTask(script));
    if (health !== undefined) texts.set(`${platform} ${name} health`, health.command);
    for (const [path, { check }] of Object.entries<{ check?: string }>(files)) {
      if (check !== undefined) texts.set(`${platform} ${name} ${path} check`, check);
    }
  }
  return texts;
}

/** Those that are files or commands inside of a workload's description. */
function workloadTexts({ host, processes, files, health }: Workload): Texts {
  const texts: Texts = new Map(health ? [[`${host.name} health`, health.command]] : []);
  for (const { path, content, check } of [...files, ...serviceFiles(processes)]) {
    if (content.startsWith("#!/bin/sh")) texts.set(`${host.name} ${path}`, content);
    if (check !== undefined) texts.set(`${host.name} ${path} check`, check);
  }
  return texts;
}

/** Shell files of the project, by their first line or their folder. */
async function trackedFiles(): Promise<Texts> {
  const listed = await mustRun(["git", "-C", root, "ls-files"]);
  const paths = listed.split("\n").filter((path) => path && !/\.\w+$/.test(path));
  const texts = paths.map((path): [string, string] => [path, readProjectFile(path)]);
  return new Map(texts.filter(([, text]) => /^#(!.*\b(ba)?sh\b| shellcheck shell=sh)/.test(text)));
}

async function allTexts(): Promise<Texts> {
  const { workloads, tasks } = await describeStack();
  return new Map([
    ...commandTexts(await recordStack(), "docker"),
    ...commandTexts(await recordMachines(), "ssh"),
    ...workloads.flatMap((workload) => [...workloadTexts(workload)]),
    ...tasks.map(({ name, script }): [string, string] => [`task ${name}`, inTask(script)]),
    ["a job", renderJob(job)],
    ...(await trackedFiles()),
  ]);
}

describe("shellcheck", function () {
  this.timeout(300_000);
  let linter: Container;

  before(async function () {
    this.timeout(900_000);
    const image = await imageFor({ component: "Shellcheck", packages: ["shellcheck"] });
    linter = await start(image, "shellcheck");
  });
  after(() => linter?.remove());

  /** @returns what it finds, as `NAME: line N: CODE what` */
  async function lint(texts: Texts): Promise<string[]> {
    const different = new Map([...texts].map(([name, text]) => [text, name]));
    const names = [...different.values()];
    const unpack = `rm -rf /tmp/texts && mkdir /tmp/texts && cd /tmp/texts &&
      perl -ne '($name, $hex) = split; open F, ">", $name; print F pack "H*", $hex; close F'`;
    const lines = [...different.keys()].map(
      (text, index) => `${index} ${Buffer.from(text).toString("hex")}\n`,
    );
    await linter.run(unpack, lines.join(""));
    const excluded = Object.keys(exclusions).map((code) => `--exclude=${code}`);
    const words = ["--format=gcc", ...excluded];
    const { stdout } = await linter.attempt(
      `cd /tmp/texts && for text in *; do
        shell=sh; head -n 1 "$text" | grep -q '^#!.*bash' && shell=bash
        shellcheck ${words.join(" ")} --shell=$shell "$text"
      done`,
    );
    return stdout
      .split("\n")
      .filter(Boolean)
      .map((line) => line.replace(/^\d+/, (index) => names[Number(index)] ?? index));
  }

  it("finds what is wrong", async () => {
    const [found = ""] = await lint(new Map([["wrong", "echo $(ls *.txt\n"]]));
    assert.match(found, /^wrong:1:/);
  });

  it("has nothing to say about any shell text of the project", async () => {
    const texts = await allTexts();
    for (const name of [
      ".ci/run",
      "lab/machine/init",
      "infra/platform/programs/place",
      "ssh db-1 health",
    ]) {
      assert.ok(texts.has(name), name);
    }
    assert.deepEqual(await lint(texts), []);
  });
});

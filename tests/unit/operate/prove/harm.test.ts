import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cutScript, healAllScript, mendAll, pauseMachine } from "../../../../operate/prove/harm.ts";
import { openStack } from "../../../../operate/stack.ts";

describe("a machine that is cut off", () => {
  it("from some neither hears nor tells them anything", () => {
    assert.equal(
      cutScript({ addresses: ["10.2.0.21", "10.2.0.22"] }, "inet of-this-cut"),
      `nft -f - << END
table inet of-this-cut {
  chain into {
    type filter hook input priority -200;
    iif lo accept
    tcp dport { 22 } accept
    ip saddr { 10.2.0.21, 10.2.0.22 } drop
  }
  chain out {
    type filter hook output priority -200;
    oif lo accept
    tcp sport { 22 } accept
    ip daddr { 10.2.0.21, 10.2.0.22 } drop
  }
}
END`,
    );
  });

  it("from all can still be logged in to, so that it can be mended", () => {
    const script = cutScript({ all: true }, "inet of-this-cut", "22, 2222");
    assert.match(script, /tcp dport { 22, 2222 } accept\n {4}drop\n/);
    assert.match(script, /tcp sport { 22, 2222 } accept\n {4}drop\n/);
  });

  it("has a table of its own, so that what mends it late leaves the next one alone", () => {
    const tables = [1, 2].map(() => /^table .*$/m.exec(cutScript({ all: true }))?.[0]);
    assert.match(tables[0] ?? "", /^table inet hastack_prove_[0-9a-f]{8} \{$/);
    assert.notEqual(tables[0], tables[1]);
  });

  it("in one direction alone has nothing in the way of the other", () => {
    const [into, out] = [
      cutScript({ all: true, direction: "in" }),
      cutScript({ all: true, direction: "out" }),
    ];
    assert.ok(into.includes("chain into") && !into.includes("chain out"));
    assert.ok(out.includes("chain out") && !out.includes("chain into"));
  });
});

describe("a machine that is paused", () => {
  const path = process.env.PATH;
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "hastack-docker-"));
    process.env.PATH = `${folder}:${path}`;
  });
  afterEach(() => {
    process.env.PATH = path;
    rmSync(folder, { recursive: true });
  });

  /** A `docker` that notes what it is asked for. @param says shell text that follows */
  const pretend = (says: string) =>
    writeFileSync(join(folder, "docker"), `#!/bin/sh\necho "$*" >> ${folder}/asked\n${says}\n`, {
      mode: 0o755,
    });
  const asked = () => readFileSync(join(folder, "asked"), "utf8").trim().split("\n");

  it("goes on once it is mended", async () => {
    pretend("exit 0");
    const mend = await pauseMachine("db-1");
    await mend();
    assert.deepEqual(asked(), ["pause db-1", "unpause db-1"]);
  });

  it("is said to hang still where it cannot be mended", async () => {
    pretend('[ "$1" = pause ] || { echo "the engine is busy" >&2; exit 1; }');
    const mend = await pauseMachine("db-1");
    await assert.rejects(mend, /^Error: db-1 still hangs: the engine is busy$/);
    pretend('echo "Container db-1 is not paused" >&2; exit 1');
    await mend();
  });

  it("goes on where a proof that was cut off left it so, as one that is down is started, and one that is gone left alone", async () => {
    pretend(`case "$*" in
  *State.Status*-db-1) echo paused ;;
  *State.Status*-db-2) echo exited ;;
  *State.Status*-lb-1) echo "no such container" >&2; exit 1 ;;
  *State.Status*) echo running ;;
  *.Image*-lb-1*-lb-2) echo sha256:of-lb-2; echo "no such container" >&2; exit 1 ;;
esac`);
    await mendAll(openStack("dev"));
    const done = asked().filter((one) => /^(?:un)?pause|^start/.test(one));
    assert.deepEqual(done.toSorted(), ["start hastack-dev-db-2", "unpause hastack-dev-db-1"]);
    const healed = asked().flatMap(
      (one) => /network=container:hastack-dev-(\S+)/.exec(one)?.[1] ?? [],
    );
    assert.ok(healed.includes("db-1") && healed.includes("lb-2"), healed.join());
    assert.ok(!healed.includes("db-2") && !healed.includes("lb-1"), healed.join());
    assert.ok(asked().some((one) => one.includes("--entrypoint=sh sha256:of-lb-2 -c")));
  });

  it("goes on at once where it was not paused for certain", async () => {
    pretend('[ "$1" = unpause ] || { echo "no answer" >&2; exit 1; }');
    await assert.rejects(pauseMachine("db-1"), /no answer/);
    assert.deepEqual(asked(), ["pause db-1", "unpause db-1"]);
  });
});

describe("what a proof that was cut off has left", () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "hastack-nft-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it("is taken away, and nothing else", () => {
    const nft = `#!/bin/sh
echo "$*" >> ${folder}/asked
[ "$1" = delete ] || printf 'table inet %s\\n' firewall hastack_prove_0123abcd hastack_prove_x hastack_prove_89efcdab`;
    writeFileSync(join(folder, "nft"), nft, { mode: 0o755 });
    const env = { ...process.env, PATH: `${folder}:${process.env.PATH}` };
    execFileSync("sh", ["-ec", healAllScript], { env });
    assert.deepEqual(readFileSync(join(folder, "asked"), "utf8").trim().split("\n"), [
      "list tables",
      "delete table inet hastack_prove_0123abcd",
      "delete table inet hastack_prove_89efcdab",
    ]);
  });
});

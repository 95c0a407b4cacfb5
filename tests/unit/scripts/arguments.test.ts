import assert from "node:assert/strict";
import {
  bareStack,
  changesStack,
  namedStack,
  readCall,
  stackUse,
} from "../../../scripts/launcher/arguments.ts";

const words = (line: string) => line.split(" ").filter(Boolean);

describe("launcher: reading a pulumi command line", () => {
  for (const [line, command, stack] of [
    ["up", ["up"], undefined],
    ["up --stack dev --yes", ["up"], "dev"],
    ["up --stack=organization/hastack/lab", ["up"], "lab"],
    ["-s dev up", ["up"], "dev"],
    ["up -sdev", ["up"], "dev"],
    ["stack -s lab output url", ["stack", "output", "url"], "lab"],
    ["--color never -v 3 preview", ["preview"], undefined],
    ["--cwd /x up", ["up"], undefined],
    ["up -- --stack other", ["up"], undefined],
  ] as const) {
    it(line, () => {
      const call = readCall(words(line));
      assert.deepEqual(call.words, command);
      assert.equal(call.stack, stack);
    });
  }

  it("sees --cwd and --config-file", () => {
    const call = readCall(words("up -C /x --config-file=my.yaml"));
    assert.deepEqual([call.cwd, call.configFile], ["/x", "my.yaml"]);
  });

  it("sees that it is about a part of the stack", () => {
    const isPart = (line: string) => readCall(words(line)).isPart;
    for (const line of ["up --target a", "up -t a", "up --target=a", "up --exclude a"])
      assert.ok(isPart(line), line);
    for (const line of ["up --tracing a", "up --yes target"]) assert.ok(!isPart(line), line);
  });
});

describe("launcher: what a command does with the stack", () => {
  for (const [line, use] of [
    ["version", "none"],
    ["", "none"],
    ["plugin ls", "none"],
    ["up --help", "none"],
    ["help up", "none"],
    ["stack ls", "none"],
    ["stack rm dev", "none"],
    ["stack init lab", "creates"],
    ["stack", "uses"],
    ["stack output url", "uses"],
    ["stack select lab", "uses"],
    ["config set a b", "uses"],
    ["up", "changes"],
    ["preview", "changes"],
    ["refresh", "changes"],
    ["destroy", "changes"],
  ] as const) {
    it(`pulumi ${line}: ${use}`, () => assert.equal(stackUse(readCall(words(line))), use));
  }
});

describe("launcher: what takes the stack's lock", () => {
  for (const [line, changes] of [
    ["up", true],
    ["destroy --stack dev", true],
    ["refresh", true],
    ["preview", false],
    ["up --help", false],
    ["stack output", false],
  ] as const) {
    it(`W6: pulumi ${line}: ${changes}`, () =>
      assert.equal(changesStack(readCall(words(line))), changes));
  }
});

describe("launcher: the stack that a command names", () => {
  it("stack select and stack init name it as a word", () => {
    assert.equal(namedStack(readCall(words("stack select organization/hastack/lab"))), "lab");
    assert.equal(namedStack(readCall(words("stack init lab"))), "lab");
  });

  it("stack output's word is no stack", () => {
    assert.equal(namedStack(readCall(words("stack output url"))), undefined);
  });

  it("leaves out organisation and project", () => {
    assert.equal(bareStack("organization/hastack/dev"), "dev");
    assert.equal(bareStack("dev"), "dev");
  });
});

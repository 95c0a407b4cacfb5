/** Parts built here and Pulumi's own, in turn, on one stack: neither sees a change in the other's state. */
import assert from "node:assert/strict";
import { ContainerPlace } from "../support/container-place.ts";
import { timed } from "../support/measure.ts";
import { TestStack } from "../support/test-stack.ts";
import { builtHome, pulumisHome } from "./homes.ts";

const name = "e2e-toolchain";
const stack = new TestStack(name, new ContainerPlace(name));

describe("a stack that is brought up by parts built here, and by Pulumi's own", function () {
  this.timeout("40m");

  let builtParts: string;
  let pulumisParts: string;

  before("build the parts, and see that Pulumi's own are there", async function () {
    builtParts = await timed("parts built here are there", builtHome);
    const found = await pulumisHome();
    if (found === undefined) {
      console.log("      skipped: Pulumi's own parts are not to be had here");
      return this.skip();
    }
    pulumisParts = found;
    await stack.create();
  });
  after("leave nothing, whatever failed", () => stack.destroyAll());

  const noChange = async (what: string, args: readonly string[]) => {
    const { code, stdout, stderr } = await stack.pulumi([...args, "--expect-no-changes"], 300);
    assert.equal(code, 0, `${what}:\n${stdout}${stderr}`);
  };

  async function noChangeUnder(home: string): Promise<void> {
    stack.usePulumi(home);
    await noChange("preview", ["preview", "--diff"]);
    await noChange("refresh", ["refresh", "--preview-only", "--diff"]);
  }

  it("they say what they are", async () => {
    stack.usePulumi(builtParts);
    assert.match(await stack.must(["version"]), /^v3\.\d+\.\d+\+hastack\n$/);
    stack.usePulumi(pulumisParts);
    assert.doesNotMatch(await stack.must(["version"]), /hastack/);
  });

  it("W1: what Pulumi's own brought up is unchanged under those built here", async () => {
    stack.usePulumi(pulumisParts);
    await timed("up by Pulumi's own", () => stack.mustUp());
    await noChangeUnder(builtParts);
  });

  it("W2: those built here change it, and Pulumi's own see nothing to do", async () => {
    stack.usePulumi(builtParts);
    stack.configure({ "hastack:cache": { megabytes: 32 } });
    await timed("up of a change by those built here", () => stack.mustUp());
    await noChangeUnder(pulumisParts);
  });

  it("W4: those built here take away what both made", async () => {
    stack.usePulumi(builtParts);
    await timed("destroy by those built here", () => stack.destroy());
    assert.deepEqual(await stack.place.leftovers(), []);
  });

  it("W1: what those built here brought up from nothing is unchanged under Pulumi's own", async () => {
    await timed("up by those built here", () => stack.mustUp());
    await noChangeUnder(pulumisParts);
    stack.usePulumi(pulumisParts);
    await timed("destroy by Pulumi's own", () => stack.destroy());
    assert.deepEqual(await stack.place.leftovers(), []);
  });
});

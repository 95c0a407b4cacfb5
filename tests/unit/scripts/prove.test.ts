import assert from "node:assert/strict";
import { main } from "../../../scripts/prove.ts";

describe("npm run prove", () => {
  for (const args of [["--runs", "0"], ["--stack", "no-such"], ["--sometimes"], ["a-name"]])
    it(`O2: ends as untold, not as a missed promise, called with ${args.join(" ")}`, async () => {
      assert.equal(await main(args), 2);
    });
});

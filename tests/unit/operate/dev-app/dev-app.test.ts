import assert from "node:assert/strict";
import { describe as describeDevApp, tierFor } from "../../../../operate/dev-app/dev-app.ts";
import { openStack } from "../../../../operate/stack.ts";

describe("dev:app", () => {
  it("W9: takes the first tier that listens, or the one that is named", () => {
    const dev = openStack("dev");
    assert.equal(tierFor(dev).name, "storefront");
    assert.equal(tierFor(dev, "admin").name, "admin");
    assert.throws(
      () => tierFor(dev, "shop"),
      /shop is no tier of travel-agency: there are storefront, admin/,
    );
  });

  it("W9: is refused on machines, with the reason", () => {
    assert.throws(
      () => tierFor(openStack("lab")),
      /stack lab is on machines: .* beside what people use/,
    );
  });

  it("W9: says before on whose data it works", () => {
    const dev = openStack("dev");
    assert.match(describeDevApp(dev, tierFor(dev), 3000), /dev's own database, cache and files/);
  });
});

import assert from "node:assert/strict";
import { addressTable } from "../../../lib/address-table.ts";

describe("npm start: the table of addresses", () => {
  it("shows addresses first, a command instead of a secret, and no structures", () => {
    const table = addressTable(
      {
        machines: [{ name: "lb-1" }],
        adminPassword: "[secret]",
        localUrls: ["http://127.0.0.1:8080", "http://127.0.0.1:8081"],
        url: "http://172.28.10.100",
      },
      "dev",
    );
    assert.equal(
      table,
      [
        "  url            http://172.28.10.100",
        "  localUrls      http://127.0.0.1:8080",
        "                 http://127.0.0.1:8081",
        "  adminPassword  npx pulumi stack output adminPassword --show-secrets --stack dev",
        "",
      ].join("\n"),
    );
  });

  it("is empty for a stack without outputs", () => assert.equal(addressTable({}, "dev"), ""));
});

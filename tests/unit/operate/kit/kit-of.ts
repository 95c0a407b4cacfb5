/** A kit to test with. */
import { format, type Kit } from "../../../../operate/kit/contents.ts";

/** Of the stack `shop` on machines. */
export function kitOf(files: Kit["files"] = {}): Kit {
  return {
    about: {
      what: "recovery kit of hastack",
      format,
      stack: "shop",
      platform: "ssh",
      made: "2026-11-28T01:00:00.000Z",
      by: "ann@desk",
      hastack: { version: "0.1.0", commit: "0123abc", changed: false },
      application: { path: "app", release: "0123456789ab" },
      places: { inventory: ".hastack/inventory/shop.yaml" },
      missing: ["the private key for the machines: ssh finds it by itself on this machine"],
      fingerprint: { settings: "a", machines: "b", secrets: "c" },
    },
    files: { "README.txt": "how\n", ...files },
  };
}

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { baseImage } from "../../../lib/base-image.ts";
import { inRoot } from "../../../lib/paths.ts";
import { bootstrapCommand, mirrorsOf } from "../../../scripts/setup/base-image.ts";

describe("set-up: the base image", () => {
  it("takes the packages from where this machine's apt takes them", () => {
    const targets = [
      "Other|Other|https://packages.example.org/apt/",
      "Debian|Debian|http://mirror.example.org/debian/",
      "Debian|Debian-Security|http://mirror.example.org/security/",
    ].join("\n");
    assert.deepEqual(mirrorsOf(targets), {
      main: "http://mirror.example.org/debian",
      security: "http://mirror.example.org/security",
    });
  });

  it("takes Debian's own mirrors where apt's are another distribution's", () => {
    const mirrors = mirrorsOf("Ubuntu|Ubuntu|http://mirror.example.org/ubuntu/\n");
    assert.equal(mirrors, undefined);
    assert.equal(bootstrapCommand("/t/base.tar", mirrors).at(-1), "/t/base.tar");
  });

  it("is made with updates and security, verified by Debian's keys", () => {
    const mirrors = { main: "http://m/debian", security: "http://m/security" };
    assert.deepEqual(bootstrapCommand("/t/base.tar", mirrors, "/k.gpg"), [
      "mmdebstrap",
      "--variant=minbase",
      "--components=main",
      "--keyring=/k.gpg",
      "--dpkgopt=path-exclude=/usr/share/doc/*",
      "--dpkgopt=path-exclude=/usr/share/man/*",
      "--dpkgopt=path-exclude=/usr/share/info/*",
      "--dpkgopt=path-exclude=/usr/share/locale/*",
      "--dpkgopt=path-include=/usr/share/doc/*/copyright",
      "trixie",
      "/t/base.tar",
      "deb http://m/debian trixie main",
      "deb http://m/debian trixie-updates main",
      "deb http://m/security trixie-security main",
    ]);
  });

  it("is the one that the stack's Dockerfiles stand on", () => {
    const files = readdirSync(inRoot("infra"), { recursive: true })
      .map(String)
      .filter((path) => path.endsWith("Dockerfile"));
    for (const file of files) {
      const from = /^FROM (\S+)/m.exec(readFileSync(inRoot("infra", file), "utf8"))?.[1];
      assert.equal(from, baseImage.name, file);
    }
  });
});

import assert from "node:assert/strict";
import { type Machine, parseOsRelease } from "../../../lib/machine.ts";
import { decideEngine, type EngineFacts } from "../../../scripts/setup/engine.ts";

const debian: Machine = {
  platform: "linux",
  debianLike: true,
  distribution: "debian",
  root: true,
  user: "root",
  systemd: false,
};
const none: EngineFacts = {
  version: undefined,
  client: false,
  daemon: false,
  socket: "absent",
  elsewhere: undefined,
  clientError: "Cannot connect to the Docker daemon",
};
const alice = { ...debian, root: false, user: "alice" };

function refusal(facts: EngineFacts, machine: Machine): string {
  const decision = decideEngine(facts, machine);
  assert.equal(decision.kind, "impossible");
  return decision.kind === "impossible" ? decision.message : "";
}

describe("set-up: what to do about Docker", () => {
  it("nothing when an engine answers, whoever asks", () => {
    assert.deepEqual(decideEngine({ ...none, version: "20.10.24" }, alice), {
      kind: "ready",
      version: "20.10.24",
    });
  });

  it("installs it on a bare Debian as root", () => {
    assert.equal(decideEngine(none, debian).kind, "install");
  });

  it("installs the engine where only a client is there", () => {
    assert.equal(decideEngine({ ...none, client: true }, debian).kind, "install");
  });

  it("starts it where it is installed and does not run, also after a socket was left behind", () => {
    const installed = { ...none, client: true, daemon: true };
    assert.equal(decideEngine(installed, debian).kind, "start");
    assert.equal(decideEngine({ ...installed, socket: "dead" }, debian).kind, "start");
  });

  it("names the socket, the user and the cure where the socket is not allowed", () => {
    const message = refusal({ ...none, client: true, daemon: true, socket: "denied" }, alice);
    assert.match(message, /\/var\/run\/docker\.sock is there, but user alice may not use it/);
    assert.match(message, /usermod -aG docker alice/);
  });

  it("says how to start it to a user who may not", () => {
    const message = refusal({ ...none, client: true, daemon: true }, alice);
    assert.match(message, /user alice may not start it: `sudo systemctl start docker`/);
  });

  it("says how to install it to a user who may not, and on other systems", () => {
    assert.match(refusal(none, alice), /user alice is not root.*sudo apt-get install docker\.io/s);
    const fedora = { ...debian, debianLike: false, distribution: "fedora" };
    assert.match(refusal(none, fedora), /fedora is neither Debian.*docs\.docker\.com/s);
    const mac: Machine = {
      ...alice,
      platform: "darwin",
      debianLike: false,
      distribution: "darwin",
    };
    assert.match(refusal(none, mac), /start Docker Desktop/);
  });

  it("installs the client where only the engine answers", () => {
    assert.equal(
      decideEngine({ ...none, daemon: true, socket: "answers" }, debian).kind,
      "install",
    );
  });

  it("shows the client's own words where it cannot talk to an engine that is there", () => {
    const clientError = "client version 1.50 is too new. Maximum supported API version is 1.41";
    const facts: EngineFacts = { ...none, client: true, daemon: true, socket: "answers" };
    assert.match(refusal({ ...facts, clientError }, debian), /client version 1\.50 is too new/);
  });

  it("installs nothing where the user points to an engine elsewhere", () => {
    const message = refusal({ ...none, client: true, elsewhere: "tcp://10.0.0.1:2375" }, debian);
    assert.match(
      message,
      /no Docker engine answers at tcp:\/\/10\.0\.0\.1:2375.*unset DOCKER_HOST/s,
    );
  });

  it("reads os-release with and without quotes", () => {
    const text = 'PRETTY_NAME="Linux Mint 22"\nID=linuxmint\nID_LIKE="ubuntu debian"\n';
    const { ID, ID_LIKE } = parseOsRelease(text);
    assert.deepEqual([ID, ID_LIKE], ["linuxmint", "ubuntu debian"]);
  });
});

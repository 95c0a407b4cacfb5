/** What is told of a member's processes in a container, by s6. */
import assert from "node:assert/strict";
import { commonFindings, commonQuestions } from "../../../../operate/status/common.ts";
import { type Container, start } from "../../../support/unit/containers.ts";
import { baseImage } from "../../../support/unit/images.ts";
import { recordedStack } from "./recorded-dev.ts";

describe("processes of a member in a container", function () {
  this.timeout(60_000);
  const member = { name: "lb-1", role: "loadBalancer", machine: "lb-1", backend: "10.2.0.11" };
  let container: Container;

  before(async function () {
    this.timeout(600_000);
    container = await start(await baseImage(), "status-processes");
  });
  after(() => container?.remove());

  it("O1: one that died is no drain; one that somebody stopped may be, where nothing holds it", async () => {
    const services = "/srv/services";
    await container.run(`mkdir -p ${services} && cd ${services}
for name in haproxy held keepalived stopped; do
  mkdir $name
  printf '#!/bin/sh\\nexec sleep 99\\n' > $name/run
  # So long it is down once it died
  printf '#!/bin/sh\\nexec sleep 99\\n' > $name/finish
  echo 0 > $name/timeout-finish
  chmod 0755 $name/run $name/finish
done
rm held/finish stopped/finish
setsid s6-svscan ${services} > /dev/null 2>&1 < /dev/null &
for name in haproxy held keepalived stopped; do
  until s6-svok $name; do sleep 0.1; done
  s6-svwait -u -t 9000 $name
done
s6-svc -wd -T 9000 -d stopped
: > held/down
s6-svc -wd -T 9000 -d held
s6-svc -wd -T 9000 -k keepalived`);
    const { processes = "" } = commonQuestions(recordedStack, member);
    const text = await container.run(`cd ${services}/..\n${processes}`);
    assert.deepEqual(text.trim().split("\n"), [
      "haproxy up",
      "held held",
      "keepalived down",
      "stopped stopped",
    ]);
  });

  it("O1: only keepalived is stopped by a drain", () => {
    const since = (line: string) =>
      commonFindings(
        recordedStack,
        member,
        (question) => (question === "processes" ? { code: 0, text: line } : undefined),
        new Date(),
      ).find(({ what }) => what.includes("process "))?.since;
    assert.equal(since("keepalived stopped\n"), "drain");
    for (const line of ["keepalived down\n", "keepalived held\n", "haproxy stopped\n"])
      assert.equal(since(line), undefined, line);
  });
});

/** What `npm run status` says of the running stack. */
import assert from "node:assert/strict";
import { until } from "../../../lib/until.ts";
import type { Picture } from "../../../operate/status/picture.ts";
import { timed } from "../../support/measure.ts";
import { healed, startMember } from "../../support/members.ts";
import type { TestStack } from "../../support/test-stack.ts";

/** Whatever state the stack is in. */
const promisedSeconds = 3;
const lost = "cache-1";

export function statusSuite(stack: TestStack): void {
  describe("status", () => {
    before(() => healed(stack));
    after(() => healed(stack));

    async function look(): Promise<{ code: number; picture: Picture }> {
      const words = ["run", "--silent", "status", "--", "--stack", stack.name, "--json"];
      const { code, stdout, stderr } = await stack.npm(words, 30);
      assert.match(stdout, /^\{/, stderr);
      return { code, picture: JSON.parse(stdout) as Picture };
    }
    const notOk = ({ members }: Picture) =>
      members.filter(({ state }) => state !== "ok").map(({ name }) => name);

    it("O1: is ok with 0, within 3 s, once all is as promised", async () => {
      const { picture } = await until("status is ok", {
        probe: look,
        done: ({ code }) => code === 0,
        describe: ({ picture }) => JSON.stringify([picture.subjects, picture.members]),
        limitSeconds: 30,
      });
      assert.ok(picture.seconds <= promisedSeconds, `${picture.seconds} s`);
      assert.deepEqual(notOk(picture), []);
    });

    it("O1: names a member that is lost and what shares its machine, with 1, within 3 s", async () => {
      await stack.place.lose(lost);
      const { code, picture } = await timed("status without a machine", look).finally(() =>
        startMember(stack, lost),
      );
      assert.equal(code, 1);
      assert.ok(picture.seconds <= promisedSeconds, `${picture.seconds} s`);
      const unreachable = picture.members.filter(({ state }) => state === "unreachable");
      assert.deepEqual(
        unreachable.map(({ name }) => name).toSorted(),
        [...stack.place.sharing(lost)].toSorted(),
      );
    });
  });
}

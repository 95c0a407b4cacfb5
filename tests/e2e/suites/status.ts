/** What `npm run status` says of the running stack. */
import assert from "node:assert/strict";
import { until } from "../../../lib/until.ts";
import type { Picture } from "../../../operate/status/picture.ts";
import { healed, startMember } from "../../support/members.ts";
import { command } from "../../support/operation.ts";
import { slack } from "../../support/promises.ts";
import type { TestStack } from "../../support/test-stack.ts";

/** Whatever state the stack is in: promised are 3 s. */
const mostSeconds = 3 * slack;
const lost = "cache-1";

export function statusSuite(stack: TestStack): void {
  describe("status", () => {
    before(() => healed(stack));
    after(() => healed(stack));

    async function look(): Promise<{ code: number; picture: Picture }> {
      const { code, stdout, stderr } = await command(stack, ["status", "--json"], 30);
      assert.match(stdout, /^\{/, stderr);
      return { code, picture: JSON.parse(stdout) as Picture };
    }
    const unreachable = (members: Picture["members"]) =>
      members
        .filter(({ state }) => state === "unreachable")
        .map(({ name }) => name)
        .toSorted();
    const notOk = ({ members }: Picture) =>
      members.filter(({ state }) => state !== "ok").map(({ name }) => name);

    it("O1: is ok with 0, within its time, once all is as promised", async () => {
      const { picture } = await until("status is ok", {
        probe: look,
        done: ({ code, picture }) => code === 0 && picture.seconds <= mostSeconds,
        describe: ({ picture }) => JSON.stringify([picture.subjects, picture.members]),
        limitSeconds: 240,
      });
      assert.deepEqual(notOk(picture), []);
    });

    it("O1: names a member that is lost and what shares its machine, with 1, within its time", async () => {
      const sharing = [...stack.place.sharing(lost)].toSorted();
      await stack.place.lose(lost);
      await until(`status names ${sharing.join(", ")}`, {
        probe: look,
        done: ({ code, picture: { seconds, members } }) =>
          code === 1 && seconds <= mostSeconds && unreachable(members).join() === sharing.join(),
        describe: ({ code, picture }) =>
          `${code} in ${picture.seconds} s, unreachable: ${unreachable(picture.members)}`,
        limitSeconds: 240,
      }).finally(() => startMember(stack, lost));
    });
  });
}

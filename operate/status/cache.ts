/** The cache answers a login with PONG, or it does not. */
import { cacheHealth } from "../../infra/render/cache.ts";
import { hangs } from "./ask.ts";
import { eachOf, type Judged, type Kind, restartFix } from "./kind.ts";

export const cache: Kind = {
  subject: "cache",
  questions: (_stack, member) => ({ ping: cacheHealth(member) }),

  judge(_stack, asked) {
    const members = eachOf(asked, (one): Judged => {
      const answer = one.answer("ping");
      if (answer?.code === 0) return { is: "answers", findings: [] };
      const what = hangs(answer)
        ? "it takes connections and answers nothing: it hangs"
        : "it does not answer PONG";
      const fix = restartFix(one.member, "the application goes on without it");
      return { is: "silent", findings: [{ state: "down", what, should: "it answers PONG", fix }] };
    });
    const well = [...members.values()].filter(({ findings }) => findings.length === 0).length;
    return { members, is: `${well} of ${asked.length} answers`, findings: [] };
  },
};

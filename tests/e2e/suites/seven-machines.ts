/** The whole stack on seven machines; long runs, for `npm run test:full`. */
import { onlyInFull } from "../../support/full.ts";
import { MachinePlace } from "../../support/machine-place.ts";
import { timed } from "../../support/measure.ts";
import { healed } from "../../support/members.ts";
import { certificateFor, stackFolder, TestStack } from "../../support/test-stack.ts";

const name = "e2e-full";

/**
 * A suite on seven machines of its own, which are there before it and gone after it.
 * @param bare whether it finds them bare; without, the stack serves on them
 */
export function onSevenMachines(
  title: string,
  { bare }: { readonly bare: boolean },
  suites: (stack: TestStack, place: MachinePlace) => void,
): void {
  const place = new MachinePlace(name, {
    layout: "seven",
    networks: ["172.29.30", "172.29.31", "172.29.32"],
    project: stackFolder(name),
  });
  const stack = new TestStack(name, place);

  describe(`lab on seven machines: ${title}`, function () {
    this.timeout("20m");

    before("start the machines", async function () {
      onlyInFull(this);
      await timed("machines started", () => stack.create());
      stack.serveWith(await certificateFor([place.vip, ...place.localHosts]));
      if (bare) return;
      await timed("from bare to serving", () => stack.mustUp());
      await healed(stack);
    });
    after("leave nothing, whatever failed", () => stack.destroyAll());

    suites(stack, place);
  });
}

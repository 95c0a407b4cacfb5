/** Stacks of their own for long runs, of `npm run test:full`: there before the suites, and gone after them. */
import { ContainerPlace } from "../../support/container-place.ts";
import { onlyInFull } from "../../support/full.ts";
import { MachinePlace } from "../../support/machine-place.ts";
import { timed } from "../../support/measure.ts";
import type { Place } from "../../support/place.ts";
import { certificateFor, stackFolder, TestStack } from "../../support/test-stack.ts";

/** What is done before the suites, once the stack's sources and machines are there. */
type Prepare = (stack: TestStack) => Promise<unknown>;

/** The suites find the stack serving. */
export const serving: Prepare = (stack) => timed("up", () => stack.mustUp());

/** The suites themselves bring it up. */
export const bare: Prepare = async () => {};

type Suites<P> = (stack: TestStack, place: P) => void;

/** @param name of the stack */
export function onDocker(
  title: string,
  name: string,
  prepare: Prepare,
  suites: Suites<ContainerPlace>,
): void {
  stackFor(title, name, new ContainerPlace(name), prepare, suites);
}

/**
 * It serves by HTTPS.
 * @param name of the stack, and of its machines
 * @param networks first three numbers of the frontend, the backend and the management network
 */
export function onThreeMachines(
  title: string,
  name: string,
  networks: readonly [string, string, string],
  prepare: Prepare,
  suites: Suites<MachinePlace>,
): void {
  const place = new MachinePlace(name, { layout: "three", networks, project: stackFolder(name) });
  const secured: Prepare = async (stack) => {
    stack.serveWith(await certificateFor([place.vip, ...place.localHosts]));
    await prepare(stack);
  };
  stackFor(title, name, place, secured, suites);
}

function stackFor<P extends Place>(
  title: string,
  name: string,
  place: P,
  prepare: Prepare,
  suites: Suites<P>,
): void {
  const stack = new TestStack(name, place);

  describe(title, function () {
    this.timeout("20m");

    before("make ready", async function () {
      onlyInFull(this);
      await stack.create();
      await prepare(stack);
    });
    after("leave nothing, whatever failed", () => stack.destroyAll());

    suites(stack, place);
  });
}

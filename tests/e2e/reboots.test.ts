/** Three machines that start anew, in every way. */
import { onThreeMachines, serving } from "./suites/full-stack.ts";
import { rebootsSuite, rollingSuite } from "./suites/reboots.ts";

const networks = ["172.29.85", "172.29.86", "172.29.87"] as const;
onThreeMachines("three machines that reboot", "reboots", networks, serving, (stack, place) => {
  rebootsSuite(stack, place);
  rollingSuite(stack, place);
});

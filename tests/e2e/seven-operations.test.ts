/** What an operator does with seven machines: looks, operations, reboots. */
import { bySystemd, driftSuite, unchangedSuite } from "./suites/drift.ts";
import { operationsSuite } from "./suites/operations.ts";
import { rebootsSuite, rollingSuite } from "./suites/reboots.ts";
import { onSevenMachines } from "./suites/seven-machines.ts";
import { statusSuite } from "./suites/status.ts";

onSevenMachines("operations", { bare: false }, (stack, place) => {
  statusSuite(stack);
  driftSuite(stack, bySystemd);
  unchangedSuite(stack, 100);
  operationsSuite(stack);
  rollingSuite(stack, place);
  rebootsSuite(stack, place);
});

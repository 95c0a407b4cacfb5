/** A stack on Docker that sleeps for a quarter of an hour, and that nobody changes by hand. */
import { unchangedSuite } from "./suites/drift.ts";
import { onDocker, serving } from "./suites/full-stack.ts";
import { sleepSuite } from "./suites/sleep.ts";

onDocker("a long sleep on Docker", "sleep", serving, (stack) => {
  sleepSuite(stack, 900);
  unchangedSuite(stack, 100);
});

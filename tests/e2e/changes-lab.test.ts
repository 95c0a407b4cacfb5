/** What changes on a stack on three machines while it is under load; for `npm run test:full`. */
import { brokenReleaseSuite } from "./suites/changes.ts";
import { bySystemd, driftSuite } from "./suites/drift.ts";
import { onThreeMachines, serving } from "./suites/full-stack.ts";
import { operationsSuite } from "./suites/operations.ts";

const networks = ["172.29.24", "172.29.25", "172.29.26"] as const;

onThreeMachines(
  "changes of a stack on three machines",
  "changes-lab",
  networks,
  serving,
  (stack) => {
    driftSuite(stack, bySystemd);
    brokenReleaseSuite(stack);
    operationsSuite(stack);
  },
);

/** What changes on a stack on Docker while it is under load: settings, certificates, operations. */
import { impostersSuite } from "./suites/attacks.ts";
import { cacheFaultsSuite } from "./suites/cache.ts";
import { brokenReleaseSuite, settingsSuite } from "./suites/changes.ts";
import { byS6, driftSuite } from "./suites/drift.ts";
import { onDocker, serving } from "./suites/full-stack.ts";
import { httpsSuite } from "./suites/https.ts";
import { operationsSuite } from "./suites/operations.ts";
import { visitorsSuite } from "./suites/travel.ts";

onDocker("changes of a stack on Docker", "changes", serving, (stack) => {
  impostersSuite(stack);
  cacheFaultsSuite(stack);
  visitorsSuite(stack);
  settingsSuite(stack);
  driftSuite(stack, byS6);
  brokenReleaseSuite(stack);
  httpsSuite(stack);
  operationsSuite(stack);
});

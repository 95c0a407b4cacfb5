/** Releases, settings, certificates and visitors on seven machines. */
import { cacheSuite } from "./suites/cache.ts";
import { brokenReleaseSuite, changesSuite, settingsSuite } from "./suites/changes.ts";
import { httpsSuite } from "./suites/https.ts";
import { onSevenMachines } from "./suites/seven-machines.ts";
import { travelSuite, visitorsSuite } from "./suites/travel.ts";

onSevenMachines("changes", { bare: false }, (stack) => {
  cacheSuite(stack);
  travelSuite(stack);
  visitorsSuite(stack);
  settingsSuite(stack);
  changesSuite(stack);
  brokenReleaseSuite(stack);
  httpsSuite(stack);
});

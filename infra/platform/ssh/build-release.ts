/** Builds and packs the release that the machines are to get, before it is sent to them side by side. */
import { fail, required } from "../../../lib/command.ts";
import { archive } from "./release-archive.ts";

try {
  await archive();
  console.log(`release ${required("RELEASE")} is built`);
} catch (error) {
  fail(error);
}

/** Builds and packs the release that the machines are to get, before it is sent to them side by side. */
import { fail, required } from "../../../lib/command.ts";
import { packedRelease } from "./release-archive.ts";

try {
  packedRelease(required("RELEASE"), required("ARCHITECTURE"));
  console.log(`release ${required("RELEASE")} is built`);
} catch (error) {
  fail(error);
}

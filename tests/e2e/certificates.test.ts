/** The members' certificates of a stack on Docker, renewed and issued by another authority. */
import { certificatesSuite } from "./suites/certificates.ts";
import { onDocker, serving } from "./suites/full-stack.ts";

onDocker("certificates on Docker", "certificates", serving, certificatesSuite);

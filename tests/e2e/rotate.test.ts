/** The passwords of a stack on Docker, replaced under load. */
import { onDocker, serving } from "./suites/full-stack.ts";
import { rotateSuite } from "./suites/rotate.ts";

onDocker("passwords on Docker", "rotate", serving, rotateSuite);

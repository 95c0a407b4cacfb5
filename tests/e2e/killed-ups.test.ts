/** A stack on Docker whose `up`s are killed. */
import { bare, onDocker } from "./suites/full-stack.ts";
import { killedUpsSuite } from "./suites/killed-ups.ts";

onDocker("killed ups on Docker", "killed", bare, killedUpsSuite);

/** The same on three machines. */
import { bare, onThreeMachines } from "./suites/full-stack.ts";
import { killedUpsSuite } from "./suites/killed-ups.ts";

const networks = ["172.29.90", "172.29.91", "172.29.92"] as const;
onThreeMachines("killed ups on three machines", "killed-lab", networks, bare, killedUpsSuite);

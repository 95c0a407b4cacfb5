/** The passwords of a stack on three machines, replaced under load. */
import { onThreeMachines, serving } from "./suites/full-stack.ts";
import { rotateSuite } from "./suites/rotate.ts";

const networks = ["172.29.79", "172.29.80", "172.29.81"] as const;
onThreeMachines("passwords on three machines", "rotate-lab", networks, serving, rotateSuite);

/** The members' certificates on three machines, renewed and issued by another authority. */
import { certificatesSuite } from "./suites/certificates.ts";
import { onThreeMachines, serving } from "./suites/full-stack.ts";

const networks = ["172.29.69", "172.29.70", "172.29.71"] as const;
onThreeMachines(
  "certificates on three machines",
  "certificates-lab",
  networks,
  serving,
  certificatesSuite,
);

/** Numbers that are drawn, and can be drawn again: a run says its seed. */
import { createHash, randomInt } from "node:crypto";

/** Of `HASTACK_TEST_SEED` where it is set. @default another one each time */
export function seedOfRun(): number {
  const given = process.env.HASTACK_TEST_SEED;
  return given === undefined ? randomInt(2 ** 31) : Number(given);
}

/** Numbers from 0 up to 1, always the same ones for a seed. */
export function drawnFrom(seed: number): () => number {
  let turn = 0;
  return () => {
    turn += 1;
    const hash = createHash("sha256").update(`${seed} ${turn}`).digest();
    return hash.readUInt32BE() / 2 ** 32;
  };
}

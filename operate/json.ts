/** JSON that programs and other operators wrote. */
import type { z } from "zod";

/** @returns nothing where it is none of this shape, as when it was cut off */
export function readJson<T extends z.ZodType>(
  text: string | undefined,
  shape: T,
): z.output<T> | undefined {
  try {
    return shape.safeParse(JSON.parse(text ?? "")).data;
  } catch {
    return undefined;
  }
}

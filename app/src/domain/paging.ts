import { z } from "zod";
import { wholeFrom } from "./numbers.ts";
import { idSchema } from "./validation.ts";

/** How long a page of a list is. */
export const limitSchema = z
  .preprocess(
    wholeFrom,
    z
      .number({ error: "limit is a plain number, 1 to 100." })
      .int("limit is a whole number.")
      .min(1, "limit is 1 to 100.")
      .max(100, "limit is 1 to 100."),
  )
  .default(50)
  .meta({ description: "The longest list that is wanted." });

/** Where a page of a list starts, newest first, and how long it is. */
export const pageQuery = z.object({
  limit: limitSchema,
  before: idSchema.optional().meta({ description: "Only what is older than this id." }),
});

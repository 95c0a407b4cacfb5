import { z } from "zod";

/** Where a page of a list starts, and how long it is. */
export const pageQuery = z.object({
  limit: z.coerce.number().int().min(1).max(100).default(50),
  before: z.coerce.number().int().min(1).max(2_147_483_647).optional(),
});

/** Event of a request whose body is not waited for any longer; its listeners get the reason. */
export const bodyGivenUp = "bodyGivenUp";

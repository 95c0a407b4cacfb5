/** What every image of the stack and every stand-in stands on: the one place where it is named. */
export const baseImage = { name: "debian:trixie-slim", suite: "trixie" } as const;

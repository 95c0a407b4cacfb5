/** Whether an archive is the one that its publisher means, by a list of checksums. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";

/** What lists are made with, by the number of hexadecimal digits in a checksum. */
const algorithms: Readonly<Record<number, string>> = { 40: "sha1", 64: "sha256", 128: "sha512" };

/** An archive that is another one than its publisher means: nothing may be tried in its place. */
export class ChecksumError extends Error {}

/** A list of checksums, and the name that a message has for it. */
export interface Checksums {
  readonly list: string;
  readonly origin: string;
}

/** The checksums of a file in a list as sha256sum and its like write it. */
function checksumsOf(list: string, name: string): string[] {
  const rows = list.matchAll(/^([0-9a-f]+) [ *](?:\.\/)?(.+?)\r?$/gim);
  return [...rows].filter((row) => row[2] === name).map(([, sum = ""]) => sum.toLowerCase());
}

/**
 * Compares a file with all that a list says of it.
 * @param name what the list calls the file
 * @returns why nothing is known of it; nothing where it is the right one
 * @throws ChecksumError where it is another one
 */
export async function verify(
  file: string,
  name: string,
  { list, origin }: Checksums,
): Promise<string | undefined> {
  const wanted = checksumsOf(list, name);
  if (wanted.length === 0) return `${origin} has no checksum of ${name}`;
  for (const sum of wanted) {
    const algorithm = algorithms[sum.length];
    if (algorithm === undefined) return `${origin}: ${sum} of ${name} is no checksum`;
    const hash = createHash(algorithm);
    await pipeline(createReadStream(file), hash);
    const found = hash.digest("hex");
    if (found === sum) continue;
    throw new ChecksumError(
      `${name} is not the archive that ${origin} names: its ${algorithm} is ${found} instead of ${sum}. ` +
        "It is damaged or forged, and was not installed. Try again; if that does not help, look at " +
        "the proxy or the mirror that it came through",
    );
  }
  return undefined;
}

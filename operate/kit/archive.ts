/** Several files in one, as `tar` packs them: whoever opens a kit with `age` alone can read it. */

const block = 512;

/** Texts by their names. */
export type Files = Readonly<Record<string, string>>;

/** Files that only their owner may read. @param at when they were made */
export function pack(files: Files, at: Date): Buffer {
  const parts = Object.entries(files).flatMap(([name, text]) => {
    const content = Buffer.from(text);
    const padding = Buffer.alloc((block - (content.length % block)) % block);
    return [header(name, content.length, at), content, padding];
  });
  return Buffer.concat([...parts, Buffer.alloc(2 * block)]);
}

function header(name: string, size: number, at: Date): Buffer {
  const head = Buffer.alloc(block);
  const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, "0")}\0`;
  head.write(name, 0, 100);
  head.write(octal(0o600, 7), 100);
  head.write(octal(0, 7), 108);
  head.write(octal(0, 7), 116);
  head.write(octal(size, 11), 124);
  head.write(octal(Math.floor(at.getTime() / 1000), 11), 136);
  head.write(" ".repeat(8), 148);
  head.write("0", 156);
  head.write("ustar\x0000", 257);
  head.write(`${octal(sumOf(head), 6)} `, 148);
  return head;
}

/** Of all bytes of a header whose own sum is blanks. */
const sumOf = (head: Buffer): number => head.reduce((sum, byte) => sum + byte, 0);

/** @returns nothing where it is no such archive, or not all of one */
export function unpack(archive: Buffer): Files | undefined {
  const files: Record<string, string> = {};
  for (let at = 0; at + block <= archive.length; ) {
    const head = Buffer.from(archive.subarray(at, at + block));
    if (head.every((byte) => byte === 0)) return files;
    const sum = numberAt(head, 148, 8);
    head.fill(" ", 148, 156);
    const size = numberAt(head, 124, 12);
    const start = at + block;
    if (sum !== sumOf(head) || start + size > archive.length) return undefined;
    files[textAt(head, 0, 100)] = archive.toString("utf8", start, start + size);
    at = start + Math.ceil(size / block) * block;
  }
  return undefined;
}

const textAt = (head: Buffer, from: number, length: number): string =>
  head.toString("utf8", from, from + length).split("\0")[0] ?? "";

const numberAt = (head: Buffer, from: number, length: number): number =>
  Number.parseInt(textAt(head, from, length).trim(), 8);

/**
 * Takes everything out of a picture that is not needed to show it: where and when it was taken, by
 * whom and with what, texts, previews, and what follows its end. What is kept is named, what is not
 * known goes. Pixels are not touched, nor are colour profiles; which way up it is stays in the smallest
 * EXIF that can say so.
 */

import { crc32 } from "node:zlib";

/** The bytes are no picture of their kind, or end too early. */
export class BrokenPicture extends Error {}

export type PictureKind = "jpg" | "png" | "gif" | "webp";

export interface BarePicture {
  content: Buffer;
  /** EXIF's word for which way up it is shown, 1 to 8. */
  orientation: number;
}

/** @throws BrokenPicture */
export function removeMetadata(content: Uint8Array, kind: PictureKind): BarePicture {
  const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  try {
    return { jpg, png, gif, webp }[kind](bytes, taker());
  } catch (error) {
    // A length that leads beyond the end
    if (error instanceof RangeError) throw new BrokenPicture("it ends too early");
    throw error;
  }
}

/**
 * More parts than any program writes; millions of them take seconds, in which nothing else is served.
 */
const mostParts = 20_000;

/** Takes a part of the bytes, all of it. @throws BrokenPicture */
type Take = (bytes: Buffer, start: number, length: number) => Buffer;

/** Takes the parts of one picture. */
function taker(): Take {
  let parts = 0;
  return (bytes, start, length) => {
    parts += 1;
    if (parts > mostParts) throw new BrokenPicture(`it has more than ${mostParts} parts`);
    if (start + length > bytes.length) throw new BrokenPicture("it ends too early");
    return bytes.subarray(start, start + length);
  };
}

// EXIF

const orientationTag = 0x0112;

/** What an EXIF block (without its "Exif" heading) says; 1, as it is, where it says nothing useful. */
function orientationOf(tiff: Buffer): number {
  const order = tiff.toString("latin1", 0, 2);
  if (tiff.length < 8 || (order !== "II" && order !== "MM")) return 1;
  const short = (at: number) => (order === "II" ? tiff.readUInt16LE(at) : tiff.readUInt16BE(at));
  const long = (at: number) => (order === "II" ? tiff.readUInt32LE(at) : tiff.readUInt32BE(at));
  const directory = long(4);
  if (directory + 2 > tiff.length) return 1;
  for (let entry = 0; entry < short(directory); entry += 1) {
    const at = directory + 2 + entry * 12;
    if (at + 12 > tiff.length) return 1;
    if (short(at) !== orientationTag) continue;
    // One short number, or browsers do not take it.
    const value = short(at + 2) === 3 && long(at + 4) === 1 ? short(at + 8) : 1;
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}

/** An EXIF block that says which way up a picture is, and nothing else. */
function exifOf(orientation: number): Buffer {
  const tiff = Buffer.alloc(26);
  tiff.write("MM\0*", "latin1");
  tiff.writeUInt32BE(8, 4);
  tiff.writeUInt16BE(1, 8);
  tiff.writeUInt16BE(orientationTag, 10);
  tiff.writeUInt16BE(3, 12);
  tiff.writeUInt32BE(1, 14);
  tiff.writeUInt16BE(orientation, 18);
  return tiff;
}

const exifHeading = "Exif\0\0";

/** Some programs write the heading of JPEG's EXIF in other kinds as well. */
function withoutHeading(exif: Buffer): Buffer {
  return exif.toString("latin1", 0, 6) === exifHeading ? exif.subarray(6) : exif;
}

// JPEG: segments of marker, length and content; after a scan's segment its data, up to a marker

const marker = { tem: 0x01, soi: 0xd8, eoi: 0xd9, sos: 0xda, app0: 0xe0 };
const isRestart = (code: number) => code >= 0xd0 && code <= 0xd7;
/** Frames, scans and the tables that they need. */
const isPixels = (code: number) => code >= 0xc0 && code <= 0xdf;

function jpg(bytes: Buffer, take: Take): BarePicture {
  const kept: Buffer[] = [];
  let orientation: number | undefined;
  let hasScan = false;
  let at = 2;
  while (at < bytes.length) {
    if (bytes[at] !== 0xff) {
      // Between two segments browsers pass over whatever it is.
      at = bytes.indexOf(0xff, at);
      if (at < 0) break;
    }
    const code = bytes.readUInt8(at + 1);
    if (code === 0xff) {
      // Markers may be filled up
      at += 1;
      continue;
    }
    if (code === marker.eoi) break;
    if (code === marker.soi || code === 0) throw new BrokenPicture("a marker is out of place");
    if (isRestart(code) || code === marker.tem) {
      at += 2;
      continue;
    }
    const segment = take(bytes, at, 2 + bytes.readUInt16BE(at + 2));
    if (segment.length < 4) throw new BrokenPicture("a segment is too short");
    at += segment.length;
    const exif = code === marker.app0 + 1 && startsWith(segment, exifHeading);
    if (exif) orientation ??= orientationOf(segment.subarray(4 + exifHeading.length));
    const bare = bareSegment(code, segment);
    if (bare) kept.push(bare);
    if (code !== marker.sos) continue;
    hasScan = true;
    const end = endOfScan(bytes, at);
    kept.push(bytes.subarray(at, end));
    at = end;
  }
  if (!hasScan) throw new BrokenPicture("it ends before its first pixel");
  const start = Buffer.from([0xff, marker.soi]);
  const own = orientation && orientation > 1 ? [exifSegment(orientation)] : [];
  // JFIF's segment wants to be the first
  const first = kept[0]?.[1] === marker.app0 ? 1 : 0;
  const parts = [start, ...kept.slice(0, first), ...own, ...kept.slice(first)];
  return {
    content: Buffer.concat([...parts, Buffer.from([0xff, marker.eoi])]),
    orientation: orientation ?? 1,
  };
}

function startsWith(segment: Buffer, heading: string): boolean {
  return segment.toString("latin1", 4, 4 + heading.length) === heading;
}

function bareSegment(code: number, segment: Buffer): Buffer | undefined {
  if (isPixels(code)) return segment;
  const app = code - marker.app0;
  if (app === 2 && startsWith(segment, "ICC_PROFILE\0")) return segment;
  // Says how its colours are coded
  if (app === 14 && startsWith(segment, "Adobe")) return segment;
  if (app !== 0 || !startsWith(segment, "JFIF\0") || segment.length < 18) return undefined;
  // Without the preview at its end
  const jfif = Buffer.from(segment.subarray(0, 18));
  jfif.writeUInt16BE(16, 2);
  jfif.writeUInt16BE(0, 16);
  return jfif;
}

function exifSegment(orientation: number): Buffer {
  const content = Buffer.concat([Buffer.from(exifHeading, "latin1"), exifOf(orientation)]);
  const head = Buffer.from([0xff, marker.app0 + 1, 0, content.length + 2]);
  return Buffer.concat([head, content]);
}

/** Where the next marker is; the end of a picture that was cut short. */
function endOfScan(bytes: Buffer, start: number): number {
  for (let at = bytes.indexOf(0xff, start); at >= 0; at = bytes.indexOf(0xff, at + 1)) {
    const next = bytes[at + 1];
    if (next === undefined) return at;
    if (next !== 0 && next !== 0xff && !isRestart(next)) return at;
  }
  return bytes.length;
}

// PNG: chunks of length, name, content and checksum

const pngSignature = 8;
/** What decides how it looks: pixels, colours, size on paper, frames of an animation. */
const pngChunks = new Set(
  (
    "IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP cICP mDCV cLLI sBIT bKGD hIST pHYs " +
    "acTL fcTL fdAT"
  ).split(" "),
);

function png(bytes: Buffer, take: Take): BarePicture {
  const kept = [take(bytes, 0, pngSignature)];
  let orientation = 1;
  let hasPixels = false;
  for (let at = pngSignature; ; ) {
    const chunk = take(bytes, at, 12 + bytes.readUInt32BE(at));
    at += chunk.length;
    const name = chunk.toString("latin1", 4, 8);
    if (name === "eXIf") orientation = orientationOf(withoutHeading(chunk.subarray(8, -4)));
    hasPixels ||= name === "IDAT";
    if (pngChunks.has(name)) kept.push(chunk);
    // A capital letter: it cannot be shown without this chunk.
    else if (/^[A-Z]/.test(name)) throw new BrokenPicture("it has an unknown chunk");
    if (name === "IEND") break;
  }
  if (!hasPixels) throw new BrokenPicture("it ends before its first pixel");
  if (orientation > 1) kept.splice(2, 0, pngChunk("eXIf", exifOf(orientation)));
  return { content: Buffer.concat(kept), orientation };
}

function pngChunk(name: string, content: Buffer): Buffer {
  const chunk = Buffer.alloc(12 + content.length);
  chunk.writeUInt32BE(content.length);
  chunk.write(name, 4, "latin1");
  content.copy(chunk, 8);
  chunk.writeUInt32BE(crc32(chunk.subarray(4, -4)), chunk.length - 4);
  return chunk;
}

// GIF: a head with a table of colours, then blocks

const gifBlock = { extension: 0x21, image: 0x2c, end: 0x3b };
const gifExtension = { control: 0xf9, application: 0xff };
/** How often it is repeated, and its colour profile. */
const gifApplications = new Set(["NETSCAPE2.0", "ANIMEXTS1.0", "ICCRGBG1012"]);

function gif(bytes: Buffer, take: Take): BarePicture {
  const head = 13 + gifColours(bytes.readUInt8(10));
  const kept = [take(bytes, 0, head)];
  let hasImage = false;
  // Its last byte is often missing.
  for (let at = head; at < bytes.length && bytes[at] !== gifBlock.end; ) {
    const length = gifBlockLength(bytes, at);
    const block = take(bytes, at, length);
    at += length;
    const isImage = block[0] === gifBlock.image;
    hasImage ||= isImage;
    const application = block.toString("latin1", 3, 14);
    const isKept =
      isImage ||
      block[1] === gifExtension.control ||
      (block[1] === gifExtension.application && gifApplications.has(application));
    if (isKept) kept.push(block);
  }
  if (!hasImage) throw new BrokenPicture("it ends before its first pixel");
  return { content: Buffer.concat([...kept, Buffer.from([gifBlock.end])]), orientation: 1 };
}

/** Bytes of the table of colours that follows, by the flags before it. */
function gifColours(flags: number): number {
  return flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0;
}

function gifBlockLength(bytes: Buffer, at: number): number {
  if (bytes[at] === gifBlock.extension) return 2 + gifDataLength(bytes, at + 2);
  if (bytes[at] !== gifBlock.image) throw new BrokenPicture("it has an unknown block");
  const head = 11 + gifColours(bytes.readUInt8(at + 9));
  return head + gifDataLength(bytes, at + head);
}

/** Pieces with their length before each, up to an empty one. */
function gifDataLength(bytes: Buffer, start: number): number {
  let at = start;
  for (let length = bytes.readUInt8(at); length > 0; length = bytes.readUInt8(at)) at += 1 + length;
  return at + 1 - start;
}

// WebP: chunks of name, length and content inside one of the name RIFF

const webpChunks = new Set(["VP8 ", "VP8L", "VP8X", "ALPH", "ANIM", "ANMF", "ICCP"]);
const frameChunks = new Set(["VP8 ", "VP8L", "ALPH"]);
const webpFlags = { xmp: 0x04, exif: 0x08 };
/** Of a frame's chunk, before the chunks in it. */
const frameHead = 16;

function webp(bytes: Buffer, take: Take): BarePicture {
  const body = take(bytes, 12, bytes.readUInt32LE(4) - 4);
  const all = riffChunks(body, take);
  const exif = all.find(({ name }) => name === "EXIF");
  const orientation = exif ? orientationOf(withoutHeading(exif.content)) : 1;
  const chunks = all.flatMap((chunk) => bareChunk(chunk, take));
  if (!chunks.some(({ name }) => ["VP8 ", "VP8L", "ANMF"].includes(name))) {
    throw new BrokenPicture("it ends before its first pixel");
  }
  const head = chunks.find(({ name }) => name === "VP8X");
  if (head) {
    const flags = head.content.readUInt8(0) & ~(webpFlags.xmp | webpFlags.exif);
    head.content = Buffer.from(head.content);
    head.content.writeUInt8(orientation > 1 ? flags | webpFlags.exif : flags);
    if (orientation > 1) chunks.push({ name: "EXIF", content: exifOf(orientation) });
  }
  const content = Buffer.concat([Buffer.from("WEBP", "latin1"), ...chunks.map(riffChunk)]);
  // Nobody looks for EXIF where the head does not announce it.
  return { content: riffChunk({ name: "RIFF", content }), orientation: head ? orientation : 1 };
}

interface RiffChunk {
  name: string;
  content: Buffer;
}

function riffChunks(body: Buffer, take: Take): RiffChunk[] {
  const chunks: RiffChunk[] = [];
  for (let at = 0; at < body.length; ) {
    const length = body.readUInt32LE(at + 4);
    const name = body.toString("latin1", at, at + 4);
    chunks.push({ name, content: take(body, at + 8, length) });
    // To an even place
    at += 8 + length + (length % 2);
  }
  return chunks;
}

/** The chunk as it is kept, or nothing; of a frame, what shows. */
function bareChunk({ name, content }: RiffChunk, take: Take): RiffChunk[] {
  if (!webpChunks.has(name)) return [];
  if (name !== "ANMF") return [{ name, content }];
  const inside = riffChunks(content.subarray(frameHead), take);
  const frame = inside.filter((chunk) => frameChunks.has(chunk.name)).map(riffChunk);
  if (frame.length === 0) return [];
  return [{ name, content: Buffer.concat([take(content, 0, frameHead), ...frame]) }];
}

function riffChunk({ name, content }: RiffChunk): Buffer {
  const head = Buffer.alloc(8);
  head.write(name, "latin1");
  head.writeUInt32LE(content.length, 4);
  return Buffer.concat([head, content, Buffer.alloc(content.length % 2)]);
}

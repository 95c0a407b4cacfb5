/** Pictures with all that phones, editors and cameras write into them besides the picture. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import type { PictureKind } from "../../src/data/picture-metadata.ts";
import { appDirectory } from "./app.ts";
import { pictures, png } from "./images.ts";

/** What must not be found in anything that is served. */
export const secret = "48.8584N 2.2945E";
export const profile = "the colour profile";

/** A block as cameras write it: the orientation, then what tells on its owner. */
function exif(orientation: number, order: "II" | "MM" = "MM"): Buffer {
  const tiff = Buffer.alloc(8 + 2 + 2 * 12 + 4 + secret.length + 1);
  const big = order === "MM";
  const short = (value: number, at: number) =>
    big ? tiff.writeUInt16BE(value, at) : tiff.writeUInt16LE(value, at);
  const long = (value: number, at: number) =>
    big ? tiff.writeUInt32BE(value, at) : tiff.writeUInt32LE(value, at);
  tiff.write(order, "latin1");
  short(42, 2);
  long(8, 4);
  short(2, 8);
  const entry = (at: number, tag: number, type: number, count: number) => {
    short(tag, at);
    short(type, at + 2);
    long(count, at + 4);
  };
  // Who has the rights, with a text after the directory
  entry(10, 0x010e, 2, secret.length + 1);
  long(38, 18);
  entry(22, 0x0112, 3, 1);
  short(orientation, 30);
  tiff.write(secret, 38, "latin1");
  return tiff;
}

export const latin1 = (text: string) => Buffer.from(text, "latin1");
export function segment(code: number, ...parts: (string | Buffer)[]): Buffer {
  const content = Buffer.concat(
    parts.map((part) => (typeof part === "string" ? latin1(part) : part)),
  );
  const head = Buffer.from([0xff, code, 0, 0]);
  head.writeUInt16BE(content.length + 2, 2);
  return Buffer.concat([head, content]);
}
export function chunk(name: string, content: Buffer): Buffer {
  const whole = Buffer.concat([Buffer.alloc(4), latin1(name), content, Buffer.alloc(4)]);
  whole.writeUInt32BE(content.length);
  whole.writeUInt32BE(crc32(whole.subarray(4, -4)), whole.length - 4);
  return whole;
}
export function riff(name: string, content: Buffer): Buffer {
  const head = Buffer.concat([latin1(name), Buffer.alloc(4)]);
  head.writeUInt32LE(content.length, 4);
  return Buffer.concat([head, content, Buffer.alloc(content.length % 2)]);
}
/** Pieces of a GIF's block. */
const pieces = (text: string) =>
  Buffer.concat([Buffer.from([text.length]), latin1(text), Buffer.from([0])]);

/** A real picture of each kind with all that a phone, an editor and a camera add to it. */
export const laden: Record<PictureKind, (orientation: number) => Promise<Buffer>> = {
  jpg: async (orientation) => {
    const plain = await readFile(join(appDirectory, "sample/fuji.jpg"));
    return Buffer.concat([
      plain.subarray(0, 2),
      segment(0xe0, "JFIF\0\x01\x01\0\0\x01\0\x01\x01\x01", Buffer.from("rgb")),
      segment(0xe1, "Exif\0\0", exif(orientation, "II")),
      segment(0xe1, "http://ns.adobe.com/xap/1.0/\0", `<x>${secret}</x>`),
      segment(0xe2, "ICC_PROFILE\0\x01\x01", profile),
      segment(0xe2, "MPF\0", secret),
      segment(0xeb, "JP", secret),
      segment(0xed, "Photoshop 3.0\0", secret),
      segment(0xfe, secret),
      plain.subarray(2),
      // Another picture after the end, with a place of its own
      Buffer.from([0xff, 0xd8]),
      segment(0xe1, "Exif\0\0", exif(1)),
      latin1(secret),
    ]);
  },
  png: async (orientation) => {
    const plain = png();
    const head = 8 + 25;
    return Buffer.concat([
      plain.subarray(0, head),
      chunk("iCCP", latin1(`icc\0\0${profile}`)),
      chunk("eXIf", exif(orientation)),
      chunk("tEXt", latin1(`Comment\0${secret}`)),
      chunk("zTXt", latin1(`Comment\0\0${secret}`)),
      chunk("iTXt", latin1(`XML:com.adobe.xmp\0\0\0\0\0${secret}`)),
      chunk("tIME", Buffer.from([7, 230, 1, 1, 1, 1, 1])),
      chunk("prVt", latin1(secret)),
      plain.subarray(head),
      latin1(secret),
    ]);
  },
  gif: async () => {
    const plain = pictures.gif?.content as Buffer;
    const head = 13 + 6;
    return Buffer.concat([
      plain.subarray(0, head),
      latin1("!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"),
      Buffer.concat([latin1("!\xff\x0bICCRGBG1012"), pieces(profile)]),
      Buffer.concat([latin1("!\xfe"), pieces(secret)]),
      Buffer.concat([latin1("!\xff\x0bXMP DataXMP"), pieces(secret)]),
      Buffer.concat([latin1("!\x01"), pieces("x".repeat(12)).subarray(0, 13), pieces(secret)]),
      plain.subarray(head),
      latin1(secret),
    ]);
  },
  webp: async (orientation) => {
    const plain = Buffer.from(pictures.webp?.content as Buffer);
    // 2 by 1 pixels, so that one that is turned is told from one that is not
    plain[21] = 1;
    // With a profile, EXIF and XMP
    const head = Buffer.from([0x20 | 0x08 | 0x04, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
    const chunks = [
      riff("VP8X", head),
      riff("ICCP", latin1(profile)),
      plain.subarray(12),
      riff("EXIF", Buffer.concat([latin1("Exif\0\0"), exif(orientation)])),
      riff("XMP ", latin1(secret)),
      riff("priv", latin1(secret)),
    ];
    const body = Buffer.concat([latin1("WEBP"), ...chunks]);
    return Buffer.concat([riff("RIFF", body), latin1(secret)]);
  },
};

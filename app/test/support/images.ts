import { crc32, deflateSync } from "node:zlib";

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}

/** A valid PNG, 2 by 1 pixels, that more data than it needs makes at least `bytes` long. */
export function png(bytes = 0): Buffer {
  const header = Buffer.from([0, 0, 0, 2, 0, 0, 0, 1, 8, 2, 0, 0, 0]);
  const start = Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), chunk("IHDR", header)]);
  const data = chunk("IDAT", deflateSync(Buffer.from([0, 255, 0, 0, 0, 255, 0])));
  const end = chunk("IEND", Buffer.alloc(0));
  const missing = bytes - start.length - data.length - end.length - 12;
  const more = missing < 1 ? [] : [chunk("IDAT", Buffer.alloc(missing, "x"))];
  return Buffer.concat([start, data, ...more, end]);
}

/** Small, whole pictures of each allowed kind, 1 by 1 pixels but for the PNG. */
export const pictures: Record<string, { content: Buffer; type: string }> = {
  png: { content: png(), type: "image/png" },
  gif: {
    content: Buffer.from("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7", "base64"),
    type: "image/gif",
  },
  webp: {
    content: Buffer.from("UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==", "base64"),
    type: "image/webp",
  },
  jpg: {
    content: Buffer.from(
      "/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAP//////////////////////////////////////////////////////////////////////////////////////wgALCAABAAEBAREA/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAAgBAQABPxD/2Q==",
      "base64",
    ),
    type: "image/jpeg",
  },
};

/** A form as the API takes it. */
export function form(
  fields: Record<string, string>,
  image?: { content: Uint8Array; name?: string },
): FormData {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) data.set(name, value);
  if (image) data.set("image", new Blob([new Uint8Array(image.content)]), image.name ?? "p.png");
  return data;
}

import { createHash, randomBytes } from "node:crypto";
import { chmod, readFile, writeFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { basename, join } from "node:path";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import busboy from "busboy";
import { imageSize } from "image-size";
import { bodyGivenUp } from "../lib/body-given-up.ts";
import { HttpError } from "../lib/errors.ts";
import {
  type BarePicture,
  BrokenPicture,
  type PictureKind,
  removeMetadata,
} from "./picture-metadata.ts";
import {
  closeLater,
  isStoreHung,
  onStore,
  openStored,
  removeStored,
  renameStored,
  StoreHung,
  syncDirectory,
} from "./store.ts";
import { isHeld, moveToTrash, type PictureStore } from "./trash.ts";
import type { UploadRoom } from "./upload-room.ts";

/** The largest picture, bytes. */
export const maxImageBytes = 5 * 1024 * 1024;

/** A picture of few bytes may claim any size; browsers would try to make room for it. */
const maxSidePixels = 30_000;

/** What the fields and the parts around the file may add to a request, bytes. */
const maxOtherBytes = 64 * 1024;

/** The kinds of picture, by how their bytes begin; the extension is `image-size`'s word as well. */
const kinds: { extension: PictureKind; type: string; start: RegExp }[] = [
  { extension: "png", type: "image/png", start: /^\x89PNG\r\n\cZ\n/ },
  { extension: "jpg", type: "image/jpeg", start: /^\xff\xd8\xff/ },
  { extension: "gif", type: "image/gif", start: /^GIF8[79]a/ },
  { extension: "webp", type: "image/webp", start: /^RIFF.{4}WEBP$/s },
];

/** Names of finished pictures; nothing else in the directory is ever served. */
export const imageName = /^[0-9a-f]{32}\.(png|jpg|gif|webp)$/;

/** Names of files that are still being written. */
export const temporaryName = /^\.upload-[0-9a-f]{32}\.part$/;

/** Type by extension, for the names that `imageName` allows. */
export const imageTypes: Record<string, string> = Object.fromEntries(
  kinds.map(({ extension, type }) => [extension, type]),
);

/** A picture that lies in the uploads directory under its final name. */
export interface StoredImage {
  file: string;
  type: string;
  bytes: number;
  width: number;
  height: number;
  sha256: string;
}

/** A picture that has arrived, under its temporary name. */
export interface Upload {
  /** Of the file and of its room, without an extension. */
  name: string;
  path: string;
  bytes: number;
  sha256: string;
  room: UploadRoom;
  /** There was no room, and nothing was stored: only a repeat can still be answered. */
  refusal?: HttpError;
}

/** A multipart form as it arrived. */
export interface ReceivedForm {
  fields: Record<string, string>;
  /** Absent where the form had no file, or an empty one without a name. */
  upload: Upload | undefined;
}

/** Where a form's picture goes. */
export interface UploadPlace {
  directory: string;
  room: UploadRoom;
  /** The refusal of any file, before a byte of it is stored. @default none */
  noFile?: HttpError | undefined;
  /** Whether the form, by its texts so far, repeats an earlier one, which needs no room to be answered. */
  isRepeat: (fields: Record<string, string>) => Promise<boolean>;
}

interface Receiver extends UploadPlace {
  fields: Record<string, string>;
  name: string;
  /** The most that the file can have. */
  mostBytes: number;
  hasRoom: boolean;
  upload: Promise<Upload> | undefined;
  problem: HttpError | undefined;
}

/**
 * Streams a multipart form with one file (`image`) to a temporary file, for which room is taken first.
 * @param fields filled with the texts as they arrive: what was typed, should the rest not come
 * @throws HttpError 400, 413, 415, 422; 507 where there is no room; 503 for a store that takes nothing
 *   or does not answer. Then nothing is left behind.
 */
export async function receiveForm(
  request: IncomingMessage,
  place: UploadPlace,
  fields: Record<string, string> = {},
): Promise<ReceivedForm> {
  const length = Number(request.headers["content-length"] ?? maxImageBytes);
  if (length > maxImageBytes + maxOtherBytes) throw tooLarge();
  const parser = openParser(request);
  const name = randomBytes(16).toString("hex");
  const receiver: Receiver = {
    ...{ ...place, fields, name, mostBytes: Math.min(length, maxImageBytes) },
    ...{ hasRoom: false, upload: undefined, problem: undefined },
  };
  listen(parser, receiver);
  request.once(bodyGivenUp, (error: HttpError) => {
    receiver.problem ??= error;
  });
  try {
    await feed(request, parser);
    const upload = await receiver.upload;
    if (receiver.problem) throw receiver.problem;
    return { fields: receiver.fields, upload };
  } catch (error) {
    parser.destroy();
    // The store's own error comes first: the parser's only follows from it.
    const cause = await (receiver.upload ?? Promise.resolve()).then(
      () => error,
      (uploadError: unknown) => uploadError,
    );
    if (receiver.hasRoom) await dropUpload(place, name, [temporaryPath(place.directory, name)]);
    throw storeError(receiver.problem ?? cause) ?? asFormError(cause);
  }
}

/** Path of a file that is still being written. */
export function temporaryPath(directory: string, name: string): string {
  return join(directory, `.upload-${name}.part`);
}

/** How long an answer waits for what is cleaned up, milliseconds: store and database may be lost. */
const cleanUpMs = 1000;

/** Removes an upload's files, and gives its room back. What cannot be removed is left to the sweeper. */
async function dropUpload(
  { room }: Pick<UploadPlace, "room">,
  name: string,
  paths: readonly string[],
): Promise<void> {
  const remove = async (isPatient: boolean) => {
    const gone = await Promise.all(paths.map((path) => removeStored(path, { isPatient })));
    await room.leave(name, gone.every(Boolean));
    return gone.every(Boolean);
  };
  // Once more, as soon as a store that hangs answers again
  const dropped = remove(false).then((isGone) => {
    if (!isGone) void remove(true);
  });
  await Promise.race([dropped, sleep(cleanUpMs, undefined, { ref: false })]);
}

/** Does what comes before a form's picture is kept. Where that fails, nothing is left of the picture. */
export async function orDrop<T>({ upload }: ReceivedForm, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (upload && !upload.refusal) await dropUpload(upload, upload.name, [upload.path]);
    throw error;
  }
}

/** Not `pipeline`: that would close the client's connection before it can read why. */
async function feed(request: IncomingMessage, parser: busboy.Busboy): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      const closed = () => request.complete || reject(new Error("it was cut short"));
      parser.once("close", resolve).once("error", reject);
      request.once("error", reject).once("close", closed).once(bodyGivenUp, reject);
      // The client may have gone before anybody listened.
      if (request.destroyed) throw new Error("it was cut short");
      request.pipe(parser);
    });
  } finally {
    request.unpipe(parser);
    // The rest is read and dropped: the client gets to reading the answer, and may go on using the
    // connection.
    request.resume();
  }
}

function openParser(request: IncomingMessage): busboy.Busboy {
  if (!/^multipart\/form-data\b/i.test(request.headers["content-type"] ?? "")) {
    throw new HttpError(
      415,
      "unsupported-media-type",
      "Send the text and the image as multipart/form-data.",
    );
  }
  try {
    return busboy({
      headers: request.headers,
      limits: {
        files: 1,
        fields: 10,
        parts: 12,
        fieldSize: 16 * 1024,
        fileSize: maxImageBytes + 1,
      },
    });
  } catch (error) {
    throw asFormError(error);
  }
}

function listen(parser: busboy.Busboy, receiver: Receiver): void {
  const refuse = (problem: HttpError) => {
    receiver.problem ??= problem;
    // Whatever else is to come: a form need not end.
    parser.destroy(receiver.problem);
  };
  parser.on("field", (name, value, { valueTruncated }) => {
    if (valueTruncated) receiver.problem ??= tooLong(name);
    receiver.fields[name] = value;
  });
  parser.on("file", (name, stream, { filename }) => {
    // The parser tells its file what ends it, also one that nobody reads.
    stream.on("error", () => {});
    if (name !== "image" || filename === undefined || filename === "") {
      stream.resume();
      return;
    }
    if (receiver.noFile) return refuse(receiver.noFile);
    receiver.upload = writeTemporary(stream, receiver);
    // A failure stops the parser at once instead of reading megabytes for nothing.
    receiver.upload.catch((error: Error) => parser.destroy(error));
  });
  parser.on("filesLimit", () => {
    receiver.problem ??= new HttpError(422, "too-many-files", "Send one image.");
  });
  const stop = () => refuse(new HttpError(413, "too-large", "The form has more than 10 fields."));
  parser.on("fieldsLimit", stop).on("partsLimit", stop);
}

async function writeTemporary(
  stream: Readable & { truncated?: boolean | undefined },
  receiver: Receiver,
): Promise<Upload> {
  const { directory, name, mostBytes, room, isRepeat, fields } = receiver;
  const path = temporaryPath(directory, name);
  if (isStoreHung()) throw new StoreHung();
  const refusal = await refusalOf(room.take(name, mostBytes));
  if (refusal) {
    if (!(await isRepeat(fields))) throw refusal;
    return { name, path, ...(await digest(stream, async () => {})), room, refusal };
  }
  receiver.hasRoom = true;
  const handle = await openStored(path, "wx", 0o644);
  try {
    const read = await digest(stream, (chunk) => onStore(() => handle.writeFile(chunk)));
    // A row must never outlive its file.
    await onStore(() => handle.sync());
    return { name, path, ...read, room };
  } finally {
    closeLater(handle);
  }
}

/** Nothing where there is room; else why not. */
async function refusalOf(taken: Promise<void>): Promise<HttpError | undefined> {
  try {
    await taken;
    return undefined;
  } catch (error) {
    if (error instanceof HttpError && error.status === 507) return error;
    throw error;
  }
}

/** Reads a file to its end. @throws HttpError 413 */
async function digest(
  stream: Readable & { truncated?: boolean | undefined },
  write: (chunk: Buffer) => Promise<void>,
): Promise<Pick<Upload, "bytes" | "sha256">> {
  const hash = createHash("sha256");
  let bytes = 0;
  // The parser's limit is one byte more, which it says as soon as that byte is there.
  stream.once("limit", () => stream.destroy(tooLarge()));
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    hash.update(chunk);
    bytes += chunk.length;
    await write(chunk);
  }
  if (stream.truncated) throw tooLarge();
  return { bytes, sha256: hash.digest("hex") };
}

/** A picture that was kept, and how to take it back. */
export interface KeptImage extends StoredImage {
  /** Removes the file, and gives its room back. Never fails. */
  drop: () => Promise<void>;
  /** Nothing was kept, for want of room: only a repeat can still be answered. */
  refusal?: HttpError;
}

/**
 * Looks at a received picture's bytes and gives it its final, unguessable name, durably.
 * @throws HttpError 415 not an allowed picture, 422 no picture; then nothing is left behind
 */
export async function keepImage(form: ReceivedForm, directory: string): Promise<KeptImage> {
  const { upload } = form;
  if (!upload) throw new HttpError(422, "image-missing", "Choose a picture: image is missing.");
  const { name, path, sha256, bytes, refusal } = upload;
  if (refusal) {
    const nothing = { file: "", type: "", width: 0, height: 0, drop: async () => {} };
    return { ...nothing, bytes, sha256, refusal };
  }
  const paths = [path];
  try {
    const { content, extension, type, width, height } = inspect(
      await onStore(() => readFile(path)),
    );
    const file = `${name}.${extension}`;
    await onStore(() => writeFile(path, content, { flush: true }));
    await onStore(() => chmod(path, bareMode));
    const final = join(directory, file);
    paths.push(final);
    await renameStored(path, final);
    await syncDirectory(directory);
    const drop = () => dropUpload(upload, name, [final]);
    return { file, type, width, height, bytes: content.length, sha256, drop };
  } catch (error) {
    await dropUpload(upload, name, paths);
    throw storeError(error) ?? error;
  }
}

/** The mode of pictures that hold nothing but the picture. Those of releases before may be written. */
export const bareMode = 0o444;

/** A stored picture that was kept as it came: what is not needed to show it is taken out. */
export async function bareStored(directory: string, file: string): Promise<void> {
  const { content } = inspect(await onStore(() => readFile(join(directory, file))));
  await storeAgain(directory, file, content);
}

/**
 * Puts a file in a stored picture's place, which `bareMode` marks as looked at. It need not be ours: another
 * tier's could not be marked where it is.
 */
export async function storeAgain(
  directory: string,
  file: string,
  content: Uint8Array,
): Promise<void> {
  const temporary = temporaryPath(directory, randomBytes(16).toString("hex"));
  try {
    await onStore(() => writeFile(temporary, content, { flag: "wx", flush: true }));
    // Not while it is made: a umask would take some of it away.
    await onStore(() => chmod(temporary, bareMode));
    await renameStored(temporary, join(directory, file));
  } catch (error) {
    await removeStored(temporary);
    throw error;
  }
}

/** What a picture is, whatever its name said. */
export interface Inspected {
  extension: string;
  type: string;
  /** As it is seen: the right way up. */
  width: number;
  height: number;
  /** The picture and nothing else: not where it was taken, nor by whom. */
  content: Buffer;
}

/** Looks at a picture's bytes. @throws HttpError 415 not an allowed picture, 422 a broken one */
export function inspect(content: Uint8Array): Inspected {
  const start = Buffer.from(content.subarray(0, 12)).toString("latin1");
  const kind = kinds.find((one) => one.start.test(start));
  if (!kind) throw noImage();
  const { extension, type } = kind;
  const { content: bare, orientation } = withoutMetadata(content, extension);
  // Of what is kept: what was taken out may hold a size of its own, and may be long.
  const size = sizeOf(bare);
  if (size?.type !== extension || !size.width || !size.height) throw noImage();
  if (Math.max(size.width, size.height) > maxSidePixels) {
    const limit = `The picture is wider or higher than ${maxSidePixels} pixels.`;
    throw new HttpError(422, "image-too-wide", limit);
  }
  // Browsers show a WebP as its pixels are, whatever its EXIF says.
  const isTurned = orientation >= 5 && extension !== "webp";
  const [width, height] = isTurned ? [size.height, size.width] : [size.width, size.height];
  return { extension, type, width, height, content: bare };
}

function noImage(): HttpError {
  const help = "This file is not a PNG, JPEG, GIF or WebP picture.";
  return new HttpError(415, "not-an-image", help);
}

function sizeOf(content: Uint8Array): ReturnType<typeof imageSize> | undefined {
  try {
    return imageSize(content);
  } catch {
    return undefined;
  }
}

function withoutMetadata(content: Uint8Array, extension: PictureKind): BarePicture {
  try {
    return removeMetadata(content, extension);
  } catch (error) {
    if (!(error instanceof BrokenPicture)) throw error;
    // What has no size is taken for no picture at all.
    if (!sizeOf(content)?.width) throw noImage();
    throw new HttpError(422, "image-broken", `The picture is broken: ${error.message}.`);
  }
}

/**
 * Moves a picture whose row has gone to the trash, or removes it where nothing is kept, and gives its room
 * back. Never fails: what cannot be done now is left to the sweeper.
 * @param path in the shared directory
 */
export async function removePicture(
  room: UploadRoom,
  { directory, keepDays }: PictureStore,
  path: string,
): Promise<void> {
  const remove = async () => {
    if (await isHeld(directory)) return;
    if (keepDays === 0) {
      await dropUpload({ room }, nameOfPicture(basename(path)), [join(directory, path)]);
    } else if (await room.hasTrash()) {
      const [became] = await moveToTrash(directory, [path]);
      if (became !== "stuck") await room.trash(path);
    }
  };
  const removed = remove().catch(() => {});
  await Promise.race([removed, sleep(cleanUpMs, undefined, { ref: false })]);
}

/** Of a file and of its room: without the extension. */
export function nameOfPicture(file: string): string {
  return file.slice(0, 32);
}

/** All names that an upload's finished picture may have. */
export function picturesOfUpload(name: string): string[] {
  return kinds.map(({ extension }) => `${name}.${extension}`);
}

const fullCodes = new Set(["ENOSPC", "EDQUOT"]);
const brokenCodes = new Set(
  "EROFS EACCES EPERM ENOENT ENOTDIR EIO ESTALE ENOTCONN ETIMEDOUT EMFILE ENFILE".split(" "),
);

/** The answer for a store that takes no file: 507 full; 503 read-only, hung or out of reach. */
export function storeError(error: unknown): HttpError | undefined {
  if (error instanceof HttpError) return error;
  const code = (error as NodeJS.ErrnoException).code ?? "";
  if (fullCodes.has(code)) {
    return new HttpError(507, "storage-full", "There is no room left for pictures.", 300);
  }
  // Linux's answer to what waited for an NFS server that was given up has no name
  if (brokenCodes.has(code) || code.startsWith("Unknown system error")) {
    return new HttpError(
      503,
      "storage-unavailable",
      "Pictures cannot be stored at the moment.",
      30,
    );
  }
  return undefined;
}

/** What is left is the form's own fault: cut short, or not multipart at all. */
function asFormError(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  return new HttpError(400, "bad-form", `The form cannot be read: ${(error as Error).message}.`);
}

function tooLarge(): HttpError {
  return new HttpError(413, "image-too-large", "The picture is larger than 5 MB.");
}

function tooLong(field: string): HttpError {
  return new HttpError(422, `${field}-too-long`, `${field} is too long.`);
}

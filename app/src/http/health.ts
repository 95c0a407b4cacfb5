import { constants } from "node:fs";
import { access, statfs } from "node:fs/promises";
import { z } from "zod";
import type { Cache } from "../data/cache.ts";
import type { Database, MemberIdentity, Query } from "../data/database.ts";
import { type UploadUse, uploadUse } from "../data/upload-room.ts";
import { maxImageBytes } from "../data/uploads.ts";
import { countContent } from "../domain/content.ts";
import { showUploads } from "../lib/metrics.ts";
import type { ServerConfig } from "./server-config.ts";

/** Where an instance is in its life. Only `serving` is ready. */
export type Phase = "starting" | "serving" | "draining";

const trouble = z.object({ error: z.string() });
const member = z
  .object({ member: z.string(), inRecovery: z.boolean() })
  .meta({ description: "The database server that answers there." });

/** The body of `/api/health`. */
export const healthSchema = z
  .object({
    status: z
      .enum(["ok", "degraded", "starting", "draining"])
      .meta({ description: "`degraded`: serving, but a shared dependency is in trouble." }),
    hostname: z.string(),
    release: z.string(),
    role: z.enum(["storefront", "admin"]),
    contentCount: z
      .int()
      .nullable()
      .meta({ description: "Null until it could be counted; then the last count." }),
    database: z.object({ writer: z.union([member, trouble]), reader: z.union([member, trouble]) }),
    cache: z.enum(["ok", "down", "none"]),
    storage: z.object({
      state: z.enum(["ok", "full", "read-only", "unavailable"]),
      freeBytes: z.int().optional().meta({ description: "Absent where the store did not say." }),
      usedBytes: z.int().nullable().meta({
        description: "By all pictures, those under way included. Null until it was asked.",
      }),
      budgetBytes: z.int().nullable().meta({ description: "What they may take." }),
      trashBytes: z.int().nullable().meta({
        description:
          "By removed pictures that a backup may still need; `usedBytes` has none of it.",
      }),
      trashFiles: z.int().nullable().meta({ description: "How many these are." }),
      trashBudgetBytes: z.int().nullable().meta({
        description: "What they may take; more of them stay, and count in `usedBytes`.",
      }),
    }),
    sampledAt: z.iso.datetime().nullable().meta({ description: "Null before the first sample." }),
  })
  .meta({ id: "Health" });

export type HealthReport = z.infer<typeof healthSchema>;
/** How the store itself is. */
type StorageState = Omit<HealthReport["storage"], keyof UploadUse>;
/** A dependency that did not answer the last sample. */
export type Trouble = z.infer<typeof trouble>;

/** Between the end of one sample and the start of the next, milliseconds. */
const sampleEveryMs = 1000;
/** One dependency's answer; a hung one is left behind, and asked again when it has returned. */
const sampleLimitMs = 2000;

const notSampled: Trouble = { error: "not sampled yet" };
const notCounted = {
  ...{ usedBytes: null, budgetBytes: null },
  ...{ trashBytes: null, trashFiles: null, trashBudgetBytes: null },
};

/** Samples the dependencies in the background; reports come from memory, at once. */
export class Health {
  phase: Phase = "starting";
  readonly #config: ServerConfig;
  readonly #database: Database;
  readonly #cache: Cache | undefined;
  #contentCount: number | null = null;
  #writer: MemberIdentity | Trouble = notSampled;
  #reader: MemberIdentity | Trouble = notSampled;
  #storage: StorageState = { state: "unavailable" };
  #uploads: UploadUse | undefined;
  #sampledAt: string | null = null;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  readonly #underWay = new Map<string, Promise<unknown>>();

  constructor(config: ServerConfig, database: Database, cache?: Cache) {
    this.#config = config;
    this.#database = database;
    this.#cache = cache;
  }

  /** 503 only while starting or draining: a shared fault must not take every instance out. */
  get statusCode(): 200 | 503 {
    return this.phase === "serving" ? 200 : 503;
  }

  report(): HealthReport {
    return {
      status: this.#status(),
      hostname: this.#config.instance,
      release: this.#config.release,
      role: this.#config.tier,
      contentCount: this.#contentCount,
      database: { writer: this.#writer, reader: this.#reader },
      cache: this.#cache?.state ?? "none",
      storage: {
        ...this.#storage,
        ...(this.#uploads ?? notCounted),
      },
      sampledAt: this.#sampledAt,
    };
  }

  /** Takes a first sample, whatever it finds, and goes on in the background. */
  async start(): Promise<void> {
    await this.#sample();
    const next = () => {
      if (this.#stopped) return;
      this.#timer = setTimeout(() => void this.#sample().then(next), sampleEveryMs);
    };
    next();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #status(): HealthReport["status"] {
    if (this.phase !== "serving") return this.phase;
    const troubled =
      "error" in this.#writer ||
      "error" in this.#reader ||
      this.#storage.state !== "ok" ||
      this.#cache?.state === "down";
    return troubled ? "degraded" : "ok";
  }

  async #sample(): Promise<void> {
    const [writer, reader, storage, counts] = await Promise.allSettled([
      this.#ask("writer", () => this.#database.inspect("writer")),
      this.#ask("reader", () => this.#database.inspect("reader")),
      this.#ask("storage", () => sampleStorage(this.#config.uploadsDirectory)),
      this.#ask("count", () => this.#database.read(count)),
    ]);
    this.#writer = writer.status === "fulfilled" ? writer.value : troubleOf(writer.reason);
    this.#reader = reader.status === "fulfilled" ? reader.value : troubleOf(reader.reason);
    this.#storage = storage.status === "fulfilled" ? storage.value : { state: "unavailable" };
    if (counts.status === "fulfilled") {
      this.#contentCount = counts.value.content;
      this.#uploads = counts.value.uploads;
      showUploads(counts.value.uploads);
    }
    this.#sampledAt = new Date().toISOString();
  }

  /** Never asks a dependency twice at once: a hung store would eat up every thread. */
  async #ask<T>(name: string, question: () => Promise<T>): Promise<T> {
    if (this.#underWay.has(name)) throw new Error("still no answer");
    const answer = question().finally(() => this.#underWay.delete(name));
    this.#underWay.set(name, answer);
    answer.catch(() => {});
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error("no answer in time")), sampleLimitMs);
    });
    try {
      return await Promise.race([answer, limit]);
    } finally {
      clearTimeout(timer);
    }
  }
}

async function count(query: Query) {
  return { content: await countContent(query), uploads: await uploadUse(query) };
}

function troubleOf(error: unknown): Trouble {
  const { code, message } = error as NodeJS.ErrnoException;
  return { error: code ?? message };
}

async function sampleStorage(directory: string): Promise<StorageState> {
  try {
    const { bavail, bsize } = await statfs(directory);
    const freeBytes = bavail * bsize;
    await access(directory, constants.W_OK);
    return { state: freeBytes < maxImageBytes ? "full" : "ok", freeBytes };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return { state: code === "EROFS" || code === "EACCES" ? "read-only" : "unavailable" };
  }
}

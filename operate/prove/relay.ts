/**
 * A way into a stack from one of the application's machines: connections to where the application connects to,
 * and files where it has its own. The inner networks let nobody else in.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { Duplex } from "node:stream";
import { inRoot } from "../../lib/paths.ts";
import { withCommandOn } from "../attach.ts";
import type { OperatedStack } from "../stack.ts";

/** In Perl, which every Debian has. */
export const program = readFileSync(inRoot("operate/prove/relay.pl"), "utf8");
const headBytes = 9;
/** No frame is longer, here as there. */
const mostBytes = 1 << 20;
/** Of why something failed. */
const mostCharacters = 200;

type Letter = "O" | "D" | "C" | "P" | "G" | "A" | "E";

interface Frame {
  readonly number: number;
  readonly letter: Letter;
  readonly text: Buffer;
}

/** @returns the frames that are whole, and what is left @throws for one that is longer than any is */
export function framesIn(bytes: Buffer): { frames: Frame[]; rest: Buffer } {
  const frames: Frame[] = [];
  let at = 0;
  while (bytes.length - at >= headBytes) {
    const length = bytes.readUInt32BE(at + 5);
    if (length > mostBytes) throw new Error("it says what no relay does");
    const end = at + headBytes + length;
    if (bytes.length < end) break;
    const letter = String.fromCharCode(bytes[at + 4] ?? 0) as Letter;
    frames.push({
      number: bytes.readUInt32BE(at),
      letter,
      text: bytes.subarray(at + headBytes, end),
    });
    at = end;
  }
  return { frames, rest: bytes.subarray(at) };
}

export function frameOf(number: number, letter: Letter, text: string | Buffer = ""): Buffer {
  const body = Buffer.from(text as string);
  const head = Buffer.alloc(headBytes);
  head.writeUInt32BE(number, 0);
  head.write(letter, 4, "latin1");
  head.writeUInt32BE(body.length, 5);
  return Buffer.concat([head, body]);
}

/** Whoever waits for what comes under a number. */
interface Listener {
  hear(letter: Letter, text: Buffer): void;
  lost(why: Error): void;
}

/** Storage that lost a copy answers again after ten seconds. */
const fileMilliseconds = 30_000;

export class Relay {
  readonly machine: string;
  readonly #fileMilliseconds: number;
  readonly #child: ChildProcess;
  readonly #listeners = new Map<number, Listener>();
  #next = 1;
  #rest: Buffer = Buffer.alloc(0);
  #lost: Error | undefined;

  /**
   * @param child that runs the program, with pipes
   * @param limit milliseconds in which a file has to be written or read
   */
  constructor(machine: string, child: ChildProcess, limit = fileMilliseconds) {
    this.machine = machine;
    this.#fileMilliseconds = limit;
    this.#child = child;
    let said = "";
    child.stderr?.on("data", (text) => {
      said = `${said}${text}`.slice(-500);
    });
    child.stdout?.on("data", (bytes: Buffer) => this.#hear(bytes));
    child.stdin?.on("error", () => {});
    child.on("error", (error) => this.#lose(error));
    child.on("close", () => this.#lose(new Error(`${machine}: ${said.trim() || "it is gone"}`)));
  }

  /**
   * Starts one. What it cannot do is told by whatever is asked of it.
   * @param user who it is @default root
   */
  static start(stack: OperatedStack, machine: string, user?: string): Promise<Relay> {
    const become = ["setpriv", `--reuid=${user}`, `--regid=${user}`, "--init-groups"];
    const command = [...(user === undefined ? [] : become), "perl", "-e", program];
    return new Promise((resolve, reject) => {
      withCommandOn(stack, machine, command, false, ([name = "", ...args]) => {
        const child = spawn(name, args, { stdio: "pipe", detached: true });
        resolve(new Relay(machine, child));
        // What the command line needs is there until then
        return new Promise<void>((ended) => child.on("close", () => ended()));
      }).catch(reject);
    });
  }

  get isLost(): boolean {
    return this.#lost !== undefined;
  }

  /**
   * A connection from that machine, for `pg`: it opens once `connect` is called.
   * @param limit milliseconds until the first answer @default none
   */
  socket(limit?: number): RelayedSocket {
    const number = this.#number();
    return new RelayedSocket(limit, {
      open: (listener, target) => {
        this.#listeners.set(number, listener);
        this.#send(number, "O", target);
      },
      send: (bytes) => this.#send(number, "D", bytes),
      close: () => {
        if (this.#listeners.delete(number)) this.#send(number, "C");
      },
    });
  }

  /** Writes a file, on its disk before this ends. @throws where it could not */
  async put(path: string, text: string): Promise<void> {
    await this.#ask("P", `${path}\0${text}`);
  }

  /** @throws where it is not there */
  async get(path: string): Promise<string> {
    return (await this.#ask("G", path)).toString();
  }

  end(): void {
    this.#child.stdin?.end();
    this.#child.kill();
  }

  #number(): number {
    this.#next += 1;
    return this.#next;
  }

  #ask(letter: Letter, text: string): Promise<Buffer> {
    const number = this.#number();
    const limit = this.#fileMilliseconds;
    return new Promise<Buffer>((resolve, reject) => {
      const late = () => reject(new Error(`${this.machine}: no answer in ${limit / 1000} s`));
      const timer = setTimeout(late, limit);
      const end = (act: () => void) => {
        clearTimeout(timer);
        act();
      };
      this.#listeners.set(number, {
        hear: (answer, body) => end(() => (answer === "A" ? resolve(body) : reject(errorOf(body)))),
        lost: (why) => end(() => reject(why)),
      });
      this.#send(number, letter, text);
    }).finally(() => this.#listeners.delete(number));
  }

  #send(number: number, letter: Letter, text: string | Buffer = ""): void {
    if (this.#lost) this.#listeners.get(number)?.lost(this.#lost);
    else this.#child.stdin?.write(frameOf(number, letter, text));
  }

  #hear(bytes: Buffer): void {
    if (this.#lost) return;
    let frames: Frame[];
    try {
      ({ frames, rest: this.#rest } = framesIn(Buffer.concat([this.#rest, bytes])));
    } catch (error) {
      this.#lose(new Error(`${this.machine}: ${(error as Error).message}`));
      this.end();
      return;
    }
    for (const { number, letter, text } of frames) {
      const listener = this.#listeners.get(number);
      // Nothing comes after it
      if (letter === "C") this.#listeners.delete(number);
      listener?.hear(letter, text);
    }
  }

  #lose(why: Error): void {
    this.#lost ??= why;
    for (const listener of this.#listeners.values()) listener.lost(this.#lost);
    this.#listeners.clear();
  }
}

const errorOf = (text: Buffer) => new Error(text.toString().slice(0, mostCharacters));

interface Wire {
  open(listener: Listener, target: string): void;
  send(bytes: Buffer): void;
  close(): void;
}

/** As much of a `net.Socket` as `pg` and TLS need. */
export class RelayedSocket extends Duplex {
  readonly #limit: number | undefined;
  readonly #wire: Wire;
  #silent: NodeJS.Timeout | undefined;

  constructor(limit: number | undefined, wire: Wire) {
    super();
    this.#limit = limit;
    this.#wire = wire;
  }

  connect(port: number, host: string): this {
    const late = () => this.destroy(new Error(`no answer in ${this.#limit} ms`));
    this.#silent = this.#limit === undefined ? undefined : setTimeout(late, this.#limit);
    const hear = (letter: Letter, text: Buffer) => {
      if (letter === "D") clearTimeout(this.#silent);
      if (letter === "O") this.emit("connect");
      else if (letter === "D") this.push(text);
      else if (text.length > 0) this.destroy(errorOf(text));
      else this.#ended();
    };
    this.#wire.open({ hear, lost: (why) => this.destroy(why) }, `${host} ${port}`);
    return this;
  }

  /** Half a connection is of no use: TLS would wait for the other half, and whoever asked for an answer. */
  #ended(): void {
    this.once("end", () => this.destroy());
    this.push(null);
  }

  override _read(): void {}

  override _write(bytes: Buffer, _encoding: string, done: () => void): void {
    this.#wire.send(bytes);
    done();
  }

  override _final(done: () => void): void {
    this.#wire.close();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    clearTimeout(this.#silent);
    this.#wire.close();
    done(error);
  }

  setNoDelay(): this {
    return this;
  }
  setKeepAlive(): this {
    return this;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
}

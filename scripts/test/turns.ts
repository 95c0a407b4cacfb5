/**
 * Turns of whole stacks that are tested side by side on one machine: while one of them is measured,
 * the other does no heavy work, and while one works hard, nothing is measured.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

interface Turn {
  /** What it is a turn at: only turns at the same thing wait for each other. */
  readonly at: string;
  /** Whether nobody else may have a turn meanwhile, or all who are not alone. */
  readonly alone: boolean;
  readonly socket: Socket;
}

/** Gives turns in the order in which they are asked for, each by a connection that holds it. */
export class Turns {
  readonly #folder = mkdtempSync(join(tmpdir(), "hastack-turns-"));
  readonly #server: Server = createServer((socket) => this.#take(socket));
  #held: Turn[] = [];
  #queue: Turn[] = [];

  /** Where turns are asked for, by `THING alone` or `THING together`; the answer is `go`. */
  get path(): string {
    return join(this.#folder, "socket");
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(this.path, resolve));
  }

  stop(): void {
    this.#server.close();
    for (const { socket } of [...this.#held, ...this.#queue]) socket.destroy();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #take(socket: Socket): void {
    socket.on("error", () => {});
    socket.once("data", (text) => {
      const [at = "", how] = String(text).split(" ");
      this.#queue.push({ at, alone: how === "alone", socket });
      this.#grant();
    });
    // Also that of a process which has died
    socket.on("close", () => {
      const others = (turn: Turn) => turn.socket !== socket;
      this.#held = this.#held.filter(others);
      this.#queue = this.#queue.filter(others);
      this.#grant();
    });
  }

  #grant(): void {
    const waiting = this.#queue;
    this.#queue = [];
    for (const turn of waiting) {
      const ahead = [...this.#held, ...this.#queue].filter(({ at }) => at === turn.at);
      if (ahead.some(({ alone }) => alone) || (turn.alone && ahead.length > 0)) {
        this.#queue.push(turn);
        continue;
      }
      this.#held.push(turn);
      turn.socket.write("go");
    }
  }
}

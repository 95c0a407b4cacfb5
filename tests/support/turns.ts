/**
 * This process's turns among the stacks that are tested side by side (scripts/test/turns.ts). Where
 * none other is tested, everything may go on at once.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

const server = process.env.HASTACK_TEST_TURNS;

interface Held {
  /** How much of this process goes on in it. */
  count: number;
  readonly socket: Promise<Socket>;
}

/** Held now, by what they are turns at. */
const held = new Map<string, Held>();

async function ask(path: string, turn: string): Promise<Socket> {
  const start = Date.now();
  const socket = connect(path);
  socket.write(turn);
  await once(socket, "data");
  const seconds = (Date.now() - start) / 1000;
  if (seconds > 1) console.log(`      waited ${seconds.toFixed(0)} s for the other stack`);
  return socket;
}

/** Takes a turn. @returns gives it back */
async function take(at: string, how: "alone" | "together"): Promise<() => Promise<void>> {
  if (server === undefined) return async () => {};
  // Within a turn of its own a process needs no other
  const mine = held.get(at) ?? { count: 0, socket: ask(server, `${at} ${how}`) };
  held.set(at, mine);
  mine.count += 1;
  await mine.socket;
  return async () => {
    mine.count -= 1;
    if (mine.count > 0) return;
    held.delete(at);
    (await mine.socket).destroy();
  };
}

async function during<T>(at: string, how: "alone" | "together", act: () => Promise<T>): Promise<T> {
  const giveBack = await take(at, how);
  try {
    return await act();
  } finally {
    await giveBack();
  }
}

/** Work that keeps the machine busy: nothing is measured meanwhile. */
export const busily = <T>(act: () => Promise<T>): Promise<T> => during("work", "together", act);

/** A measurement: the other stack does nothing heavy meanwhile. */
export const undisturbed = <T>(act: () => Promise<T>): Promise<T> => during("work", "alone", act);

/** The engine is not restarted until what this gives is called. */
export const needEngine = (): Promise<() => Promise<void>> => take("engine", "together");

/** Restarts the engine, say, once no other stack needs it. */
export const withoutOthers = <T>(act: () => Promise<T>): Promise<T> =>
  during("engine", "alone", act);

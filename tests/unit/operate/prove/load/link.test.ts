import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import pg from "pg";
import { keepPassword, readAfter } from "../../../../../operate/prove/load/link.ts";

describe("a server that asks for the password itself", () => {
  const requests = { "in clear": [0, 0, 0, 3], "by MD5": [0, 0, 0, 5, 1, 2, 3, 4] };

  /** @returns what it got after the client's greeting */
  async function toldTo(request: readonly number[], keeps: boolean): Promise<string> {
    const said: Buffer[] = [];
    const server = createServer((socket: Socket) => {
      socket.once("data", () => {
        socket.on("data", (bytes) => said.push(bytes));
        socket.write(Buffer.from([82, 0, 0, 0, 4 + request.length, ...request]));
        setTimeout(() => socket.destroy(), 300);
      });
      socket.on("error", () => {});
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = server.address() as AddressInfo;
    const client = new pg.Client({ host: "127.0.0.1", port, user: "u", password: "secret" });
    client.on("error", () => {});
    if (keeps) keepPassword(client);
    await assert.rejects(client.connect());
    server.close();
    return Buffer.concat(said).toString("latin1");
  }

  for (const [how, request] of Object.entries(requests)) {
    it(`is told nothing: ${how}`, async () => {
      assert.equal(await toldTo(request, true), "");
    });
    it(`would be told otherwise: ${how}`, async () => {
      assert.notEqual(await toldTo(request, false), "");
    });
  }
});

describe("a read of what was written before", () => {
  /** @param has whether the member says that it has applied all */
  async function readAt(has: boolean) {
    const asked: string[] = [];
    const ask = async (text: string) => {
      asked.push(text);
      return text.includes("pg_last_wal_replay_lsn") ? [{ has }] : [{ counter: 7 }];
    };
    const rows = await readAfter(ask, "0/5", "SELECT counter FROM visitor", []);
    return { rows, asked };
  }

  it("asks for the position before, by a statement that reads nothing: one that does both may read what was there before it", async () => {
    const { rows, asked } = await readAt(true);
    assert.deepEqual(rows, [{ counter: 7 }]);
    const [first = "", ...others] = asked;
    assert.match(first, /pg_last_wal_replay_lsn/);
    assert.doesNotMatch(first, /FROM/);
    assert.deepEqual(others, ["SELECT counter FROM visitor"]);
  });

  it("reads nothing of a member that has not got there", async () => {
    const { rows, asked } = await readAt(false);
    assert.equal(rows, undefined);
    assert.equal(asked.length, 1);
  });
});

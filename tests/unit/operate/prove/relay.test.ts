import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { type AddressInfo, createServer, type Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { frameOf, framesIn, program, Relay } from "../../../../operate/prove/relay.ts";
import { makeCertificate } from "../../../support/certificates.ts";

describe("frames of a relay", () => {
  it("are read as they were written, and what is not whole waits", () => {
    const bytes = Buffer.concat([frameOf(1, "O", "10.0.0.1 5000"), frameOf(70_000, "D", "text")]);
    const { frames, rest } = framesIn(bytes.subarray(0, bytes.length - 1));
    assert.deepEqual(
      frames.map(({ number, letter, text }) => [number, letter, text.toString()]),
      [[1, "O", "10.0.0.1 5000"]],
    );
    const { frames: second, rest: none } = framesIn(
      Buffer.concat([rest, bytes.subarray(bytes.length - 1)]),
    );
    assert.deepEqual(
      second.map(({ number, text }) => [number, text.toString()]),
      [[70_000, "text"]],
    );
    assert.equal(none.length, 0);
  });
});

describe("a relay that says what none does", () => {
  it("is lost, before it fills this machine's memory", async () => {
    const text = "printf '\\0\\0\\0\\1D\\377\\377\\377\\377'; sleep 30";
    const relay = new Relay("there", spawn("sh", ["-c", text], { stdio: "pipe" }));
    await assert.rejects(relay.get("/etc/hostname"), /^Error: there: it says what no relay does$/);
    assert.equal(relay.isLost, true);
  });
});

describe("a relay", function () {
  this.timeout(20_000);
  let relay: Relay;
  let server: Server;
  let port: number;
  let folder: string;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "hastack-relay-"));
    relay = new Relay("here", spawn("perl", ["-e", program], { stdio: "pipe" }));
    // Says everything twice, and ends where it is told to
    server = createServer((socket) => {
      socket.on("data", (text) => {
        socket.write(Buffer.concat([text, text]));
        if (String(text).endsWith("end")) socket.end();
      });
      socket.on("error", () => {});
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    port = (server.address() as AddressInfo).port;
  });
  afterEach(async () => {
    relay.end();
    server.close();
    rmSync(folder, { recursive: true });
  });

  async function said(text: string | Buffer): Promise<string> {
    const socket = relay.socket().connect(port, "127.0.0.1");
    await once(socket, "connect");
    socket.write(text);
    const parts: Buffer[] = [];
    for await (const part of socket) parts.push(part);
    return Buffer.concat(parts).toString();
  }

  it("carries a connection both ways, to its end", async () => {
    assert.equal(await said("hello, end"), "hello, endhello, end");
  });

  it("carries many at once, and more than fits into a pipe", async () => {
    const texts = Array.from({ length: 8 }, (_one, index) => `${String(index).repeat(300_000)}end`);
    const answers = await Promise.all(texts.map(said));
    for (const [index, answer] of answers.entries())
      assert.ok(answer.startsWith(String(index)) && answer.length >= 300_003, `${answer.length}`);
  });

  it("closes a connection within TLS as soon as it is closed there, with an answer still awaited", async () => {
    const { certificate: cert, key } = await makeCertificate({ names: ["IP:127.0.0.1"] });
    const secured = createTlsServer({ cert, key }, (socket) => {
      socket.on("error", () => {});
      // Without TLS's own goodbye, as a load balancer between them ends it
      socket.once("data", () => raw.end());
    });
    let raw = new Socket();
    secured.on("connection", (socket: Socket) => {
      raw = socket;
    });
    await new Promise<void>((resolve) => secured.listen(0, "127.0.0.1", resolve));
    const under = relay.socket().connect((secured.address() as AddressInfo).port, "127.0.0.1");
    await once(under, "connect");
    const socket = connectTls({ socket: under as unknown as Socket, ca: cert, host: "127.0.0.1" });
    socket.on("error", () => {});
    socket.resume();
    await once(socket, "secureConnect");
    socket.write("a query");
    await once(socket, "close", { signal: AbortSignal.timeout(2000) });
    secured.close();
  });

  it("tells why nobody answers there", async () => {
    server.close();
    await once(server, "close");
    const socket = relay.socket().connect(port, "127.0.0.1");
    const [error] = await once(socket, "error");
    assert.equal(error.message, "Connection refused");
  });

  it("gives a connection up that is taken, and where nothing is answered", async () => {
    const silent = createServer(() => {});
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const { port: there } = silent.address() as AddressInfo;
    const [error] = await once(relay.socket(50).connect(there, "127.0.0.1"), "error");
    assert.equal(error.message, "no answer in 50 ms");
    const answered = relay.socket(200).connect(port, "127.0.0.1");
    await once(answered, "connect");
    answered.write("hello");
    await once(answered, "data");
    await sleep(300);
    assert.equal(answered.destroyed, false);
    answered.destroy();
    silent.close();
  });

  it("writes a file, and reads it", async () => {
    const path = join(folder, "own", "a file");
    await relay.put(path, "text\0and more");
    assert.equal(readFileSync(path, "utf8"), "text\0and more");
    assert.equal(await relay.get(path), "text\0and more");
    await assert.rejects(relay.get(join(folder, "other")), /^Error: it is not there$/);
    await assert.rejects(relay.put(join(folder, "no/where/at all"), "x"), /No such file/);
  });

  it("reads nothing but files, follows no link, and takes no more than a file of its own can be", async () => {
    const at = (name: string) => join(folder, name);
    symlinkSync("/etc/hostname", at("link"));
    await assert.rejects(relay.get(at("link")), /Too many levels of symbolic links/);
    execFileSync("mkfifo", [at("fifo")]);
    await assert.rejects(relay.get(at("fifo")), /it is no file$/);
    await assert.rejects(relay.get("/dev/zero"), /it is no file$/);
    writeFileSync(at("long"), "");
    truncateSync(at("long"), 2 ** 32);
    assert.ok((await relay.get(at("long"))).length < 2 ** 20);
  });

  it("waits for a file only so long", async () => {
    const silent = new Relay("there", spawn("sleep", ["30"], { stdio: "pipe" }), 50);
    await assert.rejects(silent.get("/etc/hostname"), /^Error: there: no answer in 0.05 s$/);
    silent.end();
  });

  it("that is lost ends all that goes on in it, and tells so whoever comes later", async () => {
    const socket = relay.socket().connect(port, "127.0.0.1");
    await once(socket, "connect");
    const ended = once(socket, "error");
    relay.end();
    assert.match((await ended)[0].message, /^here: /);
    assert.equal(relay.isLost, true);
    await assert.rejects(relay.get("/etc/hostname"), /^Error: here: /);
  });
});

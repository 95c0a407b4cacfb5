import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { PassThrough } from "node:stream";
import { receiveForm } from "../src/data/uploads.ts";
import { asAdmin } from "./support/admin.ts";
import {
  files,
  migrateDatabase,
  serverConfig,
  startApp,
  type TestApp,
  uploadsDirectory,
} from "./support/app.ts";
import { sharedPostgres } from "./support/hooks.ts";
import { form, pictures, png } from "./support/images.ts";
import { createDatabase, type Postgres } from "./support/postgres.ts";
import { sendRaw } from "./support/raw.ts";

/** Of which there is no end. */
const nothing = async () => {};
const room = { take: nothing, leave: nothing, trash: nothing, hasTrash: async () => true };
const isRepeat = async () => false;
const jpeg = pictures.jpg?.content ?? Buffer.alloc(0);
const html = "<html><script>alert(1)</script></html>";

/** Bytes with the width of a PNG changed. */
function pngOfWidth(width: number): Buffer {
  const content = png();
  content.writeUInt32BE(width, 16);
  return content;
}

describe("robustness of uploads", function () {
  this.timeout(60_000);
  let postgres: Postgres;
  let uploads: string;
  let storefront: TestApp;
  let admin: TestApp;

  before(async () => {
    postgres = await sharedPostgres();
    const name = await createDatabase(postgres);
    uploads = await uploadsDirectory();
    await migrateDatabase(name, postgres);
    const start = (tier: "storefront" | "admin") =>
      startApp(serverConfig(tier, { name, writer: postgres }, uploads));
    [storefront, admin] = await Promise.all([start("storefront"), start("admin")]);
  });
  after(async () => {
    await Promise.all([storefront?.close(), admin?.close()]);
    if (uploads) await rm(uploads, { recursive: true });
  });
  afterEach(async () => {
    for (const file of await files(uploads))
      assert.match(file, /^[0-9a-f]{32}\.(png|jpg|gif|webp)$/);
  });

  const post = (body: FormData | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) =>
    fetch(`${admin.url}/api/content`, {
      method: "POST",
      body,
      headers: { ...asAdmin, ...headers },
    });
  /** A form by hand. */
  const parts = (...texts: string[]) =>
    post(
      new Uint8Array(
        Buffer.from(`${texts.map((text) => `--b\r\n${text}\r\n`).join("")}--b--\r\n`, "latin1"),
      ),
      {
        "Content-Type": "multipart/form-data; boundary=b",
      },
    );
  const field = (name: string, value: string) =>
    `Content-Disposition: form-data; name="${name}"\r\n\r\n${value}`;
  const file = (filename: string, content = png().toString("latin1"), name = "image") =>
    `Content-Disposition: form-data; name="${name}"; ${filename}\r\nContent-Type: image/png\r\n\r\n${content}`;

  describe("A2: names of files", () => {
    const names = [
      'filename="../../../etc/passwd"',
      'filename="..\\..\\boot.ini"',
      'filename="/etc/cron.d/x"',
      'filename="a\0.png"',
      'filename=".upload-00000000000000000000000000000000.part"',
      'filename="CON"',
      `filename="${"n".repeat(5000)}.png"`,
      "filename*=UTF-8''..%2f..%2fx.png",
      'filename="<img src=x onerror=alert(1)>.png"',
      'filename="a.php"',
      'filename="x.svg"',
    ];
    for (const name of names) {
      it(`A2: ${JSON.stringify(name).slice(0, 60)}: the picture gets a name of ours`, async () => {
        const answer = await parts(field("quote", "q"), file(name));
        const text = await answer.text();
        assert.ok(
          answer.status === 201 || answer.status === 400 || answer.status === 422,
          `${answer.status} ${text}`,
        );
        if (answer.status === 201)
          assert.match(JSON.parse(text).image, /^\/images\/[0-9a-f]{32}\.png$/);
      });
    }
  });

  describe("A2: files that are two things at once", () => {
    const double: Record<string, { content: Buffer; type: string }> = {
      "GIF and HTML": {
        content: Buffer.concat([pictures.gif?.content as Buffer, Buffer.from(html)]),
        type: "image/gif",
      },
      "GIF and JavaScript": {
        content: Buffer.concat([pictures.gif?.content as Buffer, Buffer.from("=1;alert(1)//")]),
        type: "image/gif",
      },
      "PNG and ZIP": {
        content: Buffer.concat([png(), Buffer.from("PK\x03\x04\x14\0\0\0", "latin1")]),
        type: "image/png",
      },
      "JPEG and HTML": {
        content: Buffer.concat([pictures.jpg?.content as Buffer, Buffer.from(html)]),
        type: "image/jpeg",
      },
      "WebP and PDF": {
        content: Buffer.concat([pictures.webp?.content as Buffer, Buffer.from("%PDF-1.7")]),
        type: "image/webp",
      },
    };
    for (const [what, { content, type }] of Object.entries(double)) {
      it(`A2: ${what}: served as the picture that it is, and as nothing else`, async () => {
        const answer = await post(form({ quote: what }, { content, name: "x.html" }));
        assert.equal(answer.status, 201);
        const { image } = (await answer.json()) as { image: string };
        const { headers } = await fetch(storefront.url + image);
        assert.equal(headers.get("content-type"), type);
        assert.equal(headers.get("x-content-type-options"), "nosniff");
        assert.match(headers.get("content-security-policy") ?? "", /default-src 'none'/);
      });
    }

    const refused: Record<string, Buffer> = {
      SVG: Buffer.from(
        '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"><script>alert(1)</script></svg>',
      ),
      HTML: Buffer.from(html),
      "HTML before a PNG": Buffer.concat([Buffer.from(html), png()]),
      "the first bytes of a PNG alone": Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
      "a GIF's first bytes and HTML": Buffer.from(`GIF89a${html}`.slice(0, 9)),
      BMP: Buffer.from(
        "BM\x1a\0\0\0\0\0\0\0\x1a\0\0\0\x0c\0\0\0\x01\0\x01\0\x01\0\x18\0\0\0\xff\0",
        "latin1",
      ),
      ICO: Buffer.from("\0\0\x01\0\x01\0\x01\x01\0\0\x01\0\x18\0\x30\0\0\0\x16\0\0\0", "latin1"),
      TIFF: Buffer.from("II*\0\x08\0\0\0\0\0", "latin1"),
      "a PNG without width": pngOfWidth(0),
      "a RIFF that is no WebP": Buffer.from("RIFF\x10\0\0\0WAVEfmt ", "latin1"),
      "a JPEG cut short": jpeg.subarray(0, 10),
      nothing: Buffer.alloc(0),
    };
    for (const [what, content] of Object.entries(refused)) {
      it(`A2: ${what}, named .png: 415`, async () => {
        const answer = await post(form({ quote: "q" }, { content }));
        assert.equal(answer.status, 415, await answer.text());
      });
    }
  });

  it("A2: a picture that claims more pixels than any browser opens: 422", async () => {
    for (const width of [30_001, 2_000_000_000, 0xffff_ffff]) {
      const answer = await post(form({ quote: "q" }, { content: pngOfWidth(width) }));
      assert.equal(answer.status, 422, await answer.text());
    }
    assert.equal((await post(form({ quote: "q" }, { content: pngOfWidth(30_000) }))).status, 201);
  });

  describe("A2: forms made to break the parser", () => {
    it("A2: too many fields, too many parts and too many files: 4xx", async () => {
      const many = (count: number) => Array.from({ length: count }, (_, i) => field(`f${i}`, "x"));
      for (const count of [11, 13, 2000]) {
        const answer = await parts(...many(count), field("quote", "q"), file('filename="a.png"'));
        assert.equal(answer.status, 413, `${count}: ${await answer.text()}`);
      }
      const files = Array.from({ length: 5 }, () => file('filename="a.png"'));
      assert.equal((await parts(field("quote", "q"), ...files)).status, 422);
    });

    it("A2: a form without an end is stopped where it has too much, not where it ends", async () => {
      const head = `POST /api/content HTTP/1.1\r\nHost: x\r\nAuthorization: ${asAdmin.Authorization}\r\nContent-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n`;
      const part = `--b\r\n${field("f", "x".repeat(1000))}\r\n`;
      const chunk = `${part.length.toString(16)}\r\n${part}\r\n`;
      const { status } = await sendRaw(admin.url, head + chunk, {
        drip: chunk.repeat(5),
        limitMs: 2500,
      });
      assert.equal(status, 413);
    });

    it("A2: a form that is cut short within a file that nobody wants is one refusal, no more", async () => {
      const uncaught: Error[] = [];
      const listeners = process.listeners("uncaughtException");
      process.removeAllListeners("uncaughtException");
      process.on("uncaughtException", (error) => uncaught.push(error));
      try {
        const request = new PassThrough() as unknown as IncomingMessage;
        request.headers = { "content-type": "multipart/form-data; boundary=b" };
        const received = receiveForm(request, { directory: uploads, room, isRepeat });
        (request as unknown as PassThrough).write(
          `--b\r\n${file('filename="a.png"', "x".repeat(1000), "picture")}`,
        );
        await new Promise(setImmediate);
        request.destroy();
        await assert.rejects(received, { status: 400, code: "bad-form" });
        await new Promise(setImmediate);
      } finally {
        process.removeAllListeners("uncaughtException");
        for (const listener of listeners) process.on("uncaughtException", listener);
      }
      assert.deepEqual(uncaught, []);
    });

    it("A2: a client that has gone before its form is read keeps nobody waiting", async () => {
      const gone = new IncomingMessage(new Socket());
      gone.headers["content-type"] = "multipart/form-data; boundary=b";
      gone.destroy();
      await assert.rejects(receiveForm(gone, { directory: uploads, room, isRepeat }), {
        status: 400,
        code: "bad-form",
      });
    });

    const odd: Record<string, () => Promise<Response>> = {
      "names that every object has": () =>
        parts(
          field("__proto__", "x"),
          field("constructor", "x"),
          field("toString", "x"),
          file('filename="a.png"'),
        ),
      "no name": () => parts("Content-Disposition: form-data\r\n\r\nx", file('filename="a.png"')),
      "no disposition": () => parts("Content-Type: text/plain\r\n\r\nx", file('filename="a.png"')),
      "a header that does not end": () =>
        parts(`Content-Disposition: form-data; name="${"x".repeat(20_000)}"\r\n\r\nx`),
      "a picture under another name": () =>
        parts(field("quote", "q"), file('filename="a.png"', undefined, "picture")),
      "a picture as a field": () =>
        parts(field("quote", "q"), field("image", png().toString("latin1"))),
      "no boundary": () => post(new Uint8Array(10), { "Content-Type": "multipart/form-data" }),
      "a boundary of 5000 characters": () =>
        post(new Uint8Array(10), {
          "Content-Type": `multipart/form-data; boundary=${"b".repeat(5000)}`,
        }),
      "nothing at all": () =>
        post(new Uint8Array(0), { "Content-Type": "multipart/form-data; boundary=b" }),
      "another character set": () =>
        parts(
          'Content-Disposition: form-data; name="quote"\r\nContent-Type: text/plain; charset=utf-7\r\n\r\n+ADw-',
          file('filename="a.png"'),
        ),
      "a compressed body": () =>
        post(new Uint8Array(100), {
          "Content-Type": "multipart/form-data; boundary=b",
          "Content-Encoding": "gzip",
        }),
      "a NUL in the text": () => parts(field("quote", "a\0b"), file('filename="a.png"')),
      "a quote of 20 KB": () => parts(field("quote", "x".repeat(20_000)), file('filename="a.png"')),
    };
    for (const [what, send] of Object.entries(odd)) {
      it(`A2: ${what}: 4xx, and no file is left`, async () => {
        const before = await files(uploads);
        const answer = await send();
        assert.ok(
          answer.status >= 400 && answer.status < 500,
          `${answer.status} ${await answer.text()}`,
        );
        assert.deepEqual(await files(uploads), before);
      });
    }
  });
});

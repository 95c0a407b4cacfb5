import assert from "node:assert/strict";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { adminClient, asAdmin } from "./support/admin.ts";
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
import { startProxy } from "./support/proxy.ts";
import { until } from "./support/until.ts";

// biome-ignore lint/suspicious/noExplicitAny: answers are asserted field by field
type Json = any;

/** Sends a GET as it is: fetch would tidy up the path, and add headers of its own. */
function rawStatus(url: string, path: string, headers = {}): Promise<number | undefined> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    httpRequest({ hostname, port, path, headers }, (answer) => resolve(answer.resume().statusCode))
      .once("error", reject)
      .end();
  });
}

const picture = { content: png() };

describe("content API", function () {
  this.timeout(60_000);
  let postgres: Postgres;
  let database: string;
  let uploads: string;
  let storefront: TestApp;
  let admin: TestApp;

  before(async () => {
    postgres = await sharedPostgres();
    database = await createDatabase(postgres);
    await migrateDatabase(database, postgres);
    uploads = await uploadsDirectory();
    storefront = await startApp(
      serverConfig("storefront", { name: database, writer: postgres }, uploads),
    );
    admin = await startApp(serverConfig("admin", { name: database, writer: postgres }, uploads));
  });

  after(async () => {
    await Promise.all([storefront.close(), admin.close()]);
    await rm(uploads, { recursive: true });
  });

  const post = (data: FormData, headers: Record<string, string> = {}) =>
    fetch(`${admin.url}/api/content`, {
      ...{ method: "POST", body: data },
      headers: { ...asAdmin, ...headers },
    });
  const add = async (quote: string): Promise<Json> => {
    const answer = await post(form({ quote }, picture));
    assert.equal(answer.status, 201);
    return await answer.json();
  };
  const rows = async () => {
    const [row] = await postgres.sql<{ n: number }>(
      "SELECT count(*)::int AS n FROM content",
      database,
    );
    return row?.n;
  };
  /** Asserts an error and that neither a row nor a file came of it. */
  const refused = async (send: () => Promise<Response>, status: number, code: string) => {
    const before = [await rows(), await files(uploads)];
    const answer = await send();
    assert.equal(answer.status, status, await answer.clone().text());
    assert.equal(((await answer.json()) as Json).error, code);
    assert.deepEqual([await rows(), await files(uploads)], before);
  };

  describe("A1: the API's routes", () => {
    it("A1: adds a destination, lists it first, shows it alone, and deletes row and file", async () => {
      const answer = await post(form({ quote: " Go. ", title: "Oslo", author: "Me" }, picture));
      const added = (await answer.json()) as Json;
      assert.equal(answer.status, 201);
      assert.equal(answer.headers.get("location"), `/api/content/${added.id}`);
      const { quote, title, author, width, height, imageType } = added;
      assert.deepEqual(
        { quote, title, author, width, height, imageType },
        { quote: "Go.", title: "Oslo", author: "Me", width: 2, height: 1, imageType: "image/png" },
      );
      const list = (await (await fetch(`${storefront.url}/api/content`)).json()) as Json;
      assert.deepEqual(list.items[0], added);
      const one = await fetch(`${storefront.url}/api/content/${added.id}`);
      assert.deepEqual(await one.json(), added);

      const remove = () =>
        fetch(`${admin.url}/api/content/${added.id}`, { method: "DELETE", headers: asAdmin });
      assert.equal((await remove()).status, 204);
      assert.equal((await remove()).status, 404);
      assert.equal((await fetch(storefront.url + added.image)).status, 404);
      assert.ok(!(await files(uploads)).includes(added.image.slice("/images/".length)));
    });

    it("A1: lists page by page, every destination once, newest first", async () => {
      for (let i = 0; i < 5; i += 1) await add(`page ${i}`);
      const seen: number[] = [];
      let next: string | null = "/api/content?limit=2";
      while (next) {
        const page = (await (await fetch(storefront.url + next)).json()) as Json;
        assert.ok(page.items.length <= 2);
        seen.push(...page.items.map((item: Json) => item.id));
        next = page.next;
      }
      assert.equal(seen.length, await rows());
      assert.deepEqual(
        seen,
        [...new Set(seen)].sort((a, b) => b - a),
      );
    });

    for (const query of ["limit=0", "limit=101", "limit=x", "before=0", "before=99999999999"]) {
      it(`A1: refuses the list query ${query} with 422`, async () => {
        assert.equal((await fetch(`${storefront.url}/api/content?${query}`)).status, 422);
      });
    }

    for (const id of ["0", "-1", "x", "99999999999", "1%20or%201=1"]) {
      it(`A1: answers 404 to the id ${id}`, async () => {
        assert.equal((await fetch(`${storefront.url}/api/content/${id}`)).status, 404);
        const answer = await fetch(`${admin.url}/api/content/${id}`, {
          method: "DELETE",
          headers: asAdmin,
        });
        assert.equal(answer.status, 404);
      });
    }

    it("A1: tells the database's time and who said so", async () => {
      const time = (await (await fetch(`${storefront.url}/api/time`)).json()) as Json;
      assert.ok(Math.abs(Date.parse(time.time) - Date.now()) < 60_000);
      assert.equal(time.hostname, "storefront-1");
      assert.equal(time.member, postgres.address);
    });

    it("A1: health has every part, from memory", async () => {
      const expected = await rows();
      const health = (await until(
        "health counts the rows",
        async () => (await fetch(`${storefront.url}/api/health`)).json(),
        (body: Json) => body.contentCount === expected,
      )) as Json;
      const { status, hostname, release, role, cache, storage, database: seen } = health;
      assert.deepEqual(
        { status, hostname, release, role, cache, storage: storage.state },
        {
          status: "ok",
          hostname: "storefront-1",
          release: "development",
          role: "storefront",
          cache: "none",
          storage: "ok",
        },
      );
      const member = { member: postgres.address, inRecovery: false };
      assert.deepEqual(seen, { writer: member, reader: member });
    });

    it("A1: each tier answers 404 for what is the other's", async () => {
      const status = async (url: string, method = "GET") =>
        (await fetch(url, { method, headers: asAdmin })).status;
      assert.equal(await status(`${storefront.url}/admin`), 404);
      assert.equal(await status(`${storefront.url}/api/content`, "POST"), 404);
      assert.equal(await status(`${storefront.url}/api/content/1`, "DELETE"), 404);
      assert.equal(await status(`${admin.url}/`), 404);
      assert.equal(await status(`${admin.url}/api/content`), 404);
      for (const path of ["/api/health", "/api/live", "/metrics"]) {
        assert.equal(await status(storefront.url + path), 200);
        assert.equal(await status(admin.url + path), 200);
      }
    });

    it("A10: every answer names its instance, errors and pictures too", async () => {
      const { image } = await add("named");
      for (const path of [
        "/",
        "/nothing",
        "/api/content",
        "/api/health",
        "/assets/site.css",
        image,
      ]) {
        const { headers } = await fetch(storefront.url + path);
        assert.equal(headers.get("x-served-by"), "storefront-1", path);
        assert.ok(headers.get("x-request-id"), path);
      }
    });
  });

  describe("A1: pictures", () => {
    it("A1: are cached for good, typed, never sniffed, and known by their ETag", async () => {
      const { image } = await add("cached");
      const answer = await fetch(storefront.url + image);
      const content = Buffer.from(await answer.arrayBuffer());
      assert.deepEqual(content, picture.content);
      assert.equal(answer.headers.get("content-type"), "image/png");
      assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
      assert.equal(answer.headers.get("cache-control"), "public, max-age=31536000, immutable");
      const etag = String(answer.headers.get("etag"));
      assert.match(etag, /^"/);
      assert.equal(await rawStatus(storefront.url, image, { "If-None-Match": etag }), 304);
      // The same on the other tier, so that a cache in front may ask either.
      assert.equal((await fetch(admin.url + image)).headers.get("etag"), etag);
    });

    it("A1: come in ranges", async () => {
      const { image } = await add("ranged");
      const part = await fetch(storefront.url + image, { headers: { Range: "bytes=1-3" } });
      assert.equal(part.status, 206);
      assert.equal(await part.text(), "PNG");
      const beyond = await fetch(storefront.url + image, { headers: { Range: "bytes=999999-" } });
      assert.equal(beyond.status, 416);
      assert.match(beyond.headers.get("content-range") ?? "", /^bytes \*\/\d+$/);
      assert.match(beyond.headers.get("content-type") ?? "", /^text\/html/);
    });

    it("S4: that cannot be read are answered 503, and nobody keeps that answer", async () => {
      // It opens, and fails at the first read
      const name = `${"0".repeat(32)}.png`;
      await mkdir(join(uploads, name));
      const answer = await fetch(`${storefront.url}/images/${name}`, {
        headers: { Range: "bytes=0-9" },
      });
      await rm(join(uploads, name), { recursive: true });
      assert.equal(answer.status, 503);
      assert.match(await answer.text(), /Pictures cannot be read at the moment/);
      assert.match(answer.headers.get("content-type") ?? "", /^text\/html/);
      assert.equal(answer.headers.get("cache-control"), "no-store");
      assert.equal(answer.headers.get("content-range"), null);
    });

    for (const path of [
      "/images/../../../../etc/passwd",
      "/images/..%2f..%2f..%2f..%2fetc%2fpasswd",
      "/images/%2e%2e/secret.txt",
      "/images/..%5c..%5csecret.txt",
      "/images/secret.txt",
      "/images/%00",
      `/images/.upload-${"0".repeat(32)}.part`,
    ]) {
      it(`A1: serves nothing under ${path}`, async () => {
        await writeFile(join(uploads, "secret.txt"), "secret");
        await writeFile(join(uploads, `.upload-${"0".repeat(32)}.part`), "secret");
        const status = await rawStatus(storefront.url, path);
        await rm(join(uploads, "secret.txt"));
        await rm(join(uploads, `.upload-${"0".repeat(32)}.part`));
        assert.equal(status, 404);
      });
    }
  });

  describe("A2: uploads", () => {
    for (const [extension, { content, type }] of Object.entries(pictures)) {
      it(`A2: takes a ${extension}, whatever it is called`, async () => {
        const answer = await post(form({ quote: "kind" }, { content, name: "notes.txt" }));
        assert.equal(answer.status, 201, await answer.clone().text());
        const added = (await answer.json()) as Json;
        const served = await fetch(storefront.url + added.image);
        assert.equal(served.headers.get("content-type"), type);
        assert.deepEqual(Buffer.from(await served.arrayBuffer()), content);
      });
    }

    const svg =
      '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>1</script></svg>';
    const notPictures: Record<string, Buffer> = {
      "a text file": Buffer.from("just words"),
      "an SVG": Buffer.from(svg),
      "a web page": Buffer.from("<!doctype html><script>alert(1)</script>"),
      "a BMP": Buffer.concat([Buffer.from("BM"), Buffer.alloc(60, 1)]),
      "the first bytes of a PNG": png().subarray(0, 12),
      "a PNG of no width": Buffer.from(png()).fill(0, 16, 20),
      "the first bytes of a JPEG": Buffer.from([0xff, 0xd8, 0xff, 0xe0]),
      "an empty file": Buffer.alloc(0),
    };
    for (const [what, content] of Object.entries(notPictures)) {
      it(`A2: refuses ${what} named .png with 415`, async () => {
        await refused(
          () => post(form({ quote: "no" }, { content, name: "p.png" })),
          415,
          "not-an-image",
        );
      });
    }

    it("A2: takes a picture of exactly 5 MB", async () => {
      const answer = await post(form({ quote: "big" }, { content: png(5 * 1024 * 1024) }));
      assert.equal(answer.status, 201, await answer.clone().text());
    });

    it("A2: refuses one byte more with 413", async () => {
      const content = png(5 * 1024 * 1024 + 1);
      await refused(() => post(form({ quote: "big" }, { content })), 413, "image-too-large");
    });

    it("A2: refuses 20 MB with 413, at once where the length is declared", async () => {
      const content = png(20 * 1024 * 1024);
      await refused(() => post(form({ quote: "huge" }, { content })), 413, "image-too-large");
    });

    it("A2: refuses 20 MB of undeclared length with 413", async () => {
      const encoded = new Response(form({ quote: "huge" }, { content: png(20 * 1024 * 1024) }));
      const send = () =>
        fetch(`${admin.url}/api/content`, {
          method: "POST",
          body: encoded.body as ReadableStream,
          headers: { ...asAdmin, "Content-Type": String(encoded.headers.get("content-type")) },
          duplex: "half",
        } as RequestInit);
      await refused(send, 413, "image-too-large");
    });

    it("A2: refuses what is no form with 415, and a broken one with 400", async () => {
      const send = (type: string, body: string) =>
        fetch(`${admin.url}/api/content`, {
          method: "POST",
          body,
          headers: { ...asAdmin, "Content-Type": type },
        });
      await refused(() => send("application/json", "{}"), 415, "unsupported-media-type");
      await refused(() => send("multipart/form-data", "x"), 400, "bad-form");
      await refused(() => send("multipart/form-data; boundary=b", "--b\r\nx"), 400, "bad-form");
      const cut = `--b\r\nContent-Disposition: form-data; name="image"; filename="p"\r\n\r\n${"x".repeat(5000)}`;
      await refused(() => send("multipart/form-data; boundary=b", cut), 400, "bad-form");
    });

    const texts: [string, Record<string, string>, string][] = [
      ["a missing quote", {}, "quote-invalid"],
      ["an empty quote", { quote: "  " }, "quote-invalid"],
      ["a quote of 501 characters", { quote: "x".repeat(501) }, "quote-invalid"],
      ["a quote of 20 000 characters", { quote: "x".repeat(20_000) }, "quote-too-long"],
      ["a quote with a NUL", { quote: "a\0b" }, "quote-invalid"],
      ["a place of 81 characters", { quote: "ok", title: "x".repeat(81) }, "title-invalid"],
    ];
    for (const [what, fields, code] of texts) {
      it(`A2: refuses ${what} with 422`, async () => {
        await refused(() => post(form(fields, picture)), 422, code);
      });
    }

    it("A2: refuses a missing and a second picture with 422", async () => {
      await refused(() => post(form({ quote: "none" })), 422, "image-missing");
      const two = form({ quote: "two" }, picture);
      two.append("image", new Blob([new Uint8Array(png())]), "q.png");
      await refused(() => post(two), 422, "too-many-files");
    });

    it("A2: a client that goes away in the middle leaves nothing behind", async () => {
      const before = await files(uploads);
      const { hostname, port } = new URL(admin.url);
      const socket = connect(Number(port), hostname);
      socket.write(
        `POST /api/content HTTP/1.1\r\nHost: x\r\nAuthorization: ${asAdmin.Authorization}\r\nContent-Length: 900000\r\n` +
          "Content-Type: multipart/form-data; boundary=b\r\n\r\n" +
          `--b\r\nContent-Disposition: form-data; name="image"; filename="p"\r\n\r\n${"x".repeat(70_000)}`,
      );
      await until(
        "the temporary file is there",
        () => files(uploads),
        (now) => now.length > before.length,
      );
      socket.destroy();
      await until(
        "it is gone",
        () => files(uploads),
        (now) => now.length === before.length,
      );
    });

    it("A2: a row that cannot be inserted leaves no file", async () => {
      await postgres.sql("ALTER TABLE content RENAME TO content_away", database);
      const before = await files(uploads);
      try {
        assert.equal((await post(form({ quote: "no table" }, picture))).status, 500);
      } finally {
        await postgres.sql("ALTER TABLE content_away RENAME TO content", database);
      }
      assert.deepEqual(await files(uploads), before);
    });

    it("A2: 24 uploads at once all arrive, each with its own picture", async () => {
      const sent = Array.from({ length: 24 }, (_, i) => png(1000 + i));
      const answers = await Promise.all(
        sent.map((content, i) => post(form({ quote: `at once ${i}` }, { content }))),
      );
      for (const [i, answer] of answers.entries()) {
        const { image } = (await answer.json()) as Json;
        const served = await fetch(storefront.url + image);
        assert.equal((await served.arrayBuffer()).byteLength, sent[i]?.length);
      }
    });
  });

  describe("A11: idempotency keys", () => {
    it("A11: a repeat gets the first answer again, and adds nothing", async () => {
      const key = { "Idempotency-Key": "repeat-1" };
      const first = await (await post(form({ quote: "once" }, picture), key)).text();
      const before = [await rows(), await files(uploads)];
      const second = await post(form({ quote: "once" }, picture), key);
      assert.equal(second.status, 201);
      assert.equal(await second.text(), first);
      assert.deepEqual([await rows(), await files(uploads)], before);
    });

    it("A11: the form field is as good as the header", async () => {
      const send = () => post(form({ quote: "field", idempotencyKey: "field-1" }, picture));
      assert.equal(await (await send()).text(), await (await send()).text());
    });

    it("A11: the same key with another text or picture is refused with 422", async () => {
      const key = { "Idempotency-Key": "other-1" };
      await post(form({ quote: "one" }, picture), key);
      const other = form({ quote: "two" }, picture);
      await refused(() => post(other, key), 422, "idempotency-key-reused");
      const otherPicture = form({ quote: "one" }, { content: png(500) });
      await refused(() => post(otherPicture, key), 422, "idempotency-key-reused");
    });

    it("A11: ten at once with one key add one destination and one file", async () => {
      const before = [Number(await rows()), (await files(uploads)).length];
      const key = { "Idempotency-Key": "at-once-1" };
      const answers = await Promise.all(
        Array.from({ length: 10 }, () => post(form({ quote: "at once" }, picture), key)),
      );
      const bodies = await Promise.all(answers.map((answer) => answer.text()));
      assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([201]));
      assert.equal(new Set(bodies).size, 1);
      assert.deepEqual(
        [await rows(), (await files(uploads)).length],
        [Number(before[0]) + 1, Number(before[1]) + 1],
      );
    });

    it("A11: a refused request does not use its key up", async () => {
      const key = { "Idempotency-Key": "again-1" };
      await refused(() => post(form({ quote: "" }, picture), key), 422, "quote-invalid");
      assert.equal((await post(form({ quote: "now" }, picture), key)).status, 201);
    });

    it("A11: a key of 201 characters is refused with 422", async () => {
      const key = { "Idempotency-Key": "k".repeat(201) };
      await refused(() => post(form({ quote: "k" }, picture), key), 422, "bad-idempotency-key");
    });
  });

  describe("A11: a commit that was sent and not answered", () => {
    it("A11: without a key: 500, said plainly, and the file stays with its row", async () => {
      const proxy = await startProxy(postgres);
      const writer = { host: "127.0.0.1", port: proxy.port };
      const app = await startApp(
        serverConfig("admin", { name: database, writer, reader: postgres }, uploads),
      );
      const before = [Number(await rows()), (await files(uploads)).length];
      Object.assign(proxy, { cutSince: "INSERT INTO content", cutAfter: "COMMIT" });
      const answer = await fetch(`${app.url}/api/content`, {
        method: "POST",
        body: form({ quote: "unknown" }, picture),
        headers: asAdmin,
      });
      assert.equal(answer.status, 500);
      assert.equal(((await answer.json()) as Json).error, "outcome-unknown");
      assert.equal(answer.headers.get("retry-after"), null);
      assert.deepEqual(
        [await rows(), (await files(uploads)).length],
        [Number(before[0]) + 1, Number(before[1]) + 1],
      );
      await app.close();
      await proxy.close();
    });

    it("A11: with a key: found again, 201, one row and one file", async () => {
      const proxy = await startProxy(postgres);
      const writer = { host: "127.0.0.1", port: proxy.port };
      const app = await startApp(
        serverConfig("admin", { name: database, writer, reader: postgres }, uploads),
      );
      const before = [Number(await rows()), (await files(uploads)).length];
      Object.assign(proxy, { cutSince: "INSERT INTO content", cutAfter: "COMMIT" });
      until("the commit is cut", () => proxy.cuts).then(() => {
        proxy.cutAfter = undefined;
      });
      const answer = await fetch(`${app.url}/api/content`, {
        method: "POST",
        body: form({ quote: "found" }, picture),
        headers: { ...asAdmin, "Idempotency-Key": "cut-1" },
      });
      assert.equal(answer.status, 201);
      assert.equal(proxy.cuts, 1);
      const { image } = (await answer.json()) as Json;
      assert.equal((await fetch(storefront.url + image)).status, 200);
      assert.deepEqual(
        [await rows(), (await files(uploads)).length],
        [Number(before[0]) + 1, Number(before[1]) + 1],
      );
      await app.close();
      await proxy.close();
    });
  });

  it("A11: the form keeps its key after trouble of ours, and gets a new one after the user's", async () => {
    const proxy = await startProxy(postgres);
    // The session is looked up first; only the row must not get through.
    proxy.cutAfter = "INSERT INTO content";
    const app = await startApp(
      serverConfig(
        "admin",
        { name: database, writer: { host: "127.0.0.1", port: proxy.port }, reader: postgres },
        uploads,
      ),
      { writeMs: 1000 },
    );
    const client = (await adminClient(admin.url)).at(app.url);
    const send = async (quote: string) => {
      const body = form({ quote, idempotencyKey: "kept-key-1" }, picture);
      const answer = await client.send("/admin/content", { method: "POST", body });
      return { status: answer.status, text: await answer.text() };
    };
    const trouble = await send("kept");
    assert.equal(trouble.status, 503);
    assert.match(trouble.text, /value="kept-key-1"/);
    assert.match(trouble.text, />kept<\/textarea>/);
    const mistake = await send("");
    assert.equal(mistake.status, 422);
    assert.doesNotMatch(mistake.text, /kept-key-1/);
    await app.close();
    await proxy.close();
  });

  it("A6: a change that another site asks a browser for is refused with 403", async () => {
    const { id } = await add("mine");
    const ask = (headers: Record<string, string>) =>
      fetch(`${admin.url}/admin/content/${id}/delete`, {
        ...{ method: "POST", redirect: "manual" },
        headers: { ...asAdmin, ...headers },
      });
    assert.equal((await ask({ Origin: "http://evil.example" })).status, 403);
    assert.equal((await ask({ Origin: "null" })).status, 403);
    assert.equal((await ask({ "Sec-Fetch-Site": "cross-site" })).status, 403);
    assert.equal((await ask({ "Sec-Fetch-Site": "same-site" })).status, 403);
    assert.equal((await ask({ Origin: admin.url })).status, 303);
  });

  it("A15: errors come as JSON or as a page, as the client accepts", async () => {
    const get = (path: string, accept: string) =>
      fetch(storefront.url + path, { headers: { Accept: accept } });
    const html = "text/html,application/xhtml+xml,*/*;q=0.8";
    assert.match(String((await get("/nothing", html)).headers.get("content-type")), /html/);
    assert.match(
      String((await get("/nothing", "application/json")).headers.get("content-type")),
      /json/,
    );
    assert.match(String((await get("/api/nothing", "*/*")).headers.get("content-type")), /json/);
    const body = (await (await get("/api/nothing", "*/*")).json()) as Json;
    assert.equal(body.error, "not-found");
    assert.ok(body.requestId);
  });
});

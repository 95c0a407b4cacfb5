import assert from "node:assert/strict";
import { chmod, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { removeMetadata } from "../src/data/picture-metadata.ts";
import { bareMode, inspect } from "../src/data/uploads.ts";
import { barePictures } from "../src/run/sweeper.ts";
import { asAdmin } from "./support/admin.ts";
import {
  appDirectory,
  files,
  migrateDatabase,
  serverConfig,
  startApp,
  type TestApp,
  uploadsDirectory,
} from "./support/app.ts";
import { sharedPostgres } from "./support/hooks.ts";
import { form, pictures, png } from "./support/images.ts";
import { chunk, laden, latin1, profile, riff, secret, segment } from "./support/laden-pictures.ts";
import { createDatabase } from "./support/postgres.ts";

const kindsOfPicture = ["jpg", "png", "gif", "webp"] as const;
const has = (content: Buffer, text: string) => content.includes(text, 0, "latin1");

describe("metadata of pictures", function () {
  this.timeout(60_000);

  for (const kind of kindsOfPicture) {
    describe(`A2: ${kind}`, () => {
      it("A2: loses place, texts and previews, and keeps pixels and colour profile", async () => {
        const { content } = removeMetadata(await laden[kind](1), kind);
        assert.ok(!has(content, secret));
        for (const word of [
          "xap/1.0",
          "Photoshop",
          "MPF\0",
          "XMP",
          "tEXt",
          "zTXt",
          "iTXt",
          "tIME",
        ]) {
          assert.ok(!has(content, word), word);
        }
        assert.ok(!/exif/i.test(content.toString("latin1")), "EXIF that says nothing");
        assert.ok(has(content, profile), "the profile is lost");
        // What it was before all that was added, and then done again
        const again = removeMetadata(content, kind).content;
        assert.ok(again.equals(content));
      });

      it("A2: a picture that holds nothing else stays as it is, byte by byte", async () => {
        const bytes = pictures[kind]?.content ?? Buffer.alloc(0);
        assert.ok(removeMetadata(bytes, kind).content.equals(bytes));
      });

      if (kind !== "gif") {
        it("A2: keeps which way up it is, and nothing else of EXIF", async () => {
          for (let orientation = 1; orientation <= 8; orientation += 1) {
            const bare = removeMetadata(await laden[kind](orientation), kind);
            assert.equal(bare.orientation, orientation);
            assert.ok(!has(bare.content, secret));
            assert.equal(removeMetadata(bare.content, kind).orientation, orientation);
            const plain = removeMetadata(await laden[kind](1), kind).content;
            const more = bare.content.length - plain.length;
            assert.ok(orientation === 1 ? more === 0 : more > 0 && more <= 50, `${more} bytes`);
          }
        });

        it("A2: an orientation that is none is the plain one", async () => {
          for (const orientation of [0, 9, 255, 65_535]) {
            const bare = removeMetadata(await laden[kind](orientation), kind);
            assert.equal(bare.orientation, 1);
          }
        });
      }

      it("A2: cut short anywhere, or with bytes changed, it is refused or bare, and never hangs", async () => {
        const whole = await laden[kind](6);
        const start = kind === "jpg" ? 2000 : whole.length;
        const look = (bytes: Buffer) => {
          try {
            const { content } = removeMetadata(bytes, kind);
            assert.ok(content.length <= bytes.length + 40);
          } catch (error) {
            assert.equal((error as Error).constructor.name, "BrokenPicture", String(error));
          }
        };
        const begun = performance.now();
        for (let length = 12; length < start; length += 1) look(whole.subarray(0, length));
        const change = fc.tuple(fc.nat(start - 13), fc.integer({ min: 0, max: 255 }));
        fc.assert(
          fc.property(fc.array(change, { minLength: 1, maxLength: 8 }), (changes) => {
            const bytes = Buffer.from(whole.subarray(0, start));
            for (const [at, value] of changes) bytes[at + 12] = value;
            look(bytes);
          }),
          { numRuns: 500 },
        );
        assert.ok(performance.now() - begun < 15_000);
      });
    });
  }

  it("A2: animations of WebP: frames lose theirs too", () => {
    const whole = pictures.webp?.content ?? Buffer.alloc(0);
    const plain = whole.subarray(12);
    const frame = riff(
      "ANMF",
      Buffer.concat([Buffer.alloc(16), plain, riff("XMP ", latin1(secret))]),
    );
    const head = riff("VP8X", Buffer.from([0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    const body = Buffer.concat([latin1("WEBP"), head, riff("ANIM", Buffer.alloc(6)), frame, frame]);
    const { content } = removeMetadata(riff("RIFF", body), "webp");
    assert.ok(!has(content, secret));
    assert.equal(content.toString("latin1").match(/ANMF/g)?.length, 2);
  });

  it("A2: what browsers pass over between two segments of a JPEG goes, and so do unknown ones", async () => {
    const plain = await readFile(join(appDirectory, "sample/fuji.jpg"));
    const junk = Buffer.concat([
      plain.subarray(0, 2),
      segment(0xe1, `Exif\0\0${secret}`),
      latin1(secret),
      segment(0xf3, secret),
      Buffer.from([0xff, 0xff, 0xff]),
      segment(0x42, secret),
      plain.subarray(2),
    ]);
    assert.ok(removeMetadata(junk, "jpg").content.equals(removeMetadata(plain, "jpg").content));
    // The size is looked for in what is kept.
    assert.deepEqual([inspect(junk).width, inspect(junk).height], [1200, 900]);
  });

  it("A2: an orientation that browsers do not take (no short, or several) is the plain one", async () => {
    const whole = await laden.png(6);
    const at = whole.indexOf(Buffer.from([0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6]));
    assert.ok(at > 0);
    for (const [offset, value] of [
      [3, 4],
      [7, 2],
    ] as const) {
      const bytes = Buffer.from(whole);
      bytes[at + offset] = value;
      assert.equal(removeMetadata(bytes, "png").orientation, 1);
    }
  });

  describe("A2: 5 MB that are made to take long are refused at once", () => {
    const filled = (head: Buffer, piece: Buffer, tail: Buffer): Buffer => {
      const most = Math.floor((5 * 1024 * 1024 - head.length - tail.length) / piece.length);
      return Buffer.concat([head, Buffer.alloc(most * piece.length, piece), tail]);
    };
    const refused = (bytes: Buffer, kind: (typeof kindsOfPicture)[number], why: RegExp) => {
      const begun = performance.now();
      assert.throws(() => removeMetadata(bytes, kind), why);
      const ms = performance.now() - begun;
      assert.ok(ms < 1000, `${ms} ms`);
    };

    it("A2: by millions of parts", async () => {
      const parts = /more than 20000 parts/;
      const jpeg = await readFile(join(appDirectory, "sample/fuji.jpg"));
      const soi = jpeg.subarray(0, 2);
      refused(filled(soi, segment(0xdb, ""), jpeg.subarray(2)), "jpg", parts);
      refused(filled(soi, segment(0xe1, ""), jpeg.subarray(2)), "jpg", parts);
      const image = pictures.gif?.content ?? Buffer.alloc(0);
      refused(filled(image.subarray(0, 19), latin1("!\xf9\0"), image.subarray(19)), "gif", parts);
      refused(filled(png().subarray(0, 33), chunk("IDAT", latin1("")), latin1("")), "png", parts);
      const webp = filled(latin1("WEBP"), riff("VP8 ", latin1("")), latin1(""));
      refused(riff("RIFF", webp), "webp", parts);
    });

    it("A2: by frames inside frames", () => {
      const pixels = riff("VP8 ", Buffer.alloc(4_500_000));
      const heads: Buffer[] = [];
      for (let depth = 0; depth < 1000; depth += 1) {
        const head = Buffer.alloc(24);
        head.write("ANMF", "latin1");
        head.writeUInt32LE(pixels.length + 16 + depth * 24, 4);
        heads.unshift(head);
      }
      const body = Buffer.concat([latin1("WEBP"), ...heads, pixels]);
      refused(riff("RIFF", body), "webp", /before its first pixel/);
    });
  });

  it("A2: width and height are those that are seen", async () => {
    const { width, height } = inspect(await laden.jpg(1));
    assert.ok(width !== height);
    for (let orientation = 1; orientation <= 8; orientation += 1) {
      const seen = inspect(await laden.jpg(orientation));
      const expected = orientation < 5 ? [width, height] : [height, width];
      assert.deepEqual([seen.width, seen.height], expected, `orientation ${orientation}`);
    }
  });

  describe("A2: as they are uploaded and served", () => {
    let uploads: string;
    let storefront: TestApp;
    let admin: TestApp;
    before(async () => {
      const postgres = await sharedPostgres();
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
    const add = (content: Buffer, headers: Record<string, string> = {}) =>
      fetch(`${admin.url}/api/content`, {
        method: "POST",
        body: form({ quote: "q" }, { content }),
        headers: { ...asAdmin, ...headers },
      });
    interface Added {
      image: string;
      width: number;
      height: number;
    }

    it("A2: nobody gets the place where one was taken; a repeat gets the first answer", async () => {
      for (const kind of kindsOfPicture) {
        const key = { "Idempotency-Key": `laden-${kind}` };
        const answer = await add(await laden[kind](1), key);
        const text = await answer.text();
        assert.equal(answer.status, 201, text);
        const { image } = JSON.parse(text) as Added;
        const served = await fetch(storefront.url + image);
        assert.ok(!has(Buffer.from(await served.arrayBuffer()), secret), kind);
        const again = await (await add(await laden[kind](1), key)).text();
        assert.equal(again, text);
      }
      for (const file of await files(uploads)) {
        const path = join(uploads, file);
        assert.ok(!has(await readFile(path), secret), file);
        assert.equal((await stat(path)).mode & 0o777, bareMode);
      }
    });

    it("A2: broken pictures are 422, and leave nothing behind", async () => {
      const before = await files(uploads);
      const gif = pictures.gif?.content ?? Buffer.alloc(0);
      const cut = {
        jpg: (await laden.jpg(1)).subarray(0, 700),
        png: png().subarray(0, -10),
        "png without pixels": Buffer.concat([png().subarray(0, 33), chunk("IEND", latin1(""))]),
        gif: gif.subarray(0, -5),
        webp: (await laden.webp(1)).subarray(0, 60),
      };
      for (const [kind, content] of Object.entries(cut)) {
        const answer = await add(content);
        const text = await answer.text();
        // What nobody can tell the size of is taken for no picture at all.
        assert.ok(
          answer.status === 422 || answer.status === 415,
          `${kind} ${answer.status} ${text}`,
        );
        assert.match(text, /image-broken|not-an-image/);
      }
      assert.match(await (await add(cut.png)).text(), /image-broken/);
      assert.deepEqual(await files(uploads), before);
    });

    it("A2: a strict umask makes nobody read the same picture again and again", async () => {
      const file = `${"4".repeat(32)}.jpg`;
      const umask = process.umask(0o077);
      try {
        await writeFile(join(uploads, file), await laden.jpg(6));
        assert.deepEqual((await barePictures(uploads, 10)).bare, [file]);
        assert.deepEqual(await barePictures(uploads, 10), { bare: [], broken: [] });
      } finally {
        process.umask(umask);
      }
    });

    it("A2: those of the release before are made bare where they lie, some at a time", async () => {
      const old = ["0", "1", "2"].map((digit) => `${digit.repeat(32)}.jpg`);
      const broken = `${"3".repeat(32)}.png`;
      for (const file of old) await writeFile(join(uploads, file), await laden.jpg(6));
      await writeFile(join(uploads, broken), "no picture");
      await writeFile(join(uploads, "somebody-elses.jpg"), await laden.jpg(6));
      for (const file of [...old, broken]) await chmod(join(uploads, file), 0o644);
      const { ino: before } = await stat(join(uploads, broken));
      const done = await barePictures(uploads, 2);
      assert.equal(done.bare.length + done.broken.length, 2);
      const more = await barePictures(uploads, 10);
      const all = [...done.bare, ...more.bare].sort();
      assert.deepEqual(all, old);
      assert.deepEqual([...done.broken, ...more.broken], [broken]);
      // In a file of our own: that of another user could not be marked
      assert.notEqual((await stat(join(uploads, broken))).ino, before);
      assert.equal(await readFile(join(uploads, broken), "utf8"), "no picture");
      for (const file of old) {
        const content = await readFile(join(uploads, file));
        assert.ok(!has(content, secret));
        assert.equal(removeMetadata(content, "jpg").orientation, 6);
      }
      assert.ok(has(await readFile(join(uploads, "somebody-elses.jpg")), secret));
      assert.deepEqual(await barePictures(uploads, 10), { bare: [], broken: [] });
      assert.equal((await fetch(`${storefront.url}/images/${old[0]}`)).status, 200);
    });
  });
});

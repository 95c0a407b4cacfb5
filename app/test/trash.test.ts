import assert from "node:assert/strict";
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parse } from "yaml";
import { Database } from "../src/data/database.ts";
import { measureUploads, removeDropped, type SweepOptions, sweep } from "../src/run/sweeper.ts";
import { sweepTrash } from "../src/run/trash-sweeper.ts";
import { asAdmin } from "./support/admin.ts";
import {
  appDirectory,
  migrateDatabase,
  serverConfig,
  serverEnvironment,
  spawnEntry,
  startApp,
  type TestApp,
  uploadsDirectory,
} from "./support/app.ts";
import { docker } from "./support/docker.ts";
import { sharedPostgres } from "./support/hooks.ts";
import { form, png } from "./support/images.ts";
import { offerRow } from "./support/offers.ts";
import { createDatabase, type Postgres } from "./support/postgres.ts";
import { until } from "./support/until.ts";
import { type Client, visitor } from "./support/visitor.ts";

const keepDays = 15;
const marker = ".hastack-restore";

interface Traveller {
  client: Client;
  id: number;
  path: string;
}

describe("trash of uploads", function () {
  this.timeout(90_000);
  let postgres: Postgres;
  let name: string;
  let uploads: string;
  let storefront: TestApp;
  let admin: TestApp;
  let sweeper: Database;

  const config = (tier: "storefront" | "admin", database = name) => ({
    ...serverConfig(tier, { name: database, writer: postgres }, uploads),
    keepFilesDays: keepDays,
  });
  /** Has the application work with a database, as after a restore. */
  const serve = async (database: string) => {
    name = database;
    [storefront, admin] = await Promise.all([
      startApp(config("storefront")),
      startApp(config("admin")),
    ]);
    sweeper = new Database(config("admin"), () => {});
  };
  const leave = async () => {
    await Promise.all([storefront, admin].map((app) => app?.close()));
    await sweeper?.close();
  };

  before(async () => {
    postgres = await sharedPostgres();
  });
  beforeEach(async () => {
    uploads = await uploadsDirectory();
    const database = await createDatabase(postgres);
    await migrateDatabase(database, postgres);
    await serve(database);
  });
  afterEach(async () => {
    await audited();
    await leave();
    await rm(uploads, { recursive: true });
  });

  const sql = <Row extends Record<string, unknown>>(text: string, database = name) =>
    postgres.sql<Row>(text, database);
  const store = () => ({ directory: uploads, keepDays });
  const age = () => sleep(60);
  const sweepAll = async (options: Partial<SweepOptions> = {}) => {
    await age();
    await removeDropped(sweeper, store());
    await sweep(sweeper, { ...store(), graceMs: 50, ...options });
    return await sweepTrash(sweeper, store());
  };
  const pictures = async (folder: string) =>
    (await readdir(join(uploads, folder)).catch(() => []))
      .filter((file) => /\.\w+$/.test(file) && file !== ".trash" && file !== marker)
      .sort();
  /** What there is in the uploads, as paths. */
  const shown = async () => [
    ...(await pictures("")),
    ...(await pictures("trips")).map((file) => `trips/${file}`),
  ];
  const trashed = async () => [
    ...(await pictures(".trash")),
    ...(await pictures(".trash/trips")).map((file) => `trips/${file}`),
  ];
  const books = async () =>
    (await sql<{ path: string }>('SELECT path FROM upload_trash ORDER BY path COLLATE "C"')).map(
      ({ path }) => path,
    );
  const use = async () => {
    const [row] = await sql<Record<string, string>>("SELECT * FROM upload_budget");
    return {
      used: Number(row?.used_bytes),
      trash: Number(row?.trash_bytes),
      files: Number(row?.trash_files),
    };
  };
  /** Each sum is that of its rows. */
  const audited = async () => {
    const [sum] = await sql<Record<string, string>>(
      `SELECT (SELECT coalesce(sum(bytes), 0) FROM upload) AS used,
         (SELECT coalesce(sum(greatest(bytes, 4096)), 0) FROM upload_trash) AS trash,
         (SELECT count(*) FROM upload_trash) AS files`,
    );
    const counted = {
      used: Number(sum?.used),
      trash: Number(sum?.trash),
      files: Number(sum?.files),
    };
    assert.deepEqual(await use(), counted);
  };

  const traveller = async (): Promise<Traveller> => {
    const { client, id } = await visitor(postgres, name, storefront.url);
    const offerId = await offerRow(postgres, name);
    const answer = await client.json("POST", "/api/bookings", { offerId, quantity: 1 });
    const booking = ((await answer.json()) as { id: number }).id;
    return { client, id, path: `/api/bookings/${booking}/items` };
  };
  const added = async (sent: Promise<Response>) => {
    const answer = await sent;
    assert.equal(answer.status, 201, await answer.clone().text());
    const { id, image } = (await answer.json()) as { id: number; image: string };
    return { id, image, file: image.split("/").at(-1) ?? "" };
  };
  const addItem = ({ client, path }: Traveller, bytes = 10_000) =>
    added(
      client.send(path, { method: "POST", body: form({ text: "x" }, { content: png(bytes) }) }),
    );
  const addToGallery = (bytes = 10_000) =>
    added(
      fetch(`${admin.url}/api/content`, {
        ...{ method: "POST", headers: asAdmin },
        body: form({ quote: "x" }, { content: png(bytes) }),
      }),
    );
  const remove = async (id: number) => {
    const init = { method: "DELETE", headers: asAdmin };
    assert.equal((await fetch(`${admin.url}/api/content/${id}`, init)).status, 204);
  };
  const removeItem = async ({ client, path }: Traveller, id: number) => {
    assert.equal((await client.send(`${path}/${id}`, { method: "DELETE" })).status, 204);
  };

  it("O3, A2, A8: a picture that is removed lies in the trash under its path, and has no room any more", async () => {
    const ada = await traveller();
    const [item, picture] = [await addItem(ada), await addToGallery()];
    const before = await readFile(join(uploads, picture.file));
    await removeItem(ada, item.id);
    await remove(picture.id);
    const paths = [picture.file, `trips/${item.file}`];
    assert.deepEqual([await shown(), await trashed(), await books()], [[], paths, paths]);
    assert.deepEqual(await use(), { used: 0, trash: 20_000, files: 2 });
    assert.deepEqual(await readFile(join(uploads, ".trash", picture.file)), before);
    for (const way of [picture.image, `/images/.trash/${picture.file}`, "/images/.trash"]) {
      assert.equal((await fetch(storefront.url + way)).status, 404, way);
    }
    const [row] = await sql(`SELECT account_id FROM upload_trash WHERE path LIKE 'trips/%'`);
    assert.equal(row?.account_id, ada.id);
  });

  it("O3, A8: a deleted account's pictures go to the trash with the next sweep", async () => {
    const ada = await traveller();
    const { file } = await addItem(ada);
    await sql(`DELETE FROM account WHERE id = ${ada.id}`);
    assert.equal(await removeDropped(sweeper, store()), 1);
    assert.deepEqual([await shown(), await trashed()], [[], [`trips/${file}`]]);
    assert.deepEqual(await use(), { used: 0, trash: 10_000, files: 1 });
  });

  it("O3, A2: orphans that are whole pictures go to the trash; what was cut off is removed", async () => {
    const [orphan, temporary] = [`${"a".repeat(32)}.png`, `.upload-${"b".repeat(32)}.part`];
    await sql(`INSERT INTO upload (name, bytes, until)
      VALUES ('${"a".repeat(32)}', 5000, now() + interval '1 hour'), ('${"c".repeat(32)}', 7, now())`);
    const rest = [`${"d".repeat(32)}.gif`, temporary, `.upload-${"c".repeat(32)}.part`, "README"];
    for (const file of [orphan, ...rest]) await writeFile(join(uploads, file), "x");
    await sweepAll();
    assert.deepEqual(await readdir(uploads), [".trash", "README"]);
    assert.deepEqual(await trashed(), [orphan, `${"d".repeat(32)}.gif`]);
    assert.deepEqual(await books(), await trashed());
    assert.equal((await use()).used, 0);
  });

  it("O3: what an upload that never got its answer has left as a whole picture goes there as well", async () => {
    await sql(`INSERT INTO upload (name, account_id, bytes, until)
      VALUES ('${"e".repeat(32)}', 7, 5000, now())`);
    await mkdir(join(uploads, "trips"));
    await writeFile(join(uploads, "trips", `${"e".repeat(32)}.webp`), "x");
    assert.equal(await removeDropped(sweeper, store()), 1);
    assert.deepEqual(
      [await trashed(), await books()],
      Array(2).fill([`trips/${"e".repeat(32)}.webp`]),
    );
  });

  it("O3: the trash is emptied of what has been there for its days, told by the move and not by the file's own date", async () => {
    const [old, young] = [`${"1".repeat(32)}.png`, `${"2".repeat(32)}.png`];
    const days = 1 / 86_400;
    for (const file of [old, young]) {
      await writeFile(join(uploads, file), "x");
      // A year old when it is moved
      await utimes(join(uploads, file), new Date(0), new Date(0));
    }
    await sweep(sweeper, { ...store(), graceMs: -1 });
    assert.deepEqual(await sweepTrash(sweeper, { ...store(), keepDays: days }), {
      ...{ back: [], removed: [] },
    });
    await sleep(1100);
    await rename(join(uploads, ".trash", young), join(uploads, young));
    await sweep(sweeper, { ...store(), graceMs: -1 });
    const { removed } = await sweepTrash(sweeper, { ...store(), keepDays: days });
    assert.deepEqual([removed, await trashed()], [[old], [young]]);
    assert.deepEqual(await books(), [young]);
    await sweepTrash(sweeper, { ...store(), keepDays: 0 });
    assert.deepEqual([await trashed(), await books()], [[], []]);
  });

  it("O3: without backups files are removed at once, and the trash is emptied", async () => {
    await remove((await addToGallery()).id);
    assert.equal((await trashed()).length, 1);
    const without = await startApp({ ...config("admin"), keepFilesDays: 0 });
    const { id } = await addToGallery();
    const init = { method: "DELETE", headers: asAdmin };
    assert.equal((await fetch(`${without.url}/api/content/${id}`, init)).status, 204);
    assert.deepEqual([await shown(), (await trashed()).length], [[], 1]);
    await sweepTrash(sweeper, { ...store(), keepDays: 0 });
    assert.deepEqual([await trashed(), await use()], [[], { used: 0, trash: 0, files: 0 }]);
    await without.close();
  });

  it("S4, L10: who uploads and removes again and again fills the trash to its limit, then the own budget, and no more", async () => {
    await sql("UPDATE upload_budget SET visitor_bytes = 3100000, trash_total_bytes = 2000000");
    const ada = await traveller();
    let refused: Response | undefined;
    for (let round = 0; round < 20 && !refused; round += 1) {
      const answer = await ada.client.send(ada.path, {
        ...{ method: "POST", body: form({ text: "x" }, { content: png(1_000_000) }) },
      });
      if (answer.status === 201) {
        const { id } = (await answer.json()) as { id: number };
        await removeItem(ada, id);
      } else refused = answer;
    }
    assert.equal(refused?.status, 507);
    assert.deepEqual(await use(), { used: 3_000_000, trash: 2_000_000, files: 2 });
    assert.deepEqual([(await shown()).length, (await trashed()).length], [3, 2]);
    // What never was a row's is no reason to wait
    await sql(`INSERT INTO upload (name, bytes, until) VALUES ('${"a".repeat(32)}', 9, now())`);
    assert.equal(await removeDropped(sweeper, store()), 1);
    await sql("UPDATE upload_budget SET trash_total_bytes = 100000000");
    assert.equal(await removeDropped(sweeper, store()), 3);
    assert.deepEqual(await use(), { used: 0, trash: 5_000_000, files: 5 });
  });

  it("A11: five sweepers at once do no harm", async () => {
    const ada = await traveller();
    const kept = [(await addToGallery()).file, `trips/${(await addItem(ada)).file}`];
    const gone = await Promise.all(Array.from({ length: 6 }, () => addToGallery()));
    await sql(`DELETE FROM content WHERE id = ANY('{${gone.map(({ id }) => id).join()}}')`);
    await Promise.all(Array.from({ length: 5 }, () => sweepAll()));
    assert.deepEqual(await shown(), kept);
    assert.deepEqual(await trashed(), gone.map(({ file }) => file).sort());
    assert.deepEqual(await books(), await trashed());
  });

  describe("while the stack is being restored", () => {
    it("O3: nothing is moved or removed; uploads go on, and what failed is cleaned up", async () => {
      const ada = await traveller();
      const [item, picture, trash] = [
        await addItem(ada),
        await addToGallery(),
        await addToGallery(),
      ];
      await remove(trash.id);
      const orphan = `${"a".repeat(32)}.png`;
      await writeFile(join(uploads, orphan), "x");
      await writeFile(join(uploads, `.upload-${"b".repeat(32)}.part`), "x");
      await writeFile(join(uploads, marker), "");
      await removeItem(ada, item.id);
      await remove(picture.id);
      const bad = form({ quote: "x" }, { content: Buffer.from("<svg/>") });
      const answer = await fetch(`${admin.url}/api/content`, {
        ...{ method: "POST", headers: asAdmin, body: bad },
      });
      assert.equal(answer.status, 415);
      const late = await addToGallery();
      const before = await readdir(uploads, { recursive: true });
      assert.deepEqual(
        (await shown()).sort(),
        [
          picture.file,
          orphan,
          late.file,
          `trips/${item.file}`,
          `.upload-${"b".repeat(32)}.part`,
        ].sort(),
      );
      assert.deepEqual(await trashed(), [trash.file]);
      const nothing = { back: [], removed: [] };
      assert.deepEqual(await sweepAll(), nothing);
      assert.deepEqual(await sweepTrash(sweeper, { ...store(), keepDays: 0 }), nothing);
      assert.equal(await removeDropped(sweeper, { ...store(), keepDays: 0 }), 0);
      assert.deepEqual(await sweep(sweeper, { directory: uploads, graceMs: -1 }), []);
      assert.deepEqual(await readdir(uploads, { recursive: true }), before);
      await rm(join(uploads, marker));
      await sweepAll();
      assert.deepEqual(await shown(), [late.file]);
      assert.deepEqual(
        (await trashed()).sort(),
        [trash.file, picture.file, orphan, `trips/${item.file}`].sort(),
      );
      assert.equal((await use()).used, 10_000);
    });

    it("O3: the size of a file that may still come back is not measured yet, nor taken for none", async () => {
      const ada = await traveller();
      const { file } = await addItem(ada);
      await sql(`UPDATE upload SET bytes = NULL WHERE file = '${file}'`);
      await mkdir(join(uploads, ".trash/trips"), { recursive: true });
      await rename(join(uploads, "trips", file), join(uploads, ".trash/trips", file));
      await writeFile(join(uploads, marker), "");
      assert.equal(await measureUploads(sweeper, uploads), 0);
      await rm(join(uploads, marker));
      assert.equal(await measureUploads(sweeper, uploads), 1);
      assert.equal((await use()).used, 10_000);
    });
  });

  describe("after a restore to an earlier moment", () => {
    /** The database as it is now, under another name. */
    const copy = async () => {
      const earlier = await createDatabase(postgres);
      await docker(
        ...["exec", "-u", "postgres", postgres.container, "bash", "-euo", "pipefail", "-c"],
        `pg_dump ${name} | psql -qX -v ON_ERROR_STOP=1 ${earlier} > /dev/null`,
      );
      return earlier;
    };
    const restore = async (earlier: string) => {
      await writeFile(join(uploads, marker), "");
      await leave();
      await serve(earlier);
    };
    /** What an operator's restore does with files: by the query of `hastack.yaml`. */
    const bringFiles = async () => {
      const { backup } = parse(await readFile(join(appDirectory, "hastack.yaml"), "utf8"));
      const rows = await sql<{ image_file: string }>(backup.files.uploads);
      for (const path of rows.map((row) => Object.values(row)[0] as string)) {
        if (await stat(join(uploads, path)).catch(() => undefined)) continue;
        await rename(join(uploads, ".trash", path), join(uploads, path));
      }
      return rows.map((row) => Object.values(row)[0] as string).sort();
    };

    for (const isBrought of [true, false]) {
      it(`O3: each row has its file, and later files are in the trash${isBrought ? "" : ", also where nobody has brought them"}`, async () => {
        const ada = await traveller();
        const kept = [(await addToGallery()).file, `trips/${(await addItem(ada)).file}`];
        const [removedLater, removedItem] = [await addToGallery(), await addItem(ada)];
        const removedBefore = await addToGallery();
        await remove(removedBefore.id);
        // Its row has gone, and the sweep has not come yet
        const dropped = await addToGallery();
        await sql(`DELETE FROM content WHERE id = ${dropped.id}`);
        // Under way at the moment, and a row's a little later
        const pending = `${"a".repeat(32)}.png`;
        await sql(`INSERT INTO upload (name, bytes, until)
          VALUES ('${"a".repeat(32)}', 5000, now() + interval '1 hour')`);
        const earlier = await copy();

        await writeFile(join(uploads, pending), png(5000));
        await sql(`INSERT INTO content (quote, image_file, image_type, image_bytes, image_width, image_height)
          VALUES ('x', '${pending}', 'image/png', 5000, 1, 1)`);
        await remove(removedLater.id);
        await removeItem(ada, removedItem.id);
        const later = await addToGallery();
        const laterRemoved = await addToGallery();
        await remove(laterRemoved.id);
        await sweepAll();
        await audited();
        await restore(earlier);
        // Its time passes meanwhile
        await sql("UPDATE upload SET until = now() WHERE until > now()");
        await sweepAll();
        const named = [...kept, removedLater.file, `trips/${removedItem.file}`].sort();
        if (isBrought) assert.deepEqual(await bringFiles(), named);
        await rm(join(uploads, marker));
        const { back } = await sweepAll();
        assert.deepEqual(back.length, isBrought ? 0 : 2);

        assert.deepEqual((await shown()).sort(), named);
        const gone = [removedBefore, dropped, later, laterRemoved].map(({ file }) => file);
        assert.deepEqual((await trashed()).sort(), [...gone, pending].sort());
        assert.deepEqual((await sweepAll()).back, []);
        await sql("UPDATE upload_trash SET moved_at = moved_at - interval '11 minutes'");
        await sweepTrash(sweeper, store());
        assert.deepEqual((await books()).sort(), [...gone, pending].sort());
        assert.equal((await use()).used, 40_000);
        const page = await fetch(`${admin.url}/images/${removedLater.file}`);
        assert.equal(page.status, 200);
      });
    }

    it("O3: one that is undone finds the files of its rows as well", async () => {
      const first = await addToGallery();
      const earlier = await copy();
      const original = name;
      const second = await addToGallery();
      await remove(first.id);
      await restore(earlier);
      await bringFiles();
      const between = await addToGallery();
      await leave();
      await serve(original);
      await bringFiles();
      await rm(join(uploads, marker));
      await sweepAll();
      assert.deepEqual(await shown(), [second.file]);
      assert.deepEqual((await trashed()).sort(), [first.file, between.file].sort());
      assert.deepEqual((await books()).sort(), await trashed());
    });

    it("O3: a file that rows name is not removed from the trash, however long it has been there", async () => {
      const { file } = await addToGallery();
      await mkdir(join(uploads, ".trash"));
      await rename(join(uploads, file), join(uploads, ".trash", file));
      await sql(
        `INSERT INTO upload_trash (path, bytes, moved_at) VALUES ('${file}', 1, '2020-01-01')`,
      );
      const done = await sweepTrash(sweeper, { ...store(), keepDays: 0 });
      assert.deepEqual([done, await shown()], [{ back: [file], removed: [] }, [file]]);
      // Where it is in its place as well, the one in the trash goes, once it is due
      await writeFile(join(uploads, ".trash", file), "x");
      await sweepTrash(sweeper, store());
      assert.deepEqual([await shown(), await trashed()], [[file], [file]]);
      await sweepTrash(sweeper, { ...store(), keepDays: 0 });
      assert.deepEqual([await shown(), await trashed(), await books()], [[file], [], []]);
      assert.notEqual(await readFile(join(uploads, file), "latin1"), "x");
    });
  });

  describe("the command that erases", () => {
    const erase = async (...args: string[]) => {
      const environment = await serverEnvironment(config("admin"), uploads);
      const { DATABASE_URL = "", UPLOADS_DIRECTORY = "" } = environment;
      const run = await spawnEntry("run/erase.ts", { DATABASE_URL, UPLOADS_DIRECTORY }, { args });
      const code = await run.exit;
      return [code, run.output()] as const;
    };

    it("O3: removes a picture from the trash at once, by its path; not one that is shown", async () => {
      const [gone, other, here] = [
        await addToGallery(),
        await addToGallery(),
        await addToGallery(),
      ];
      for (const { id } of [gone, other]) await remove(id);
      const [code, output] = await erase(`.trash/${gone.file}`, here.file);
      assert.equal(code, 1);
      assert.match(
        output,
        new RegExp(`^${gone.file}: erased\n${here.file}: stays, as it is shown`),
      );
      assert.match(output, /copies in backups stay until their time is over/);
      assert.deepEqual([await trashed(), await shown()], [[other.file], [here.file]]);
      assert.deepEqual(
        [await books(), await use()],
        [[other.file], { used: 10_000, trash: 10_000, files: 1 }],
      );
    });

    it("O3: removes all removed pictures of an account, by its address or number, and says which are shown", async () => {
      const [ada, bob] = [await traveller(), await traveller()];
      const [first, second, theirs] = [await addItem(ada), await addItem(ada), await addItem(bob)];
      await removeItem(ada, first.id);
      await removeItem(bob, theirs.id);
      const [row] = await sql<{ email: string }>(`SELECT email FROM account WHERE id = ${ada.id}`);
      const [code, output] = await erase("--account", row?.email ?? "");
      assert.equal(code, 1, output);
      assert.match(output, new RegExp(`trips/${first.file}: erased`));
      assert.match(output, new RegExp(`trips/${second.file}: stays`));
      await sql(`DELETE FROM account WHERE id = ${ada.id}`);
      // The sweep has not come yet
      const again = await erase("--account", String(ada.id));
      assert.deepEqual(
        [again[0], await shown(), await trashed()],
        [0, [], [`trips/${theirs.file}`]],
      );
      assert.deepEqual(await use(), { used: 0, trash: 10_000, files: 1 });
      const nobody = await erase("--account", row?.email ?? "");
      assert.match(
        nobody[1],
        /there is no account with the address .*: name one that is deleted by its/,
      );
    });

    it("O3: erases nothing while the stack is being restored, and nothing that can be no picture", async () => {
      const { id, file } = await addToGallery();
      await remove(id);
      for (const wrong of [
        "../x",
        ".trash/../x.png",
        "README",
        `trips/../${file}`,
        `other/${file}`,
      ]) {
        const [code, output] = await erase(wrong);
        assert.deepEqual([code, output.includes("can be no picture")], [1, true], output);
      }
      assert.match((await erase())[1], /use: node src\/run\/erase\.ts/);
      await writeFile(join(uploads, marker), "");
      const [code, output] = await erase(file);
      assert.equal(code, 1);
      assert.match(output, /the stack is being restored, and nothing is removed: accept or undo/);
      assert.deepEqual(await trashed(), [file]);
    });
  });

  it("A15: health and metrics say what is in the trash, apart from the budget", async () => {
    await remove((await addToGallery()).id);
    const storage = async () =>
      ((await (await fetch(`${storefront.url}/api/health`)).json()) as { storage: object }).storage;
    await until("health says it", storage, (seen) => {
      const { usedBytes, trashBytes, trashFiles, trashBudgetBytes } = seen as Record<
        string,
        number
      >;
      return (
        [usedBytes, trashBytes, trashFiles, trashBudgetBytes].join() === "0,10000,1,5242880000"
      );
    });
    const metrics = await (await fetch(`${storefront.url}/metrics`)).text();
    assert.match(metrics, /^trash_bytes 10000$/m);
    assert.match(metrics, /^trash_files 1$/m);
    assert.match(metrics, /^trash_budget_bytes 5242880000$/m);
  });

  it("A12: the release before removes files beside this one, and the sums stay right", async () => {
    const { id, file } = await addToGallery();
    await sql(`DELETE FROM content WHERE id = ${id}`);
    await rm(join(uploads, file));
    await sql(`SELECT leave_room('${file.slice(0, 32)}', true)`);
    await sweepAll();
    assert.deepEqual(await use(), { used: 0, trash: 0, files: 0 });
  });
});

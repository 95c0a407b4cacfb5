/** The example in Python, in the image that its packages make, with a real PostgreSQL pair. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { request as send } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { parse } from "yaml";
import { pictures, png } from "../../../app/test/support/images.ts";
import { runDocker } from "../../../infra/platform/docker/engine.ts";
import { inRoot, readProjectFile } from "../../../lib/paths.ts";
import { mustRun } from "../../../lib/run.ts";
import { until } from "../../../lib/until.ts";
import { makeCertificate } from "../../support/certificates.ts";
import { type Container, start } from "../../support/unit/containers.ts";
import { imageFor } from "../../support/unit/images.ts";
import { PostgresPair } from "../../support/unit/postgres-pair.ts";

const { packages, migrations, tiers, jobs } = parse(readProjectFile("examples/notes/hastack.yaml"));
const folder = "/opt/hastack/current";
const release = "0123456789ab";
const title = 'Notes <b>&"';
const ports = { "web-1": 8000, "web-2": 8001 } as const;
type Instance = keyof typeof ports;
/** File of who vouches for the database. */
const authority = "/srv/database-ca.crt";
/** As hastack runs programs: without root's home, where libpq would look for a certificate, and fail. */
const asUser = "env -u HOME setpriv --reuid=hastack --regid=hastack --clear-groups";

let pair: PostgresPair;
let container: Container;
/** Where this process reaches each instance. */
const bases = { "web-1": "", "web-2": "" };

const environment = (extra: Readonly<Record<string, string | number>>) =>
  Object.entries({
    HASTACK_RELEASE: release,
    HASTACK_KEEP_FILES_DAYS: 15,
    UPLOADS_DIRECTORY: "/srv/uploads",
    LINK_KEY_FILE: "/srv/link-key",
    TITLE: title,
    ...extra,
  })
    .map(([name, value]) => `export ${name}='${value}'`)
    .join("\n");

function migrate() {
  const url = pair.url("migrator", "hastack", "read-write", authority);
  return container.run(
    `${environment({ DATABASE_URL: url })}\ncd ${folder}; ${asUser} ${migrations.command.join(" ")}`,
  );
}

/** Starts an instance, as hastack does. */
async function begin(instance: Instance): Promise<void> {
  const given = environment({
    HOST: "0.0.0.0",
    PORT: ports[instance],
    HASTACK_INSTANCE: instance,
    DATABASE_URL: pair.url("app_web", "hastack", "read-write", authority),
    DATABASE_READER_URL: pair.url("app_web", "hastack", "prefer-standby", authority),
    DATABASE_POOL_SIZE: 5,
    DRAIN_SECONDS: 2,
    STOP_GRACE_SECONDS: 20,
  });
  const program = `echo $$ > /tmp/${instance}.pid; exec ${asUser} ${tiers[0].command.join(" ")}`;
  await container.run(`${given}
    cd ${folder}; rm -f /tmp/${instance}.code
    (sh -c '${program}' >> /tmp/${instance}.log 2>&1; echo $? > /tmp/${instance}.code) > /dev/null 2>&1 &`);
  await until(`${instance} is healthy`, {
    probe: () => fetch(`${bases[instance]}/health`),
    done: ({ status }) => status === 200,
    limitSeconds: 30,
  });
}

const signal = (instance: Instance) => container.run(`kill -TERM $(cat /tmp/${instance}.pid)`);

/** Its exit code, once it has ended. */
const ended = (instance: Instance, limitSeconds: number) =>
  until(`${instance} has ended`, {
    probe: () => container.run(`cat /tmp/${instance}.code`),
    done: (code) => code !== "",
    limitSeconds,
  });

interface Wish {
  readonly title?: string;
  readonly text?: string;
  readonly picture?: Uint8Array;
  readonly key?: string;
}

/** Posts a note. */
async function post(wish: Wish, base = bases["web-1"]): Promise<Response> {
  const form = new FormData();
  if (wish.title !== undefined) form.set("title", wish.title);
  if (wish.text !== undefined) form.set("text", wish.text);
  if (wish.picture) form.set("picture", new Blob([new Uint8Array(wish.picture)]), "p.exe");
  const headers = wish.key === undefined ? {} : { "Idempotency-Key": wish.key };
  return fetch(`${base}/notes`, { method: "POST", body: form, headers, redirect: "manual" });
}

/** Adds a note. @returns its address, with the token that deletes it */
async function add(wish: Wish = {}, base = bases["web-1"]): Promise<string> {
  const answer = await post({ title: "A title", text: "A text", ...wish }, base);
  if (answer.status !== 303) throw new Error(`${answer.status} ${await answer.text()}`);
  return answer.headers.get("location") ?? "";
}

/** A page as whoever has just written sees it. */
async function page(path: string, base = bases["web-1"]): Promise<string> {
  const answer = await fetch(base + path, { headers: { Cookie: "written=1" } });
  assert.equal(answer.status, 200, path);
  return answer.text();
}

const pictureOn = (text: string) => /<img src="([^"]+)"/.exec(text)?.[1] ?? "";
const count = async (where = "true") =>
  Number(await pair.sql(`SELECT count(*) FROM note WHERE ${where}`, "hastack"));

/** Writers and readers that go on until they are told to stop. */
class Clients {
  readonly added: string[] = [];
  readonly failures: string[] = [];
  reads = 0;
  #running = true;
  readonly #work: Promise<unknown>;

  constructor() {
    const clients = [0, 1, 2, 3].map(() => [
      this.#repeat("write", async () => {
        const title = `under load ${randomUUID()}`;
        await add({ title });
        this.added.push(title);
      }),
      this.#repeat("read", async () => {
        const { status } = await fetch(bases["web-1"]);
        if (status !== 200) throw new Error(`${status}`);
        this.reads += 1;
      }),
    ]);
    this.#work = Promise.all(clients.flat());
  }

  async #repeat(what: string, act: () => Promise<void>): Promise<void> {
    while (this.#running) {
      await act().catch((error: Error) => this.failures.push(`${what}: ${error.message}`));
      await sleep(20);
    }
  }

  /** @returns titles that were acknowledged and are not there once */
  async stop(): Promise<string[]> {
    this.#running = false;
    await this.#work;
    const stored = await pair.sql("SELECT title FROM note", "hastack");
    const titles = stored.split("\n");
    return this.added.filter((one) => titles.filter((title) => title === one).length !== 1);
  }
}

describe("the example in Python", function () {
  this.timeout("4m");

  before("start a database, migrate it and start two instances", async () => {
    [pair, container] = await Promise.all([
      PostgresPair.start(),
      imageFor({ component: "Notes", packages }).then((image) =>
        start(image, "notes", {
          network: "bridge",
          arguments: Object.values(ports).map((port) => `--publish=127.0.0.1::${port}`),
        }),
      ),
    ]);
    for (const [instance, port] of Object.entries(ports)) {
      const published = await runDocker(["port", container.name, `${port}/tcp`]);
      bases[instance as Instance] = `http://${published.trim()}`;
    }
    const files = ["tar", "-cz", "-C", inRoot("examples/notes"), "."];
    const archive = await mustRun(["sh", "-c", `${files.join(" ")} | base64`]);
    await container.run(`base64 -d | tar -xz -C ${folder}`, archive);
    await container.run("install -d -o hastack /srv/uploads; echo -n k3y > /srv/link-key");
    await container.run(`cat > ${authority}`, pair.authority);
    await pair.sql("CREATE ROLE migrator LOGIN; CREATE ROLE app_web LOGIN");
    await pair.sql("CREATE DATABASE hastack OWNER migrator");
    await migrate();
    await Promise.all([begin("web-1"), begin("web-2")]);
  });
  after(async () => {
    await Promise.all([container?.remove(), pair?.remove()]);
  });

  describe("the migration", () => {
    it("can run again, and twice at once, and keeps what is there", async () => {
      await add({ title: "kept" });
      await Promise.all([migrate(), migrate()]);
      assert.equal(await count("title = 'kept'"), 1);
    });

    it("lets the tier do no more than it must", async () => {
      const change = "SET ROLE app_web; ALTER TABLE note ADD COLUMN more text";
      await assert.rejects(pair.sql(change, "hastack"), /must be owner of table note/);
    });
  });

  describe("the connection to the database", () => {
    const ask = (url: string) =>
      container.attempt(
        `${asUser} python3 -c "import psycopg, sys; psycopg.connect(sys.argv[1])" '${url}'`,
      );

    it("goes by TLS, by its address, for whoever asks", async () => {
      await page("/");
      const text = `SELECT usename, bool_and(ssl) FROM pg_stat_activity JOIN pg_stat_ssl USING (pid)
        WHERE usename = 'app_web' GROUP BY usename`;
      assert.equal(await pair.sql(text), "app_web|t");
    });

    it("is refused where another vouches for the server, or it has another name, or by no TLS", async () => {
      const whole = pair.url("app_web", "hastack", "read-write", authority);
      assert.equal((await ask(whole)).code, 0);
      const { certificate } = await makeCertificate({ authority: true });
      await container.run("cat > /srv/other-ca.crt", certificate);
      const byName = whole.replaceAll(pair.address, "database.test");
      await container.run(`echo ${pair.address} database.test >> /etc/hosts`);
      for (const [url, why] of [
        [whole.replace(authority, "/srv/other-ca.crt"), /certificate verify failed/],
        [byName, /server certificate for .* does not match host name "database.test"/],
        [whole.replace("verify-full", "disable"), /no encryption/],
        [
          whole.replace(authority, "/srv/nowhere.crt"),
          /root certificate file "\/srv\/nowhere.crt" does not exist/,
        ],
      ] as const) {
        const { code, stderr } = await ask(url);
        assert.equal(code, 1, url);
        assert.match(stderr, why);
      }
    });
  });

  describe("a page", () => {
    it("shows the instance's name and the stack's title, escaped", async () => {
      for (const [instance, base] of Object.entries(bases)) {
        const text = await page("/", base);
        assert.match(text, new RegExp(`served by ${instance}\\b`));
        assert.match(text, /<title>Notes &lt;b&gt;&amp;&#34;<\/title>/);
        assert.doesNotMatch(text, /<b>/);
      }
    });

    it("shows a note that was just added by another instance", async () => {
      const path = await add({ title: "<script>x</script>", text: "one & two" }, bases["web-2"]);
      for (const shown of [await page(path), await page("/")]) {
        assert.match(shown, /&lt;script&gt;x&lt;\/script&gt;/);
        assert.match(shown, /one &amp; two/);
        assert.doesNotMatch(shown, /<script>/);
      }
    });

    it("shows a note at once to whoever has added it, though the standby lags", async () => {
      await pair.showAtStandby(false);
      try {
        const path = await add({ title: "at once" });
        assert.match(await page("/"), /at once/);
        assert.match(await page(path), /at once/);
        const others = await fetch(bases["web-1"]);
        assert.doesNotMatch(await others.text(), /at once/, "others read from the standby");
      } finally {
        await pair.showAtStandby(true);
      }
    });

    it("leads to older notes, each once", async () => {
      for (let index = 0; index < 55; index += 1) await add({ title: `page ${index}` });
      const seen: string[] = [];
      let next = "/";
      for (let pages = 0; next !== "" && pages < 100; pages += 1) {
        const text = await page(next);
        seen.push(...[...text.matchAll(/<article id="note-(\d+)"/g)].map(([, id = ""]) => id));
        next = /<a rel="next" href="([^"]+)"/.exec(text)?.[1] ?? "";
      }
      assert.equal(seen.length, await count());
      assert.equal(new Set(seen).size, seen.length);
    });

    it("says what may be loaded into it, and by whom it was served", async () => {
      const { headers } = await fetch(bases["web-2"]);
      assert.equal(headers.get("x-served-by"), "web-2");
      assert.equal(headers.get("x-content-type-options"), "nosniff");
      assert.match(headers.get("content-security-policy") ?? "", /default-src 'self'/);
    });
  });

  describe("a picture", () => {
    for (const [kind, { content, type }] of Object.entries(pictures)) {
      it(`of kind ${kind} is served by every instance as it came`, async () => {
        const address = pictureOn(await page(await add({ picture: content })));
        assert.match(address, new RegExp(`^/pictures/[0-9a-f]{32}\\.${kind}$`));
        for (const base of Object.values(bases)) {
          const answer = await fetch(base + address);
          assert.equal(answer.headers.get("content-type"), type);
          assert.deepEqual(Buffer.from(await answer.arrayBuffer()), content);
        }
      });
    }

    it("may be as large as the form's limit, and leaves no other file", async () => {
      const large = png(4.9 * 1024 * 1024);
      const address = pictureOn(await page(await add({ picture: large })));
      const answer = await fetch(bases["web-1"] + address);
      assert.deepEqual(Buffer.from(await answer.arrayBuffer()), large);
      assert.equal(await container.run("find /srv/uploads -name '.*' -type f"), "");
    });

    it("that is none is refused by its content, whatever its name says", async () => {
      const before = await container.run("ls /srv/uploads");
      for (const content of ["<svg/>", "GIF87", "RIFF0000WAVE", "\0"]) {
        const { status } = await post({ title: "x", text: "x", picture: Buffer.from(content) });
        assert.equal(status, 415, content);
      }
      assert.equal(await container.run("ls /srv/uploads"), before);
    });

    it("of another folder, or one that is still being written, is not there", async () => {
      await container.run("echo secret > /srv/uploads/.upload-x");
      for (const name of ["..%2flink-key", "%2e%2e%2flink-key", ".upload-x", "none.png"]) {
        assert.equal((await fetch(`${bases["web-1"]}/pictures/${name}`)).status, 404, name);
      }
      await container.run("rm /srv/uploads/.upload-x");
    });

    it("that cannot be stored now is refused with the time to come again", async () => {
      await container.run("chmod 0500 /srv/uploads");
      const wish = { title: "no room", text: "x", picture: png() };
      const answer = await post(wish).finally(() => container.run("chmod 0755 /srv/uploads"));
      assert.deepEqual([answer.status, answer.headers.get("retry-after")], [503, "10"]);
      assert.equal(await count("title = 'no room'"), 0);
    });
  });

  describe("an idempotency key", () => {
    it("adds one note, however often and wherever it is sent", async () => {
      const wish = { title: "once", key: randomUUID(), picture: png() };
      const all = Array.from({ length: 12 }, (_, index) =>
        add(wish, Object.values(bases)[index % 2]),
      );
      assert.equal(new Set(await Promise.all(all)).size, 1);
      assert.equal(await count("title = 'once'"), 1);
    });

    it("is in the form", async () => {
      const key = /name="key" value="(\w+)"/.exec(await page("/"))?.[1] ?? "";
      const body = new URLSearchParams({ key, title: "by form", text: "x" });
      for (let turn = 0; turn < 2; turn += 1) {
        await fetch(`${bases["web-1"]}/notes`, { method: "POST", body, redirect: "manual" });
      }
      assert.equal(await count(`key = '${key}'`), 1);
    });

    it("is refused for another note, and where it is none", async () => {
      const key = randomUUID();
      await add({ key });
      assert.equal((await post({ title: "another", text: "A text", key })).status, 409);
      for (const bad of ["a b", "x".repeat(65), "k;y"]) {
        assert.equal((await post({ title: "x", text: "x", key: bad })).status, 400, bad);
      }
    });
  });

  describe("the link of whoever added a note", () => {
    const remove = (path: string, token: string) =>
      fetch(`${bases["web-2"]}${path}/delete`, {
        method: "POST",
        body: new URLSearchParams({ token }),
        redirect: "manual",
      });

    it("deletes the note and its picture at any instance, and may be sent again", async () => {
      const link = await add({ title: "to be deleted", picture: png() });
      const [path = "", token = ""] = link.split("?token=");
      const shown = await page(link);
      assert.ok(shown.includes(`name="token" value="${token}"`));
      assert.doesNotMatch(await page(path), /name="token"/, "nobody else is told");
      for (let turn = 0; turn < 2; turn += 1) {
        assert.equal((await remove(path, token)).status, 303);
      }
      assert.equal(await count("title = 'to be deleted'"), 0);
      assert.equal((await fetch(bases["web-1"] + pictureOn(shown))).status, 404);
    });

    it("is of no use for another note, nor is a made-up one", async () => {
      const [, token = ""] = (await add()).split("?token=");
      const [path = ""] = (await add({ title: "another's" })).split("?");
      for (const wrong of [token, "", "0".repeat(64), "ä"]) {
        assert.equal((await remove(path, wrong)).status, 403);
      }
      assert.equal(await count("title = 'another''s'"), 1);
    });
  });

  describe("bad input", () => {
    const wrong: Readonly<Record<string, Wish>> = {
      "no title": { text: "x" },
      "no text": { title: "x" },
      "a blank title": { title: " \t ", text: "x" },
      "a title of invisible marks": { title: "\u200b\u200e\u202e", text: "x" },
      "a title too long": { title: "x".repeat(201), text: "x" },
      "a text too long": { title: "x", text: "x".repeat(5001) },
      "a NUL": { title: "x\0y", text: "x" },
    };
    for (const [what, wish] of Object.entries(wrong)) {
      it(`${what} is refused`, async () => {
        const before = await count();
        assert.equal((await post(wish)).status, 400);
        assert.equal(await count(), before);
      });
    }

    it("a body too large is refused, by the program and by its server", async () => {
      const tooLarge = (megabytes: number) =>
        post({ title: "x", text: "x", picture: png(megabytes * 1024 * 1024) });
      assert.equal((await tooLarge(5.5)).status, 413);
      // The server answers and closes before it has read all: the client may miss the answer
      const status = await tooLarge(7).then(
        (answer) => answer.status,
        (error: Error) => (error.cause as NodeJS.ErrnoException).code,
      );
      assert.ok([413, "EPIPE", "ECONNRESET", "UND_ERR_SOCKET"].includes(status ?? ""), `${status}`);
      assert.equal(await count("title = 'x'"), 0);
    });

    it("no request gets a 5xx, whatever its target, method and form", async () => {
      const targets = [
        ...["/", "*", "//", "/notes", "/notes/0", "/notes/-1", "/notes/x", "/%00", "/%ff", "/?%00"],
        ...["/notes/99999999999999999999999", "/?before=99999999999999999999999", "/?before=-5"],
        ...[
          "/?before=x",
          "/pictures/%00",
          "/pictures/",
          "http://other/",
          "/notes/1/delete",
          "/../",
        ],
        `/${"x".repeat(5000)}`,
      ];
      const bodies: [string, string][] = [
        ["text/plain", "x"],
        ["multipart/form-data", "x"],
        ["multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data\r\n\r\n"],
        ["application/x-www-form-urlencoded", "title=%ff%00&text=%"],
      ];
      for (const path of targets) {
        for (const method of ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "X"]) {
          const [type, body] = bodies[path.length % bodies.length] ?? ["", ""];
          const status = await ask(method, path, method === "POST" ? { type, body } : undefined);
          assert.ok(status >= 200 && status < 500, `${method} ${path}: ${status}`);
        }
      }
    });
  });

  describe("the job", () => {
    const sweep = (days = 15) =>
      container.run(`${environment({
        DATABASE_URL: pair.url("app_web", "hastack", "read-write", authority),
        HASTACK_KEEP_FILES_DAYS: days,
      })}
        cd ${folder}; ${asUser} ${jobs[0].command.join(" ")}`);
    const find = async (where: string) =>
      (await container.run(`find ${where} -type f -printf '%f\\n'`)).split("\n").filter(Boolean);
    const files = () => find("/srv/uploads -name .trash -prune -o");
    const trash = () => find("/srv/uploads/.trash");
    const marker = "/srv/uploads/.hastack-restore";
    /** A note that is deleted again. @returns its picture's name */
    const removed = async () => {
      const link = await add({ title: "removed", picture: png() });
      const [path = "", token = ""] = link.split("?token=");
      const name =
        pictureOn(await page(link))
          .split("/")
          .at(-1) ?? "";
      const body = new URLSearchParams({ token });
      const answer = await fetch(`${bases["web-1"]}${path}/delete`, {
        ...{ method: "POST", body, redirect: "manual" },
      });
      assert.equal(answer.status, 303);
      return name;
    };
    const age = (minutes: number, ...names: string[]) =>
      container.run(`cd /srv/uploads; touch -d '${minutes} minutes ago' ${names.join(" ")}`);

    it("removes old pictures that no note has, and no other", async () => {
      const picture = pictureOn(await page(await add({ title: "swept", picture: png() })));
      const used = picture.split("/").at(-1) ?? "";
      const old = ["no-note.png", ".upload-0123"];
      await age(90, ...(await files()), ...old);
      // An upload whose note is about to be stored
      await age(50, "young.png");
      await container.run(
        "mkdir -p /srv/uploads/folder; touch -d '2 hours ago' /srv/uploads/folder",
      );
      const before = await files();
      assert.ok([...old, used].every((name) => before.includes(name)));
      const noted = await pair.sql("SELECT picture FROM note WHERE picture IS NOT NULL", "hastack");
      const stay = [...new Set(noted.split("\n")), "young.png"];
      const gone = before.filter((name) => !stay.includes(name));
      assert.equal(await sweep(), `${gone.length} pictures removed that no note has`);
      assert.deepEqual((await files()).sort(), stay.sort());
      const kept = await trash();
      assert.deepEqual(
        gone.filter((name) => !kept.includes(name)),
        gone.filter((name) => name.startsWith(".")),
      );
      assert.equal((await fetch(bases["web-1"] + picture)).status, 200);
      assert.equal(await sweep(), "0 pictures removed that no note has");
      await container.run("rm -r /srv/uploads/young.png /srv/uploads/folder");
    });

    it("O3: keeps a removed picture in the trash for its days, counted from the removal", async () => {
      const name = await removed();
      assert.deepEqual(
        [(await files()).includes(name), (await trash()).includes(name)],
        [false, true],
      );
      assert.equal((await fetch(`${bases["web-1"]}/pictures/.trash%2F${name}`)).status, 404);
      await container.run(`touch -d '1 year ago' /srv/uploads/.trash/${name}`);
      await sweep();
      assert.ok((await trash()).includes(name));
      await sweep(0);
      assert.deepEqual(await trash(), []);
    });

    it("O3: brings back from the trash what a note names again, and removes none of it", async () => {
      const picture = pictureOn(await page(await add({ title: "restored", picture: png() })));
      const name = picture.split("/").at(-1) ?? "";
      await container.run(`mv /srv/uploads/${name} /srv/uploads/.trash/`);
      await sweep(0);
      assert.equal((await fetch(bases["web-1"] + picture)).status, 200);
    });

    it("O3: does nothing while the stack is being restored, nor does an instance", async () => {
      const before = await removed();
      await container.run(`touch ${marker}`);
      await age(90, "no-note.png");
      const name = await removed();
      assert.equal(await sweep(0), "nothing is removed: the stack is being restored");
      const there = await files();
      for (const one of [name, "no-note.png"]) assert.ok(there.includes(one), one);
      assert.ok((await trash()).includes(before));
      await container.run(`rm ${marker}`);
      await age(90, name);
      assert.equal(await sweep(), "2 pictures removed that no note has");
      const kept = await trash();
      for (const one of [name, before, "no-note.png"]) assert.ok(kept.includes(one), one);
    });

    it("removes nothing when it cannot ask the database", async () => {
      await age(90, "no-note.png");
      const nowhere = environment({ DATABASE_URL: "postgresql://app_web@127.0.0.1:1/hastack" });
      const { code } = await container.attempt(
        `${nowhere}\ncd ${folder}; ${asUser} ${jobs[0].command.join(" ")}`,
      );
      assert.equal(code, 1);
      assert.ok((await files()).includes("no-note.png"));
      await sweep();
    });
  });

  it("takes many notes at once, and loses none", async () => {
    const titles = Array.from({ length: 200 }, (_, index) => `many ${index}`);
    const waiting = [...titles];
    const workers = Array.from({ length: 20 }, async (_, index) => {
      for (let one = waiting.pop(); one !== undefined; one = waiting.pop()) {
        await add({ title: one }, Object.values(bases)[index % 2]);
      }
    });
    await Promise.all(workers);
    assert.equal(await count("title LIKE 'many %'"), titles.length);
  });

  describe("a stop", () => {
    it("drains: health says so while it serves on; uploads under way end well", async () => {
      const answer = await fetch(`${bases["web-2"]}/health`);
      assert.equal(await answer.text(), `ok ${release}\n`);
      const slow = slowUpload(bases["web-2"], 5);
      await sleep(500);
      await signal("web-2");
      const left = Date.now() + 1500;
      while (Date.now() < left) {
        const health = await fetch(`${bases["web-2"]}/health`);
        assert.deepEqual([health.status, await health.text()], [503, `draining ${release}\n`]);
        assert.equal((await fetch(bases["web-2"])).status, 200);
        await add({}, bases["web-2"]);
      }
      assert.equal(await slow, 303);
      assert.equal(await ended("web-2", 5), "0");
      await begin("web-2");
    });

    it("with nothing to do ends after its drain; a second signal changes nothing", async () => {
      const since = Date.now();
      await signal("web-2");
      await signal("web-2");
      assert.equal(await ended("web-2", 10), "0");
      const seconds = (Date.now() - since) / 1000;
      assert.ok(seconds > 1.9 && seconds < 4.5, `${seconds} s`);
      await begin("web-2");
    });
  });

  describe("the database", () => {
    it("restarts: requests wait, none fails, nothing is lost", async () => {
      const clients = new Clients();
      await sleep(1000);
      await pair.kill("primary");
      await sleep(3000);
      await pair.startPrimary();
      await sleep(2000);
      assert.deepEqual(await clients.stop(), []);
      assert.deepEqual(clients.failures, []);
      assert.ok(clients.added.length > 20 && clients.reads > 100);
    });

    it("loses its standby: reads go to the primary", async () => {
      await pair.kill("standby");
      const since = Date.now();
      for (let turn = 0; turn < 20; turn += 1) {
        assert.equal((await fetch(bases["web-1"])).status, 200);
      }
      assert.ok(Date.now() - since < 2000, `${Date.now() - since} ms`);
      await pair.startStandby();
    });

    it("fails over: reads go on, writes wait for the new primary, nothing is lost", async () => {
      const clients = new Clients();
      await sleep(1000);
      await pair.kill("primary");
      const before = clients.reads;
      await sleep(4000);
      assert.ok(clients.reads - before > 50, `${clients.reads - before} reads without a primary`);
      await pair.promote();
      await sleep(2000);
      assert.deepEqual(await clients.stop(), []);
      assert.deepEqual(clients.failures, []);
      assert.ok(clients.added.length > 20);
    });

    it("is away for longer: 503 with the time to come again, and health answers", async () => {
      await pair.kill("standby");
      await pair.kill("primary");
      const since = Date.now();
      const seconds = () => (Date.now() - since) / 1000;
      const timed = async (answer: Promise<Response>) => {
        const { status, headers } = await answer;
        return { status, after: seconds(), again: headers.get("retry-after") };
      };
      const writes = Array.from({ length: 40 }, () => timed(post({ title: "t", text: "t" })));
      const reading = timed(fetch(bases["web-1"]));
      const stopped = timed(post({ title: "t", text: "t" }, bases["web-2"]));
      await sleep(500);
      await signal("web-2");
      while (seconds() < 4) {
        const start = Date.now();
        assert.equal((await fetch(`${bases["web-1"]}/health`)).status, 200);
        assert.ok(Date.now() - start < 1000, `health took ${Date.now() - start} ms`);
        await sleep(50);
      }
      const read = await reading;
      assert.deepEqual([read.status, read.again], [503, "2"]);
      assert.ok(read.after > 4.5 && read.after < 9, `read: ${read.after} s`);
      const all = await Promise.all(writes);
      for (const { status, again } of all) assert.deepEqual([status, again], [503, "2"]);
      const waited = all.filter(({ after }) => after > 25);
      assert.equal(waited.length, 24, "as many wait as may");
      assert.ok(Math.max(...waited.map(({ after }) => after)) < 36);
      const { status, after } = await stopped;
      assert.equal(status, 503);
      assert.ok(after > 15 && after < 20, `gave up after ${after} s, before its grace was over`);
      assert.equal(await ended("web-2", 1), "0");
      await pair.startAlone();
      await add({ title: "back again" });
    });
  });
});

/** Sends one request as it is written. @returns its status */
function ask(
  method: string,
  path: string,
  content?: { readonly type: string; readonly body: string },
): Promise<number> {
  return new Promise((resolve, reject) => {
    const call = send(bases["web-1"], {
      ...{ method, path, agent: false },
      ...(content && { headers: { "Content-Type": content.type } }),
    });
    call.on("error", reject);
    call.on("response", (response) => {
      response.resume().on("end", () => resolve(response.statusCode ?? 0));
    });
    call.end(content?.body);
  });
}

/** Posts a note whose picture takes this long to come. @returns the status */
async function slowUpload(base: string, seconds: number): Promise<number> {
  const form = new FormData();
  form.set("title", "slow");
  form.set("text", "slow");
  form.set("picture", new Blob([new Uint8Array(png(100_000))]));
  const whole = new Request(base, { method: "POST", body: form });
  const type = whole.headers.get("content-type") ?? "";
  const body = Buffer.from(await whole.arrayBuffer());
  return new Promise((resolve, reject) => {
    const headers = { "Content-Type": type, "Content-Length": body.length };
    const call = send(`${base}/notes`, { method: "POST", headers, agent: false });
    call.on("error", reject);
    call.on("response", (response) => resolve(response.resume().statusCode ?? 0));
    const steps = seconds * 4;
    const size = Math.ceil(body.length / steps);
    const next = (step: number) => {
      call.write(body.subarray(step * size, (step + 1) * size));
      if (step + 1 < steps) setTimeout(next, 250, step + 1);
      else call.end();
    };
    next(0);
  });
}

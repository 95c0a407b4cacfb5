/** Accounts, bookings and offers on the running stack, while parts of it are lost. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../../../lib/until.ts";
import { addOffer, Bookers } from "../../support/bookers.ts";
import { makeCertificate } from "../../support/certificates.ts";
import { MailServer } from "../../support/mail.ts";
import { fault } from "../../support/measure.ts";
import {
  healed,
  killPostmaster,
  killProcess,
  primaries,
  primary,
  sql,
  startMember,
  storefronts,
} from "../../support/members.ts";
import { mostSeconds, promises } from "../../support/promises.ts";
import type { TestStack } from "../../support/test-stack.ts";
import { pause } from "../../support/traffic.ts";
import { type Refused, Visitor } from "../../support/visitor.ts";

const visitors = 6;

export function travelSuite(stack: TestStack): void {
  describe("the travel agency", () => {
    before(() => healed(stack));

    it("A7: a key without an answer books once, however often it is sent", async () => {
      const offer = await addOffer(stack, 10);
      const visitor = new Visitor(stack);
      await visitor.register();
      const tries = Array.from({ length: 5 }, () => visitor.book(offer.id, 2, "the-same"));
      const ids = new Set((await Promise.all(tries)).map(({ id }) => id));
      assert.equal(ids.size, 1);
      assert.equal(await stock(stack, offer.id), "8|2");
      await assert.rejects(visitor.book(offer.id, 9, "too-many"), (error: Refused) => {
        assert.deepEqual([error.status, error.code], [409, "sold-out"]);
        return true;
      });
    });

    it("A14: what changes offers and destinations wants the administrator's password", async () => {
      const wrong = `Basic ${Buffer.from("admin:wrong").toString("base64")}`;
      for (const authorization of ["", wrong]) {
        for (const path of ["api/offers", "api/content"]) {
          const headers = { ...(authorization && { authorization }) };
          const { status } = await stack.request(path, { method: "POST", headers });
          assert.equal(status, 401, path);
        }
      }
      const { status } = await stack.request("admin", {
        headers: { Authorization: await stack.authorization(), Accept: "text/html" },
      });
      assert.equal(status, 200);
    });

    it("A4, A9: an offer that is added shows at once by both load balancers, though the list is cached", async () => {
      const lists = stack.localUrls.map((base) => `${base}api/offers?place=Testville`);
      for (const list of lists) await warm(stack, list);
      const { name } = await addOffer(stack, 3);
      for (const list of lists) {
        const { body, headers } = await stack.request(list);
        assert.ok(body.includes(name), `${list} lacks the offer (X-Cache: ${headers["x-cache"]})`);
      }
      for (const list of lists) await warm(stack, list);
    });
  });
}

/** What visitors keep while parts of the stack are lost or changed. */
export function visitorsSuite(stack: TestStack): void {
  describe("visitors", () => {
    before(() => healed(stack));

    it("A6: who registers is known to every storefront, without one of them, and after a failover", async () => {
      const visitor = new Visitor(stack);
      await visitor.register();
      assert.deepEqual(await knownAt(visitor), storefronts);
      await stack.place.lose("storefront-1");
      await until("the other storefront knows the visitor", {
        probe: () => knownAt(visitor).catch(() => []),
        done: (names) => names.join() === "storefront-2",
        limitSeconds: 10,
      });
      await startMember(stack, "storefront-1");
      const before = await primary(stack);
      await killPostmaster(stack, before);
      await until("the other member is primary", {
        probe: () => primaries(stack),
        done: (found) => found.length === 1 && found[0] !== before,
        limitSeconds: mostSeconds(promises.primaryProcessKilled, "writes"),
      });
      await healed(stack);
      assert.deepEqual(await knownAt(visitor), storefronts);
      // And the password, which the new primary has as well
      const elsewhere = new Visitor(stack, visitor.account);
      await elsewhere.logIn();
      assert.equal((await elsewhere.whoAmI()).email, visitor.account.email);
    });

    it("A7: many book at once while a storefront, then the primary is lost: nothing is sold twice", async () => {
      const offer = await addOffer(stack, 5000);
      const bookers = await Bookers.register(stack.doors, offer.id, visitors);
      const member = await primary(stack);
      bookers.start();
      await fault(stack, "bookings: primary killed", promises.primaryMachineLost, async () => {
        await killProcess(stack, "storefront-1", "storefront");
        await pause(2000);
        await stack.place.lose(member);
        await until("the standby is promoted", {
          probe: () => primaries(stack),
          done: (found) => found.length === 1 && found[0] !== member,
          limitSeconds: mostSeconds(promises.primaryMachineLost, "writes"),
        });
        await sleep(3000);
        await startMember(stack, member);
      });
      const { gapSeconds, failed, failures } = await bookers.stop();
      console.log(
        `        bookings: longest gap ${gapSeconds.toFixed(2)} s, ${bookers.acknowledged} acknowledged, ${failed} tries failed ${JSON.stringify(failures)}`,
      );
      await bookers.buyOut(97);
      assert.deepEqual(await bookers.missing(), []);
      assert.ok(bookers.acknowledged > 50, `${bookers.acknowledged} bookings`);
      const [left = "", taken = ""] = (await stock(stack, offer.id)).split("|");
      assert.ok(Number(left) >= 0 && Number(left) < 97, `${left} left`);
      assert.equal(Number(left) + Number(taken), 5000, `${left} left, ${taken} taken`);
    });

    it("A6: a reset link comes by mail where there is a mail server, and nobody logs its token", async () => {
      // As the load balancers reach this machine; the application's own network has no way out
      const host = stack.place.ownAddress;
      const issuer = await makeCertificate({ authority: true });
      const mail = await MailServer.start(await makeCertificate({ names: [`IP:${host}`], issuer }));
      const certificateAuthority = issuer.certificate;
      const smtp = { host, port: mail.port, from: "travel@example.org", certificateAuthority };
      try {
        const { origin } = new URL(stack.url);
        stack.configure({ "hastack:smtp": smtp, "hastack:publicUrl": origin });
        await stack.mustUp();
        const visitor = new Visitor(stack);
        await visitor.register();
        await visitor.askForLink();
        const [text = ""] = await until("the mail has come", {
          probe: () => mail.mails,
          done: (mails) => mails.length > 0,
          limitSeconds: 10,
        });
        const [, after = ""] = text.split(`${origin}/reset?token=`);
        const token = /^[\w.-]+/.exec(after)?.[0] ?? "";
        assert.ok(token.length > 20, text);
        await stack.request(`reset?token=${token}`);
        const changed = new Visitor(stack, {
          ...visitor.account,
          password: "another one altogether",
        });
        await changed.resetPassword(token);
        await changed.logIn();
        await assert.rejects(visitor.whoAmI(), /^Error: 401 /, "other sessions are over");
        for (const member of ["lb-1", "lb-2", ...storefronts]) {
          const log = await stack.place.log(member, Number.POSITIVE_INFINITY);
          assert.ok(!log.includes(token), `${member} logs the token`);
        }
      } finally {
        mail.close();
        stack.configure({});
      }
      await stack.mustUp();
    });
  });
}

/** The storefronts that know the visitor; all requests must succeed. */
async function knownAt(visitor: Visitor): Promise<string[]> {
  const names = new Set<string>();
  for (let turn = 0; turn < 6; turn += 1) {
    const { email, servedBy } = await visitor.whoAmI();
    assert.equal(email, visitor.account.email);
    names.add(servedBy);
  }
  return [...names].sort();
}

/** What is left of an offer, and what its bookings hold. */
async function stock(stack: TestStack, offer: number): Promise<string> {
  return sql(
    stack,
    await primary(stack),
    `SELECT quantity, (SELECT coalesce(sum(quantity), 0) FROM booking
                        WHERE offer_id = offer.id AND cancelled_at IS NULL)
       FROM offer WHERE id = ${offer};`,
  );
}

/** Asks until the answer comes from the cache. */
async function warm(stack: TestStack, url: string): Promise<void> {
  await until(`${url} comes from the cache`, {
    probe: () => stack.request(url),
    done: ({ headers }) => headers["x-cache"] === "hit",
    describe: ({ status, headers }) => `${status}, X-Cache: ${headers["x-cache"]}`,
    limitSeconds: 10,
  });
}

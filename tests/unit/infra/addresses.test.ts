import assert from "node:assert/strict";
import fc from "fast-check";
import {
  contains,
  hostAddress,
  hostNumber,
  overlaps,
  prefixLength,
  specialAddress,
  withoutHost,
} from "../../../infra/addresses.ts";
import { numberOf, rangeOf, subnets } from "../../support/unit/subnets.ts";

describe("addresses", () => {
  it("counts past the end of an octet", () => {
    assert.equal(hostAddress("10.1.0.0/16", 300), "10.1.1.44");
    assert.equal(hostAddress("172.28.10.0/24", 1), "172.28.10.1");
    assert.equal(hostAddress("203.0.113.0/24", 127), "203.0.113.127");
  });

  it("reads a prefix length", () => assert.equal(prefixLength("10.1.0.0/16"), 16));

  it("two subnets overlap exactly when they share an address", () => {
    fc.assert(
      fc.property(subnets(20, 28), subnets(20, 28), (one, other) => {
        const [a, b] = [rangeOf(one), rangeOf(other)];
        const shared = a.first <= b.last && b.first <= a.last;
        assert.equal(overlaps(one, other), shared, `${one} and ${other}`);
        assert.equal(overlaps(other, one), shared);
      }),
    );
  });

  it("takes host bits out of a subnet", () => {
    assert.equal(withoutHost("10.1.3.7/22"), "10.1.0.0/22");
    assert.equal(withoutHost("10.1.0.0/24"), "10.1.0.0/24");
  });

  it("knows each address of a subnet by its number, and no other one as inside", () => {
    const drawn = fc.tuple(subnets(20, 28), fc.integer({ min: -300, max: 5000 }));
    fc.assert(
      fc.property(drawn, ([subnet, number]) => {
        const { first, last } = rangeOf(subnet);
        const address = hostAddress(subnet, number);
        assert.equal(hostNumber(subnet, address), number);
        assert.equal(numberOf(address), first + number);
        assert.equal(contains(subnet, address), first + number >= first && first + number <= last);
      }),
    );
  });

  it("knows the two addresses of a subnet that no machine can have", () => {
    const all = Array.from({ length: 16 }, (_, host) => hostAddress("10.1.0.32/28", host));
    assert.deepEqual(
      all
        .filter((address) => specialAddress("10.1.0.32/28", address))
        .map((address) => `${address} is the ${specialAddress("10.1.0.32/28", address)}`),
      ["10.1.0.32 is the network address", "10.1.0.47 is the broadcast address"],
    );
  });
});

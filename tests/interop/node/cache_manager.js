// What programs usually do with cache-manager on @keyv/redis.
"use strict";

const assert = require("node:assert/strict");
const { Keyv } = require("keyv");
const { createKeyv } = require("@keyv/redis");
const { createCache } = require("cache-manager");
const { VALUES, until } = require("./usual.js");

const withCache = (use, options = {}, ...before) => async (url) => {
  const cache = createCache({ stores: [...before.map((make) => make()), createKeyv(url)], ...options });
  try {
    await use(cache, url);
  } finally {
    await cache.disconnect();
  }
};

exports.cache_manager_values = withCache(async (cache) => {
  for (const [key, value] of Object.entries(VALUES)) await cache.set(key, value, 60_000);
  for (const [key, value] of Object.entries(VALUES)) assert.deepEqual(await cache.get(key), value);
  assert.ok((await cache.ttl("text")) > Date.now());
  await cache.del("text");
  assert.equal(await cache.get("text"), undefined);
  await cache.clear();
  assert.equal(await cache.get("number"), undefined);
});

exports.cache_manager_wrap = withCache(async (cache) => {
  let computed = 0;
  const ask = () => cache.wrap("sum", async () => ({ sum: (computed += 1) }), 60_000);
  assert.deepEqual(await Promise.all([ask(), ask(), ask()]), Array(3).fill({ sum: 1 }));
  assert.deepEqual(await ask(), { sum: 1 });
  await cache.del("sum");
  assert.deepEqual(await ask(), { sum: 2 });
});

exports.cache_manager_refreshes = withCache(
  async (cache) => {
    let computed = 0;
    const ask = () => cache.wrap("sum", async () => (computed += 1));
    assert.equal(await ask(), 1);
    await until(async () => (await ask()) >= 2); // what is shown is computed anew behind it
  },
  { ttl: 60_000, refreshThreshold: 61_000 },
);

exports.cache_manager_many = withCache(async (cache) => {
  await cache.mset([
    { key: "a", value: 1, ttl: 60_000 },
    { key: "b", value: [2] },
  ]);
  assert.deepEqual(await cache.mget(["a", "none", "b"]), [1, undefined, [2]]);
  await cache.mdel(["a", "b"]);
  assert.deepEqual(await cache.mget(["a", "b"]), [undefined, undefined]);
});

exports.cache_manager_memory_before_it = withCache(
  async (cache, url) => {
    await cache.set("a", { x: 1 }, 60_000);
    await withCache(async (other) => assert.deepEqual(await other.get("a"), { x: 1 }))(url);
    await cache.stores[0].clear();
    assert.deepEqual(await cache.get("a"), { x: 1 });
    await cache.del("a");
    await withCache(async (other) => assert.equal(await other.get("a"), undefined))(url);
  },
  {},
  () => new Keyv(),
);

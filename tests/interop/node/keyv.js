// What programs usually do with keyv on @keyv/redis.
"use strict";

const assert = require("node:assert/strict");
const { Keyv } = require("keyv");
const { default: KeyvRedis, createKeyv } = require("@keyv/redis");
const { VALUES, until, withRedis } = require("./usual.js");

const withKeyv = (use, options = {}) => async (url) => {
  const keyv = new Keyv({ store: new KeyvRedis(url, { throwOnErrors: true }), namespace: "shop", ...options });
  try {
    await use(keyv, url);
  } finally {
    await keyv.disconnect();
  }
};

exports.keyv_values = withKeyv(async (keyv) => {
  for (const [key, value] of Object.entries(VALUES)) assert.equal(await keyv.set(key, value), true);
  for (const [key, value] of Object.entries(VALUES)) assert.deepEqual(await keyv.get(key), value);
  assert.equal(await keyv.get("none"), undefined);
  assert.equal(await keyv.has("text"), true);
  assert.equal(await keyv.delete("text"), true);
  assert.equal(await keyv.delete("text"), false);
  assert.equal(await keyv.has("text"), false);
});

exports.keyv_times_to_live = withKeyv(
  async (keyv) => {
    await keyv.set("a", 1, 40);
    await keyv.set("b", 2);
    await until(async () => (await keyv.get("a")) === undefined);
    assert.ok((await keyv.getRaw("b")).expires > Date.now() + 50_000);
  },
  { ttl: 60_000 },
);

exports.keyv_many = withKeyv(async (keyv) => {
  await keyv.setMany([
    { key: "a", value: 1 },
    { key: "b", value: { x: 2 }, ttl: 60_000 },
  ]);
  assert.deepEqual(await keyv.getMany(["a", "none", "b"]), [1, undefined, { x: 2 }]);
  assert.deepEqual(await keyv.hasMany(["a", "none"]), [true, false]);
  assert.equal(await keyv.deleteMany(["a", "b"]), true);
  assert.deepEqual(await keyv.getMany(["a", "b"]), [undefined, undefined]);
});

exports.keyv_namespaces_and_clear = withKeyv(async (keyv, url) => {
  const other = createKeyv(url, { namespace: "other" });
  try {
    for (let number = 0; number < 300; number += 1) await keyv.set(`k${number}`, number);
    await other.set("k1", "stays");
    const seen = new Map();
    for await (const [key, value] of keyv.iterator("shop")) seen.set(key, value);
    assert.equal(seen.size, 300);
    await keyv.clear();
    assert.equal(await keyv.get("k1"), undefined);
    assert.equal(await other.get("k1"), "stays");
  } finally {
    await other.disconnect();
  }
});

exports.keyv_clear_of_all = async (url) => {
  const keyv = createKeyv(url, { noNamespaceAffectsAll: true });
  try {
    await keyv.set("a", 1);
    await withRedis((client) => client.set("foreign", "1"))(url);
    await keyv.clear();
    assert.equal(await withRedis((client) => client.dbSize())(url), 0);
  } finally {
    await keyv.disconnect();
  }
};

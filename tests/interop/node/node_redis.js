// What programs usually do with node-redis (the package redis), its client-side cache included.
"use strict";

const assert = require("node:assert/strict");
const redis = require("redis");
const { until, withRedis } = require("./usual.js");

// A client with a cache of its own before it, and another client that changes things.
const withCache = (use) => async (url) => {
  const cache = new redis.BasicClientSideCache({ ttl: 0, maxEntries: 100, evictPolicy: "LRU" });
  const cached = withRedis(
    (client) => withRedis((other) => use(client, other, cache))(url),
    { RESP: 3, clientSideCache: cache },
  );
  await cached(url);
};

exports.node_redis_values = withRedis(async (client) => {
  assert.equal(await client.set("a", "\u00fc", { expiration: { type: "EX", value: 60 } }), "OK");
  assert.equal(await client.get("a"), "\u00fc");
  assert.equal(await client.set("a", "other", { condition: "NX" }), null);
  assert.equal(await client.set("a", "new", { condition: "XX", GET: true }), "\u00fc");
  await client.mSet({ b: "1", c: "2" });
  assert.deepEqual(await client.mGet(["b", "none", "c"]), ["1", null, "2"]);
  assert.equal(await client.incrBy("b", 4), 5);
  assert.equal(await client.getEx("a", { type: "PX", value: 60_000 }), "new");
  assert.ok((await client.pTTL("a")) > 50_000);
  assert.equal(await client.del(["a", "b", "none"]), 2);
});

exports.node_redis_values_in_resp3 = withRedis(valuesInResp3, { RESP: 3 });

async function valuesInResp3(client) {
  await client.set("a", "1");
  assert.equal(await client.get("a"), "1");
  assert.equal(await client.get("none"), null);
  assert.deepEqual(await client.multi().incr("a").ttl("a").exec(), [2, -1]);
  assert.equal((await client.configGet("maxmemory-policy"))["maxmemory-policy"], "noeviction");
}

exports.node_redis_bytes = withRedis(async (client) => {
  const bytes = Buffer.from([0, 255, 13, 10]);
  await client.set("a", bytes);
  const binary = client.withTypeMapping({ [redis.RESP_TYPES.BLOB_STRING]: Buffer });
  assert.deepEqual(await binary.get("a"), bytes);
});

exports.node_redis_transactions = withRedis(async (client, url) => {
  assert.deepEqual(await client.multi().set("n", "1").incrBy("n", 4).get("n").exec(), ["OK", 5, "5"]);
  await client.watch("n");
  await withRedis((other) => other.set("n", "9"))(url);
  await assert.rejects(client.multi().set("n", "0").exec(), redis.WatchError);
  assert.equal(await client.get("n"), "9");
});

exports.node_redis_scripts = withRedis(
  async (client) => {
    assert.equal(await client.add("n", 4), 4);
    await client.scriptFlush();
    assert.equal(await client.add("n", 3), 7);
    await assert.rejects(client.eval("return redis.error_reply('NO not so')"), /NO not so/);
  },
  {
    scripts: {
      add: redis.defineScript({
        SCRIPT: "return redis.call('incrby', KEYS[1], ARGV[1])",
        NUMBER_OF_KEYS: 1,
        parseCommand: (parser, key, number) => {
          parser.pushKey(key);
          parser.push(String(number));
        },
        transformReply: (reply) => reply,
      }),
    },
  },
);

exports.node_redis_messages = withRedis(async (client, url) => {
  await withRedis(async (ear) => {
    const heard = [];
    await ear.subscribe("news", (text, channel) => heard.push(`${channel} ${text}`));
    await ear.pSubscribe("new*", (text, channel) => heard.push(`pattern ${channel} ${text}`));
    assert.equal(await client.publish("news", "\u00fc"), 2);
    await until(() => heard.length === 2);
    assert.deepEqual(heard.sort(), ["news \u00fc", "pattern news \u00fc"]);
    await ear.unsubscribe("news");
    assert.equal((await client.pubSubNumSub(["news"])).news, 0);
  })(url);
});

exports.node_redis_scan_iterator = withRedis(async (client) => {
  await client.mSet([...Array(300).keys()].map((number) => [`page:${number}`, String(number)]));
  await client.set("other", "1");
  const found = new Set();
  for await (const keys of client.scanIterator({ MATCH: "page:*", COUNT: 50, TYPE: "string" })) {
    for (const key of keys) found.add(key);
  }
  assert.equal(found.size, 300);
});

exports.node_redis_pool = async (url) => {
  const pool = redis.createClientPool({ url }, { minimum: 2, maximum: 4 });
  await pool.connect();
  try {
    const counted = await Promise.all([...Array(50).keys()].map(() => pool.incr("n")));
    assert.deepEqual(counted.sort((a, b) => a - b), [...Array(50).keys()].map((number) => number + 1));
    await pool.execute(async (client) => {
      await client.watch("n");
      assert.deepEqual(await client.multi().incr("n").exec(), [51]);
    });
  } finally {
    pool.destroy();
  }
};

exports.node_redis_comes_back = withRedis(
  async (client, url) => {
    const id = await client.clientId();
    await withRedis((other) => other.clientKill({ filter: "ID", id: String(id) }))(url);
    await until(async () => (await client.set("a", "1").catch(() => null)) === "OK");
    assert.notEqual(await client.clientId(), id);
  },
  { socket: { reconnectStrategy: () => 10 } },
);

exports.node_redis_client_side_cache = withCache(async (client, other, cache) => {
  await other.set("a", "old");
  assert.equal(await client.get("a"), "old");
  assert.equal(await client.get("a"), "old");
  assert.equal(cache.stats().hitCount, 1);
  assert.equal(await client.get("none"), null);
  await other.set("a", "new");
  await other.set("none", "there");
  await until(async () => (await client.get("a")) === "new");
  await until(async () => (await client.get("none")) === "there");
});

exports.node_redis_client_side_cache_of_many = withCache(async (client, other, cache) => {
  await other.mSet({ a: "1", b: "2" });
  assert.deepEqual(await client.mGet(["a", "b"]), ["1", "2"]);
  assert.deepEqual(await client.mGet(["a", "b"]), ["1", "2"]);
  assert.equal(cache.stats().hitCount, 1);
  await other.del("b");
  await until(async () => (await client.mGet(["a", "b"]))[1] === null);
  await client.set("a", "own");
  await until(async () => (await client.get("a")) === "own");
});

exports.node_redis_client_side_cache_and_expiry = withCache(async (client, other) => {
  await other.set("a", "1", { expiration: { type: "PX", value: 60 } });
  await client.get("a");
  await until(async () => (await client.get("a")) === null);
});

exports.node_redis_client_side_cache_and_flush = withCache(async (client, other) => {
  await other.set("a", "1");
  assert.equal(await client.get("a"), "1");
  await other.flushAll();
  await until(async () => (await client.get("a")) === null);
});

exports.node_redis_client_side_cache_of_a_pool = async (url) => {
  const cache = new redis.BasicPooledClientSideCache({ ttl: 0, maxEntries: 100, evictPolicy: "LRU" });
  const pool = redis.createClientPool({ url, RESP: 3 }, { minimum: 2, maximum: 2, clientSideCache: cache });
  await pool.connect();
  try {
    await withRedis(async (other) => {
      await other.set("a", "old");
      for (let time = 0; time < 4; time += 1) assert.equal(await pool.get("a"), "old");
      assert.ok(cache.stats().hitCount >= 2);
      await other.set("a", "new");
      await until(async () => (await pool.get("a")) === "new");
    })(url);
  } finally {
    pool.destroy();
  }
};

exports.node_redis_hashes = withRedis(async (client) => {
  await client.hSet("user", { name: "ada", age: 36 });
  assert.equal(await client.hGet("user", "name"), "ada");
});

exports.node_redis_ranks_of_sorted_sets = withRedis(async (client) => {
  await client.zAdd("ranks", [{ score: 2, value: "ada" }, { score: 1, value: "bob" }]);
  assert.deepEqual(await client.zRange("ranks", 0, -1), ["bob", "ada"]);
});

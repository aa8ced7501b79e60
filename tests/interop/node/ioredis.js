// What programs usually do with ioredis.
"use strict";

const assert = require("node:assert/strict");
const IORedis = require("ioredis");
const { until, withIORedis } = require("./usual.js");

exports.ioredis_values = withIORedis(async (client) => {
  assert.equal(await client.set("a", "\u00fc", "EX", 60), "OK");
  assert.equal(await client.get("a"), "\u00fc");
  assert.equal(await client.set("a", "other", "NX"), null);
  const bytes = Buffer.from([0, 255, 13, 10]);
  await client.set("b", bytes);
  assert.deepEqual(await client.getBuffer("b"), bytes);
  await client.mset(new Map([["c", "1"], ["d", "2"]]));
  assert.deepEqual(await client.mget("c", "none", "d"), ["1", null, "2"]);
  assert.equal(await client.incrbyfloat("c", 0.5), "1.5");
  assert.equal(await client.incr("d"), 3);
  assert.equal(await client.getdel("d"), "3");
  assert.equal(await client.del("a", "b", "none"), 2);
});

exports.ioredis_times_to_live = withIORedis(async (client) => {
  await client.setex("a", 60, "1");
  assert.ok((await client.ttl("a")) > 50);
  assert.equal(await client.expire("a", 10, "GT"), 0);
  assert.equal(await client.persist("a"), 1);
  assert.equal(await client.ttl("a"), -1);
  await client.psetex("b", 40, "1");
  await until(async () => (await client.exists("b")) === 0);
});

exports.ioredis_pipelines = withIORedis(async (client) => {
  const replies = await client.pipeline().set("n", 5).incr("n").get("n").incr("n", "too", "many").exec();
  assert.deepEqual(replies.slice(0, 3), [[null, "OK"], [null, 6], [null, "6"]]);
  assert.match(replies[3][0].message, /wrong number of arguments/);
});

exports.ioredis_automatic_pipelines = withIORedis(
  async (client) => {
    await Promise.all([...Array(200).keys()].map((number) => client.set(`k${number}`, number)));
    const values = await Promise.all([...Array(200).keys()].map((number) => client.get(`k${number}`)));
    assert.deepEqual(values, [...Array(200).keys()].map(String));
  },
  { enableAutoPipelining: true },
);

exports.ioredis_transactions = withIORedis(async (client, url) => {
  assert.deepEqual(await client.multi().set("n", 1).incrby("n", 4).exec(), [[null, "OK"], [null, 5]]);
  await client.watch("n");
  await withIORedis((other) => other.set("n", 9))(url);
  assert.equal(await client.multi().set("n", 0).exec(), null);
  assert.equal(await client.get("n"), "9");
});

exports.ioredis_commands_of_scripts = withIORedis(async (client) => {
  client.defineCommand("swap", {
    numberOfKeys: 1,
    lua: "local old = redis.call('get', KEYS[1]) redis.call('set', KEYS[1], ARGV[1]) return {old, #ARGV}",
  });
  assert.deepEqual(await client.swap("k", "one"), [null, 1]);
  await client.script("FLUSH"); // EVALSHA is refused, EVAL follows
  assert.deepEqual(await client.swap("k", "two", "more"), ["one", 2]);
  assert.deepEqual((await client.pipeline().swap("k", "x").get("k").exec()).at(-1), [null, "x"]);
});

exports.ioredis_messages = withIORedis(async (client, url) => {
  const ear = new IORedis(url);
  try {
    const heard = [];
    ear.on("message", (channel, text) => heard.push([channel, text]));
    ear.on("pmessage", (pattern, channel, text) => heard.push([pattern, channel, text]));
    assert.equal(await ear.subscribe("news", "sport"), 2);
    assert.equal(await ear.psubscribe("new*"), 3);
    assert.equal(await client.publish("news", "\u00fc"), 2);
    await until(() => heard.length === 2);
    assert.deepEqual(heard.sort(), [["new*", "news", "\u00fc"], ["news", "\u00fc"]]);
    assert.equal(await ear.unsubscribe("news"), 2);
  } finally {
    ear.disconnect();
  }
});

exports.ioredis_events_of_keys = withIORedis(async (client, url) => {
  const ear = new IORedis(url);
  try {
    await client.config("SET", "notify-keyspace-events", "KEA");
    const heard = [];
    ear.on("pmessage", (_, channel, key) => heard.push(`${channel} ${key}`));
    await ear.psubscribe("__keyevent@0__:*");
    await client.set("a", 1, "PX", 40);
    const expected = ["set", "expire", "expired"].map((event) => `__keyevent@0__:${event} a`);
    await until(() => heard.length === 3, () => heard.join());
    assert.deepEqual(heard, expected);
  } finally {
    ear.disconnect();
    await client.config("SET", "notify-keyspace-events", "");
  }
});

exports.ioredis_scan_streams = withIORedis(async (client) => {
  await client.mset(...[...Array(300).keys()].flatMap((number) => [`page:${number}`, number]), "other", 1);
  const found = new Set();
  for await (const keys of client.scanStream({ match: "page:*", count: 50 })) for (const key of keys) found.add(key);
  assert.equal(found.size, 300);
});

exports.ioredis_key_prefix_and_database = withIORedis(async (client, url) => {
  const inSite = withIORedis((site) => site.set("a", "1"), { keyPrefix: "site:" });
  await inSite(url.replace(/0$/, "1"));
  assert.equal(await client.get("site:a"), null);
  await client.select(1);
  assert.equal(await client.get("site:a"), "1");
});

exports.ioredis_comes_back = withIORedis(async (client, url) => {
  const heard = [];
  const ear = new IORedis(url, { retryStrategy: () => 10 });
  try {
    ear.on("message", (_, text) => heard.push(text));
    const id = await ear.client("ID");
    await ear.subscribe("news");
    const [, subscribed] = await client.pubsub("NUMSUB", "news");
    assert.equal(subscribed, 1);
    const again = new Promise((resolve) => ear.once("ready", resolve));
    assert.equal(await client.client("KILL", "ID", id), 1);
    await again;
    await until(async () => (await client.publish("news", "hello again")) === 1);
    await until(() => heard.includes("hello again"));
  } finally {
    ear.disconnect();
  }
});

exports.ioredis_monitor = withIORedis(async (client) => {
  const monitor = await client.monitor();
  const seen = [];
  monitor.on("monitor", (_, words) => seen.push(words.join(" ")));
  await client.set("a", "b");
  await until(() => seen.includes("set a b"));
  monitor.disconnect();
});

exports.ioredis_hashes = withIORedis(async (client) => {
  await client.hset("user", { name: "ada", age: 36 });
  assert.deepEqual(await client.hgetall("user"), { name: "ada", age: "36" });
});

exports.ioredis_queues_of_lists = withIORedis(async (client) => {
  await client.lpush("jobs", "one", "two");
  assert.deepEqual(await client.brpop("jobs", 1), ["jobs", "one"]);
});

// What programs usually do with connect-redis: sessions of express-session.
"use strict";

const assert = require("node:assert/strict");
const session = require("express-session");
const { RedisStore } = require("connect-redis");
const { withRedis, withSite } = require("./usual.js");

const withStore = (use, options = {}) =>
  withRedis((client) => use(new RedisStore({ client, prefix: "shop:", ...options }), client));

const HOUR_MS = 3_600_000;
const COOKIE = { originalMaxAge: HOUR_MS, expires: new Date(Date.now() + HOUR_MS).toISOString() };

exports.connect_redis_a_visit = withStore(async (store, client) => {
  const sessions = session({ store, secret: "of the site", resave: false, saveUninitialized: false });
  const page = (request, response) => {
    if (request.url === "/out") {
      request.session.destroy(() => response.end("out"));
      return;
    }
    request.session.visits = (request.session.visits ?? 0) + 1;
    response.end(String(request.session.visits));
  };
  await withSite([sessions], page, async (ask) => {
    const [, first, headers] = await ask("/");
    const cookie = headers.get("set-cookie").split(";")[0];
    assert.equal(first, "1");
    assert.equal((await ask("/", { cookie }))[1], "2");
    assert.equal((await ask("/", { cookie }))[1], "3");
    assert.equal((await ask("/"))[1], "1");
    const [key] = (await client.keys("shop:*")).filter((name) => cookie.includes(name.slice("shop:".length)));
    assert.ok((await client.ttl(key)) > 80_000);
    await ask("/out", { cookie });
    assert.equal(await client.exists(key), 0);
    assert.equal((await ask("/", { cookie }))[1], "1");
  });
});

exports.connect_redis_lists_sessions = withStore(async (store) => {
  for (let number = 0; number < 120; number += 1) await store.set(`s${number}`, { cookie: COOKIE, number });
  assert.equal(await store.length(), 120);
  assert.equal((await store.ids()).length, 120);
  const numbers = (await store.all()).map((one) => one.number);
  assert.deepEqual(numbers.sort((a, b) => a - b), [...Array(120).keys()]);
  await store.clear();
  assert.equal(await store.length(), 0);
});

exports.connect_redis_touch = withStore(async (store, client) => {
  await store.set("a", { cookie: COOKIE, user: 7 });
  await client.expire("shop:a", 5);
  await store.touch("a", { cookie: COOKIE });
  assert.ok((await client.ttl("shop:a")) > 5);
  assert.equal((await store.get("a")).user, 7);
  await store.destroy("a");
  assert.ok(!(await store.get("a")));
});

exports.connect_redis_of_no_end = withStore(
  async (store, client) => {
    await store.set("a", { cookie: COOKIE });
    assert.equal(await client.ttl("shop:a"), -1);
  },
  { disableTTL: true },
);

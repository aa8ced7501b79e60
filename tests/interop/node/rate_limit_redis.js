// What programs usually do with rate-limit-redis: express-rate-limit's store, on ioredis and on node-redis.
"use strict";

const assert = require("node:assert/strict");
const { rateLimit } = require("express-rate-limit");
const { RedisStore } = require("rate-limit-redis");
const { withIORedis, withRedis, withSite } = require("./usual.js");

const ofIORedis = (client) => new RedisStore({ sendCommand: (name, ...words) => client.call(name, ...words) });
const ofRedis = (client) => new RedisStore({ sendCommand: (...words) => client.sendCommand(words) });

const limiterOf = (store, options = {}) =>
  rateLimit({
    windowMs: 60_000,
    limit: 2,
    store,
    standardHeaders: "draft-7",
    validate: false, // what it looks at is Express', which is not here
    keyGenerator: (request) => request.headers["x-user"],
    handler: (_, response) => response.writeHead(429).end("slowly"),
    ...options,
  });

const page = (request, response) => response.writeHead(request.url === "/bad" ? 404 : 200).end("page");

const visit = (store) =>
  withSite([limiterOf(store)], page, async (ask) => {
    const statuses = [];
    for (const user of ["ada", "ada", "ada", "bob"]) statuses.push((await ask("/", { "x-user": user }))[0]);
    assert.deepEqual(statuses, [200, 200, 429, 200]);
    assert.match((await ask("/", { "x-user": "ada" }))[2].get("ratelimit"), /limit=2, remaining=0, reset=\d+/);
  });

exports.rate_limit_redis_on_ioredis = withIORedis((client) => visit(ofIORedis(client)));

exports.rate_limit_redis_on_node_redis = withRedis((client) => visit(ofRedis(client)));

exports.rate_limit_redis_store = withIORedis(async (client) => {
  const store = ofIORedis(client);
  store.init({ windowMs: 60_000 });
  assert.equal((await store.increment("ada")).totalHits, 1);
  const second = await store.increment("ada");
  assert.ok(second.totalHits === 2 && second.resetTime > new Date());
  await store.decrement("ada");
  assert.equal((await store.get("ada")).totalHits, 1);
  await store.resetKey("ada");
  assert.equal((await store.increment("ada")).totalHits, 1);
});

exports.rate_limit_redis_counts_failures_only = withIORedis((client) => {
  const limiter = limiterOf(ofIORedis(client), { skipSuccessfulRequests: true });
  return withSite([limiter], page, async (ask) => {
    const statuses = [];
    for (const path of ["/", "/", "/", "/bad", "/bad", "/bad"]) {
      statuses.push((await ask(path, { "x-user": "ada" }))[0]);
    }
    assert.deepEqual(statuses, [200, 200, 200, 404, 404, 429]);
  });
});

exports.rate_limit_redis_scripts_are_forgotten = withIORedis(async (client) => {
  const store = ofIORedis(client);
  store.init({ windowMs: 60_000 });
  await store.increment("ada");
  await client.script("FLUSH");
  assert.equal((await store.increment("ada")).totalHits, 2);
});

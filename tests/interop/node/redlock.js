// What programs usually do with redlock, on one server.
"use strict";

const assert = require("node:assert/strict");
const Redlock = require("redlock");
const { using } = require("bluebird");
const { withIORedis } = require("./usual.js");

const withRedlock = (use) =>
  withIORedis((client) => {
    const redlock = (options = {}) => new Redlock([client], { retryCount: 0, ...options });
    return use(redlock, client);
  });

exports.redlock_lock = withRedlock(async (redlock, client) => {
  const lock = await redlock().lock("job", 30_000);
  assert.equal(await client.get("job"), lock.value);
  await assert.rejects(redlock().lock("job", 30_000), Redlock.LockError);
  await lock.unlock();
  assert.equal(await client.exists("job"), 0);
  await (await redlock().lock("job", 30_000)).unlock();
});

exports.redlock_extend = withRedlock(async (redlock, client) => {
  const lock = await redlock().lock("job", 10_000);
  const longer = await lock.extend(60_000);
  assert.ok((await client.pttl("job")) > 50_000);
  await client.set("job", "stolen");
  await assert.rejects(longer.extend(60_000), Redlock.LockError);
  await assert.rejects(longer.unlock(), Redlock.LockError);
});

exports.redlock_of_many = withRedlock(async (redlock, client) => {
  const both = await redlock().lock(["a", "b"], 30_000);
  await assert.rejects(redlock().lock(["b", "c"], 30_000), Redlock.LockError);
  assert.equal(await client.exists("a", "b", "c"), 2);
  await both.unlock();
  assert.equal(await client.exists("a", "b"), 0);
});

exports.redlock_waits = withRedlock(async (redlock) => {
  const order = [];
  const first = await redlock().lock("job", 30_000);
  const second = redlock({ retryCount: 500, retryDelay: 10 }).lock("job", 30_000);
  second.then(() => order.push("second"));
  order.push("first");
  await first.unlock();
  await (await second).unlock();
  assert.deepEqual(order, ["first", "second"]);
});

exports.redlock_waits_for_the_end_of_a_lock = withRedlock(async (redlock, client) => {
  await redlock().lock("job", 30_000);
  await client.pexpire("job", 40); // its owner is gone
  await (await redlock({ retryCount: 500, retryDelay: 10 }).lock("job", 30_000)).unlock();
});

exports.redlock_disposer = withRedlock(async (redlock, client) => {
  await using(redlock().disposer("job", 30_000), async () => assert.equal(await client.exists("job"), 1));
  assert.equal(await client.exists("job"), 0);
});

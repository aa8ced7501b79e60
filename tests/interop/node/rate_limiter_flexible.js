// What programs usually do with rate-limiter-flexible, on ioredis and on node-redis.
"use strict";

const assert = require("node:assert/strict");
const {
  BurstyRateLimiter,
  RateLimiterMemory,
  RateLimiterQueue,
  RateLimiterRedis,
  RateLimiterUnion,
} = require("rate-limiter-flexible");
const IORedis = require("ioredis");
const { until, withIORedis, withRedis } = require("./usual.js");

const MINUTE = { points: 3, duration: 60 };

const refused = (promise) =>
  promise.then(
    () => assert.fail("it was let through"),
    (answer) => {
      if (answer instanceof Error) throw answer;
      return answer;
    },
  );

async function counts(limiter) {
  for (let left = 2; left >= 0; left -= 1) {
    assert.equal((await limiter.consume("ada")).remainingPoints, left);
  }
  const answer = await refused(limiter.consume("ada"));
  assert.ok(answer.msBeforeNext > 50_000 && answer.consumedPoints === 4);
  assert.equal((await limiter.consume("bob", 2)).remainingPoints, 1);
  assert.equal((await limiter.get("ada")).consumedPoints, 4);
  assert.equal(await limiter.get("nobody"), null);
}

exports.rate_limiter_flexible_counts = withIORedis((storeClient) =>
  counts(new RateLimiterRedis({ storeClient, ...MINUTE })),
);

exports.rate_limiter_flexible_counts_on_node_redis = withRedis((storeClient) =>
  counts(new RateLimiterRedis({ storeClient, useRedisPackage: true, ...MINUTE })),
);

exports.rate_limiter_flexible_windows = withIORedis(async (storeClient) => {
  const limiter = new RateLimiterRedis({ storeClient, points: 1, duration: 60 });
  await limiter.consume("ada");
  await refused(limiter.consume("ada"));
  await storeClient.pexpire(limiter.getKey("ada"), 40);
  await until(() => limiter.consume("ada").then(() => true, () => false));
});

exports.rate_limiter_flexible_rewards_and_blocks = withIORedis(async (storeClient) => {
  const limiter = new RateLimiterRedis({ storeClient, ...MINUTE });
  assert.equal((await limiter.penalty("ada", 2)).consumedPoints, 2);
  assert.equal((await limiter.reward("ada")).consumedPoints, 1);
  await limiter.set("bob", 3, 60);
  await refused(limiter.consume("bob"));
  assert.equal(await limiter.delete("bob"), true);
  await limiter.consume("bob");
  await limiter.block("cid", 60);
  await refused(limiter.consume("cid"));
});

exports.rate_limiter_flexible_blocks_longer = withIORedis(async (storeClient) => {
  const limiter = new RateLimiterRedis({ storeClient, points: 1, duration: 60, blockDuration: 600 });
  await limiter.consume("ada");
  assert.ok((await refused(limiter.consume("ada"))).msBeforeNext > 500_000);
  assert.ok((await storeClient.pttl(limiter.getKey("ada"))) > 500_000);
});

exports.rate_limiter_flexible_bursts_and_unions = withIORedis(async (storeClient) => {
  const second = new RateLimiterRedis({ storeClient, keyPrefix: "second", points: 1, duration: 60 });
  const burst = new RateLimiterRedis({ storeClient, keyPrefix: "burst", points: 2, duration: 60 });
  const bursty = new BurstyRateLimiter(second, burst);
  for (let time = 0; time < 3; time += 1) await bursty.consume("ada");
  await refused(bursty.consume("ada"));
  const union = new RateLimiterUnion(
    new RateLimiterRedis({ storeClient, keyPrefix: "few", points: 1, duration: 60 }),
    new RateLimiterRedis({ storeClient, keyPrefix: "many", points: 5, duration: 60 }),
  );
  assert.equal((await union.consume("bob")).many.remainingPoints, 4);
  assert.equal((await refused(union.consume("bob"))).few.remainingPoints, 0);
});

exports.rate_limiter_flexible_queue = withIORedis(async (storeClient) => {
  const limiter = new RateLimiterRedis({ storeClient, points: 2, duration: 1 });
  const queue = new RateLimiterQueue(limiter, { maxQueueSize: 3 });
  const waiting = [1, 2, 3, 4].map(() => queue.removeTokens(1));
  assert.equal((await Promise.all(waiting)).length, 4);
});

exports.rate_limiter_flexible_insurance = async (url) => {
  const storeClient = new IORedis(url, { enableOfflineQueue: false, lazyConnect: true });
  const insuranceLimiter = new RateLimiterMemory(MINUTE);
  const limiter = new RateLimiterRedis({ storeClient, insuranceLimiter, rejectIfRedisNotReady: true, ...MINUTE });
  try {
    assert.equal((await limiter.consume("ada")).remainingPoints, 2); // of the memory's
    await storeClient.connect();
    assert.equal((await limiter.consume("ada", 2)).remainingPoints, 1);
    assert.equal(await storeClient.get(limiter.getKey("ada")), "2");
  } finally {
    storeClient.disconnect();
  }
};

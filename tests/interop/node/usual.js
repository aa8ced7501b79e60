// What the uses of the libraries keep, how they wait, and a server and its clients for the middlewares.
"use strict";

const http = require("node:http");
const { setTimeout: pause } = require("node:timers/promises");
const IORedis = require("ioredis");
const redis = require("redis");

const DEADLINE_MS = 30_000;
const POLL_MS = 5;

exports.VALUES = { text: "\u00fc", number: 7, list: [1, null, 2.5], nested: { a: { b: [true] } } };

// Ask until it is true, and return that; an error after the deadline.
exports.until = async (condition, what = String(condition)) => {
  const end = Date.now() + DEADLINE_MS;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${DEADLINE_MS} ms: ${what}`);
    await pause(POLL_MS);
  }
};

// A use with an ioredis client of its own.
exports.withIORedis = (use, options = {}) => async (url) => {
  const client = new IORedis(url, options);
  try {
    return await use(client, url);
  } finally {
    client.disconnect();
  }
};

// A use with a node-redis client of its own.
exports.withRedis = (use, options = {}) => async (url) => {
  const client = redis.createClient({ url, ...options });
  client.on("error", () => {}); // without a listener it would end the process; the command fails as well
  await client.connect();
  try {
    return await use(client, url);
  } finally {
    client.destroy();
  }
};

// A web site of these middlewares, asked by use(ask): ask(path, headers) is its [status, body, headers].
exports.withSite = async (middlewares, page, use) => {
  const server = http.createServer((request, response) => {
    const next = (left) => (error) => {
      if (error) response.writeHead(500).end(String(error));
      else if (left.length > 0) left[0](request, response, next(left.slice(1)));
      else page(request, response);
    };
    request.originalUrl = request.url;
    next(middlewares)();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  const ask = async (path, headers = {}) => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { headers });
    return [answer.status, await answer.text(), answer.headers];
  };
  try {
    return await use(ask);
  } finally {
    server.closeAllConnections();
    server.close();
  }
};

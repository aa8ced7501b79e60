// Runs every use in some files: node run.js URL FILE... A line of JSON for each: its name, and the error or null.
"use strict";

const path = require("node:path");
const IORedis = require("ioredis");

const LIMIT_MS = 60_000;

// What went wrong, with what was the matter beneath it; null if nothing did.
async function outcome(use, url) {
  let timer, unheard;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end within ${LIMIT_MS} ms`)), LIMIT_MS);
  });
  const surprise = new Promise((_, reject) => {
    unheard = reject;
    process.on("unhandledRejection", unheard);
  });
  try {
    await Promise.race([use(url), late, surprise]);
    return null;
  } catch (error) {
    return [error.stack ?? error, ...(error.errors ?? []), error.cause ?? ""].map(String).join("\n");
  } finally {
    clearTimeout(timer);
    process.off("unhandledRejection", unheard);
  }
}

async function main([url, ...files]) {
  const cleaner = new IORedis(url);
  for (const file of files) {
    for (const [name, use] of Object.entries(require(path.resolve(file)))) {
      await cleaner.flushall();
      console.log(JSON.stringify({ use: name, error: await outcome(use, url) }));
    }
  }
  process.exit(0); // whatever a use that failed left open
}

main(process.argv.slice(2));

// A program that takes part in a DMQ channel, in Node without any package: the Redis protocol is a line of text
// each way. With a client library (node-redis, ioredis) it is subscribe("dmq:alerts", ...) and publish().
//
//     dmqcache serve --channel alerts
//     node examples/alerts.js 127.0.0.1 6380
"use strict";

const net = require("node:net");

const [host = "127.0.0.1", port = "6380"] = process.argv.slice(2);
const socket = net.createConnection(Number(port), host);
let heard = Buffer.alloc(0);

// One reply from the bytes at a place: [value, where the next one begins], or null while it is not whole.
function reply(bytes, at) {
  const end = bytes.indexOf("\r\n", at);
  if (end < 0) return null;
  const kind = String.fromCharCode(bytes[at]);
  const text = bytes.toString("utf8", at + 1, end);
  if (kind === "$") {
    const size = Number(text);
    if (size < 0) return [null, end + 2];
    if (bytes.length < end + 2 + size + 2) return null;
    return [bytes.toString("utf8", end + 2, end + 2 + size), end + 2 + size + 2];
  }
  if (!"*>%".includes(kind)) return [kind === ":" ? Number(text) : text, end + 2];
  const parts = [];
  let place = end + 2;
  for (let left = Number(text) * (kind === "%" ? 2 : 1); left > 0; left -= 1) {
    const part = reply(bytes, place);
    if (part === null) return null;
    parts.push(part[0]);
    place = part[1];
  }
  return [parts, place];
}

socket.on("connect", () => {
  // RESP3, so that one connection may both subscribe and publish.
  socket.write("HELLO 3\r\nSUBSCRIBE dmq:alerts\r\nPUBLISH dmq:alerts \"hello from Node\"\r\n");
});

socket.on("data", (bytes) => {
  heard = Buffer.concat([heard, bytes]);
  for (let next = reply(heard, 0); next !== null; next = reply(heard, 0)) {
    heard = heard.subarray(next[1]);
    if (Array.isArray(next[0]) && next[0][0] === "message") {
      const told = JSON.parse(next[0][2]);
      console.log(`${told.node} says: ${told.body ?? "(no text)"}`);
    }
  }
});

function end(problem) {
  console.error(`alerts: ${problem}`);
  process.exit(1);
}

socket.on("error", (problem) => end(problem.message));
socket.on("end", () => end("the node has closed the connection"));

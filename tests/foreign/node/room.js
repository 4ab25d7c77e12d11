"use strict";
// What every Node server here has in common: arguments, clients, schedule, texts. A manner is a deviation that the
// protocol permits; a defect is a single mistake, and `defects.js` has them.

const { parseArgs } = require("node:util");
const defects = require("./defects.js");

const LARGEST = 64 * 1024;
// Bytes that may wait for one client: above the first number nothing more is read from it, above the second it is
// too slow for its push.
const PAUSE_ABOVE = 64 * 1024;
const TOO_SLOW_ABOVE = 256 * 1024;

function readOptions() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      period: { type: "string", default: "300" },
      manner: { type: "string", default: "plain" },
      defect: { type: "string", default: "none" },
      largest: { type: "string", default: String(LARGEST) },
    },
  });
  const known = ["none", ...Object.keys(defects)];
  if (!known.includes(values.defect)) throw new Error(`no such defect; there are ${known}`);
  return { ...values, port: Number(positionals[0]), period: Number(values.period) * 1000, largest: Number(values.largest) };
}

const two = (number) => String(number).padStart(2, "0");

function textOf(instant) {
  const at = new Date(instant);
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `Server push message at ${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** One connection. `socket` has the library's functions: send, close, abort, waiting, pause, resume. */
class Client {
  constructor(room, socket) {
    Object.assign(this, { room, socket, isSubscribed: true, isPaused: false });
  }

  onText(text) {
    if (text === "subscribe") this.isSubscribed = true;
    else if (text === "unsubscribe") this.isSubscribed = false;
    else this.echo(text);
  }

  onBinary() {}

  echo(text) {
    this.socket.send(`Server received: ${text}`);
    if (!this.isPaused && this.socket.waiting() > PAUSE_ABOVE) this.pause();
  }

  // A client that does not read its echoes is not read from either.
  pause() {
    this.isPaused = true;
    this.socket.pause();
    const look = setInterval(() => {
      if (this.socket.waiting() > PAUSE_ABOVE / 2 && this.room.clients.has(this)) return;
      clearInterval(look);
      this.isPaused = false;
      this.socket.resume();
    }, 10);
  }

  push(text) {
    if (this.socket.waiting() > TOO_SLOW_ABOVE) return this.room.evict(this);
    this.socket.send(text);
  }
}

class Room {
  constructor(options) {
    this.options = options;
    this.clients = new Set();
    this.isClosing = false;
  }

  join(socket) {
    const client = new (this.Client ?? Client)(this, socket);
    this.clients.add(client);
    return client;
  }

  leave(client) {
    this.clients.delete(client);
  }

  /** Behind what waits there is no room for a Close, so a client that is too slow is cut off. */
  evict(client) {
    this.leave(client);
    client.socket.close(this.options.manner === "closes-1008" ? 1008 : 1013);
    setTimeout(() => client.socket.abort(), 1000).unref();
  }

  text(instant) {
    return textOf(instant);
  }

  start() {
    this.started = performance.now();
    this.cycle = 0;
    this.wait();
  }

  // One grid for all clients. A cycle that is more than a third of a period late is skipped.
  wait() {
    this.cycle += 1;
    const due = this.started + this.cycle * this.options.period;
    this.timer = setTimeout(() => this.fire(due), Math.max(0, Math.ceil(due - performance.now())));
  }

  fire(due) {
    const late = performance.now() - due;
    if (late <= this.options.period / 3) this.walk(this.text(Date.now() - Math.max(0, late)));
    this.wait();
  }

  walk(text) {
    for (const client of [...this.clients]) if (client.isSubscribed) client.push(text);
  }

  endCode() {
    return this.options.manner === "shuts-down-1012" ? 1012 : 1001;
  }

  exitStatus() {
    return 0;
  }

  drain(exit) {
    clearTimeout(this.timer);
    this.isClosing = true;
    for (const client of this.clients) client.socket.close(this.endCode());
    const limit = Date.now() + 1200;
    const look = setInterval(() => {
      if (this.clients.size > 0 && Date.now() < limit) return;
      clearInterval(look);
      exit();
    }, 10);
  }
}

/** `listen(room)` starts a server and returns what stops it from accepting. */
function main(listen) {
  const options = readOptions();
  const Kind = defects[options.defect] ? defects[options.defect](Room, Client) : Room;
  const room = new Kind(options);
  const stop = listen(room);
  room.start();
  const told = () => {
    stop();
    room.drain(() => process.exit(room.exitStatus()));
  };
  process.once("SIGTERM", told);
  process.once("SIGINT", told);
}

module.exports = { main, textOf, LARGEST };

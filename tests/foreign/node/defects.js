"use strict";
// Single mistakes of an app in Node, by name. Each makes a room (or a room with another client) out of the sound one.

const withClient = (change) => (Room, Client) =>
  class extends Room {
    Client = change(Client);
  };

module.exports = {
  // A message is bytes in this library, and somebody forgot to ask which kind.
  "answers-binary": withClient((Client) => class extends Client {
    onBinary(bytes) {
      this.onText(bytes.toString());
    }
  }),
  "trims-commands": withClient((Client) => class extends Client {
    onText(text) {
      super.onText(["subscribe", "unsubscribe"].includes(text.trim()) ? text.trim() : text);
    }
  }),
  // `if (!text) return` is meant for no message at all.
  "ignores-empty": withClient((Client) => class extends Client {
    echo(text) {
      if (text) super.echo(text);
    }
  }),
  // A string is cut by its number of UTF-16 units.
  "cuts-echoes": withClient((Client) => class extends Client {
    echo(text) {
      super.echo(text.slice(0, 32768));
    }
  }),
  // The text comes back through JSON, and quotation marks with it.
  "escapes-echoes": withClient((Client) => class extends Client {
    echo(text) {
      super.echo(JSON.stringify(text).slice(1, -1));
    }
  }),
  // An async handler: the answers overtake each other.
  "answers-out-of-order": withClient((Client) => class extends Client {
    echo(text) {
      setTimeout(() => super.echo(text), text.length > 40 ? 25 : 2);
    }
  }),
  "replies-to-commands": withClient((Client) => class extends Client {
    onText(text) {
      super.onText(text);
      if (text === "subscribe" || text === "unsubscribe") this.socket.send(JSON.stringify({ ok: true }));
    }
  }),
  // The interval of the room is never cleared for a client that subscribes again.
  "subscribes-twice": withClient((Client) => class extends Client {
    copies = 1;
    onText(text) {
      if (text === "subscribe" && this.isSubscribed) this.copies += 1;
      if (text === "unsubscribe") this.copies = 1;
      super.onText(text);
    }
    push(text) {
      for (let copy = 0; copy < this.copies; copy += 1) super.push(text);
    }
  }),
  // Behind `bufferedAmount > 0` the push is left out: "the client is busy".
  "drops-for-busy": withClient((Client) => class extends Client {
    push(text) {
      if (this.socket.waiting() === 0) super.push(text);
    }
  }),
  "queues-without-bound": withClient((Client) => class extends Client {
    pause() {}
    push(text) {
      this.socket.send(text);
    }
  }),
  // setInterval from the first connection on, cleared with the last.
  "starts-with-first": (Room) => class extends Room {
    start() {}
    join(socket) {
      const client = super.join(socket);
      if (this.clients.size === 1) super.start();
      return client;
    }
    leave(client) {
      super.leave(client);
      if (this.clients.size === 0) clearTimeout(this.timer);
    }
  },
  "interval-per-client": (Room) => class extends Room {
    start() {}
    join(socket) {
      const client = super.join(socket);
      client.timer = setInterval(() => client.isSubscribed && client.push(this.text(Date.now())), this.options.period);
      return client;
    }
    leave(client) {
      super.leave(client);
      clearInterval(client.timer);
    }
  },
  // setTimeout again after each walk: what is late stays late.
  "drifts": (Room) => class extends Room {
    wait() {
      this.timer = setTimeout(() => {
        this.walk(this.text(Date.now()));
        this.wait();
      }, this.options.period * 1.02 + 1);
    }
  },
  // getMonth() counts from zero.
  "month-from-zero": (Room) => class extends Room {
    text(instant) {
      const text = super.text(instant);
      return text.replace(/-(\d\d)-/, (_, month) => `-${String(Number(month) - 1).padStart(2, "0")}-`);
    }
  },
  // toLocaleString is for people.
  "locale-text": (Room) => class extends Room {
    text(instant) {
      return `Server push message at ${new Date(instant).toLocaleString("en-US")}`;
    }
  },
  // toISOString is UTC, wherever the server stands.
  "utc-text": (Room) => class extends Room {
    text(instant) {
      return `Server push message at ${new Date(instant).toISOString().slice(0, 19).replace("T", " ")}`;
    }
  },
  "serves-first-hundred": (Room) => class extends Room {
    walk(text) {
      for (const client of [...this.clients].slice(0, 100)) if (client.isSubscribed) client.push(text);
    }
  },
  // Four milliseconds of synchronous work for each client.
  "works-for-each": (Room) => class extends Room {
    walk(text) {
      const clients = [...this.clients];
      const next = () => {
        const client = clients.shift();
        const until = performance.now() + 4;
        while (performance.now() < until);
        if (client?.isSubscribed && this.clients.has(client)) client.push(text);
        if (clients.length > 0) setImmediate(next);
      };
      next();
    }
  },
  // An exception in the walk ends it: who comes behind gets nothing. The first client that leaves stays on the list.
  "stops-at-a-dead-client": (Room) => class extends Room {
    all = [];
    join(socket) {
      const client = super.join(socket);
      this.all.push(client);
      return client;
    }
    walk(text) {
      for (const client of this.all) {
        if (!this.clients.has(client)) return;
        if (client.isSubscribed) client.push(text);
      }
    }
  },
  "keeps-memory": (Room) => class extends Room {
    history = [];
    leave(client) {
      super.leave(client);
      this.history.push(Buffer.alloc(16 * 1024, this.history.length));
    }
  },
  "crashes-on-tenth": (Room) => class extends Room {
    join(socket) {
      if (this.clients.size === 9) {
        console.error("TypeError: Cannot read properties of undefined (reading 'seat')");
        process.exit(3);
      }
      return super.join(socket);
    }
  },
  "greets": (Room) => class extends Room {
    join(socket) {
      socket.send("Hello, Client!");
      return super.join(socket);
    }
  },
  "never-pushes": (Room) => class extends Room {
    start() {}
  },
  "ends-with-1000": (Room) => class extends Room {
    endCode() {
      return 1000;
    }
  },
  "ends-without-close": (Room) => class extends Room {
    drain(exit) {
      exit();
    }
  },
  "exits-with-error": (Room) => class extends Room {
    exitStatus() {
      return 1;
    }
  },
  "never-exits": (Room) => class extends Room {
    drain() {
      super.drain(() => {});
      setInterval(() => {}, 1000);
    }
  },
};

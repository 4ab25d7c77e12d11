"use strict";
// A push server on `faye-websocket`.

const http = require("node:http");
const WebSocket = require("faye-websocket");
const { main } = require("./room.js");

main((room) => {
  const server = http.createServer((request, response) => response.writeHead(426).end("This is a WebSocket server.\n"));
  server.on("upgrade", (request, stream, head) => {
    const isHere = new URL(request.url, "http://x").pathname === "/ws";
    if (!isHere || !WebSocket.isWebSocket(request)) return stream.end("HTTP/1.1 404 Not Found\r\n\r\n");
    stream.setNoDelay(true);
    const socket = new WebSocket(request, stream, head, [], { maxLength: room.options.largest, ping: 60 });
    const client = room.join({
      send: (text) => socket.send(text),
      // The library's own `close` has only the codes of a browser. Its driver has all of them.
      close: (code) => socket._driver.close("", code),
      abort: () => stream.destroy(),
      waiting: () => stream.writableLength,
      pause: () => stream.pause(),
      resume: () => stream.resume(),
    });
    socket.on("message", ({ data }) => (typeof data === "string" ? client.onText(data) : client.onBinary(data)));
    socket.on("close", () => room.leave(client));
    stream.on("close", () => room.leave(client));
  });
  server.listen({ host: "127.0.0.1", port: room.options.port, backlog: 512 });
  return () => server.close();
});

"use strict";
// A push server on `websocket`, the library of theturtle32.

const http = require("node:http");
const { server: WebSocketServer } = require("websocket");
const { main } = require("./room.js");

main((room) => {
  const httpServer = http.createServer((request, response) => response.writeHead(426).end("This is a WebSocket server.\n"));
  const limits = { maxReceivedMessageSize: room.options.largest, maxReceivedFrameSize: room.options.largest };
  const server = new WebSocketServer({ httpServer, autoAcceptConnections: false, keepaliveInterval: 60000, ...limits });
  server.on("request", (request) => {
    if (request.resourceURL.pathname !== "/ws") return request.reject(404);
    const connection = request.accept(null, request.origin);
    const client = room.join({
      send: (text) => connection.sendUTF(text),
      close: (code) => connection.close(code),
      abort: () => connection.socket.destroy(),
      waiting: () => connection.socket.writableLength,
      pause: () => connection.pause(),
      resume: () => connection.resume(),
    });
    connection.on("message", ({ type, utf8Data, binaryData }) =>
      type === "utf8" ? client.onText(utf8Data) : client.onBinary(binaryData));
    connection.on("close", () => room.leave(client));
    connection.on("error", () => {});
  });
  httpServer.listen({ host: "127.0.0.1", port: room.options.port, backlog: 512 });
  return () => httpServer.close();
});

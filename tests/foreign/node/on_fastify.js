"use strict";
// A push server on `fastify` with `@fastify/websocket`.

const { main } = require("./room.js");

main((room) => {
  const app = require("fastify")();
  app.register(require("@fastify/websocket"), { options: { maxPayload: room.options.largest, handleProtocols: () => false } });
  app.register(async (routes) => {
    routes.get("/ws", { websocket: true }, (socket) => {
      const client = room.join({
        send: (text) => socket.send(text, () => {}),
        close: (code) => socket.close(code),
        abort: () => socket.terminate(),
        waiting: () => socket.bufferedAmount,
        pause: () => socket.pause(),
        resume: () => socket.resume(),
      });
      socket.on("message", (bytes, isBinary) => (isBinary ? client.onBinary(bytes) : client.onText(bytes.toString())));
      socket.on("close", () => room.leave(client));
      socket.on("error", () => {});
    });
  });
  app.listen({ host: "127.0.0.1", port: room.options.port, backlog: 512 });
  // The plug-in's own end closes with 1005, so only the listener is closed.
  return () => app.server.close();
});

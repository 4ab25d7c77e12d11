"use strict";
// A push server on `ws`.

const { WebSocketServer } = require("ws");
const { main } = require("./room.js");

main((room) => {
  const { port, largest, manner } = room.options;
  const perMessageDeflate = manner === "deflate" ? { threshold: 0 } : false;
  // Otherwise the library agrees to the first subprotocol that a client offers.
  const handleProtocols = () => false;
  const limits = { maxPayload: largest, perMessageDeflate, handleProtocols };
  const server = new WebSocketServer({ host: "127.0.0.1", port, path: "/ws", backlog: 512, ...limits });
  server.on("connection", (socket) => {
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
    // The library has answered an offence by itself.
    socket.on("error", () => {});
  });
  return () => server.close();
});

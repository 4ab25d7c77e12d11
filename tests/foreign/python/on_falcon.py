"""A push server on `falcon`, an ASGI framework, with uvicorn, which ends the connections by itself with 1012."""

import signal

import falcon.asgi
import uvicorn
from falcon import PayloadTypeError, WebSocketDisconnected

from room import LARGEST, PATH, main


class Endpoint:
    def __init__(self, room):
        self.room = room

    async def on_websocket(self, request, socket):
        await socket.accept()
        # ASGI has no way to cut off a client. The server closes its socket after a time of its own.
        async with self.room.client(socket.send_text, socket.close, lambda: None) as client:
            try:
                while True:
                    await self.receive(client, socket)
            except WebSocketDisconnected:
                pass

    async def receive(self, client, socket):
        try:
            await client.receive(await socket.receive_text())
        except PayloadTypeError:
            # A binary message: it has been taken, and is ignored.
            pass


async def run(room):
    # uvicorn ends the process with the signal that it got, unless somebody else handles it.
    signal.signal(signal.SIGTERM, lambda *_: None)
    app = falcon.asgi.App()
    app.ws_options.max_receive_queue = 0
    app.add_route(PATH, Endpoint(room))
    config = uvicorn.Config(
        app, host="127.0.0.1", port=room.options.port, ws="websockets-sansio", ws_max_size=LARGEST, ws_ping_interval=60,
        ws_ping_timeout=60, ws_per_message_deflate=False, log_level="critical", backlog=512, timeout_graceful_shutdown=1,
    )
    room.start()
    await uvicorn.Server(config).serve()


main(run)

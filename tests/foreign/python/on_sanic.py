"""A push server on `sanic`."""

import asyncio

from sanic import Sanic
from sanic.server.protocols.websocket_protocol import WebSocketProtocol

from room import CLOSE_TIMEOUT, LARGEST, PATH, main


async def run(room):
    app = Sanic("push", configure_logging=False)
    app.config.WEBSOCKET_MAX_SIZE = LARGEST
    app.config.WEBSOCKET_PING_INTERVAL = 60
    app.config.ACCESS_LOG = False

    @app.websocket(PATH)
    async def handle(request, socket):
        async def close(code):
            await socket.close(code)

        async with room.client(socket.send, close, request.transport.abort) as client:
            try:
                while (message := await socket.recv()) is not None:
                    await client.receive(message)
            except UnicodeDecodeError:
                # The library leaves it to the app to refuse such a text.
                await socket.close(1007)

    server = await app.create_server(
        host="127.0.0.1", port=room.options.port, protocol=WebSocketProtocol, return_asyncio_server=True, backlog=512
    )
    await server.startup()
    await server.before_start()
    await server.start_serving()
    room.start()
    await room.wait_for_signal()
    server.close()
    await room.drain()
    await asyncio.sleep(CLOSE_TIMEOUT / 10)


main(run)

"""A push server on `websockets`, with its new asyncio implementation."""

from http import HTTPStatus
from urllib.parse import urlsplit

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from room import CLOSE_TIMEOUT, LARGEST, PATH, main


async def run(room):
    def check_path(connection, request):
        if urlsplit(request.path).path != PATH:
            return connection.respond(HTTPStatus.NOT_FOUND, "There is nothing here.\n")

    async def handle(socket):
        async with room.client(socket.send, socket.close, socket.transport.abort) as client:
            try:
                async for message in socket:
                    await client.receive(message)
            except ConnectionClosed:
                pass

    room.start()
    limits = {"max_size": LARGEST, "max_queue": 4, "close_timeout": CLOSE_TIMEOUT, "ping_interval": 60}
    # With a compression the library would agree to permessage-deflate, which the protocol leaves out.
    compression = "deflate" if room.options.manner == "deflate" else None
    async with serve(
        handle, "127.0.0.1", room.options.port, process_request=check_path, compression=compression, backlog=512, **limits
    ) as server:
        await room.wait_for_signal()
        server.close(close_connections=False)
        await room.drain()


main(run, manners=["deflate"])

"""A push server on `starlette`, an ASGI app. `--manner` says which ASGI server and which protocol of it is used.

All of them end the connections by themselves when they are told to stop.
"""

import asyncio
import signal

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocketDisconnect

from room import LARGEST, PATH, main


def make_app(room):
    async def handle(socket):
        await socket.accept()

        async def close(code):
            await socket.close(code)
            # ASGI has no way to cut off a client. The server closes its socket after a time of its own.

        async with room.client(socket.send_text, close, lambda: None) as client:
            while True:
                message = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                text = message.get("text")
                await client.receive(message["bytes"] if text is None else text)

    return Starlette(routes=[WebSocketRoute(PATH, handle)])


async def on_uvicorn(room, protocol):
    import uvicorn

    # uvicorn ends the process with the signal that it got, unless somebody else handles it.
    signal.signal(signal.SIGTERM, lambda *_: None)
    config = uvicorn.Config(
        make_app(room), host="127.0.0.1", port=room.options.port, ws=protocol, ws_max_size=LARGEST, ws_ping_interval=60,
        ws_ping_timeout=60, ws_per_message_deflate=False, ws_max_queue=4, log_level="critical", backlog=512,
        timeout_graceful_shutdown=1,
    )
    await uvicorn.Server(config).serve()


async def on_hypercorn(room):
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"127.0.0.1:{room.options.port}"]
    config.websocket_max_message_size = LARGEST
    config.websocket_ping_interval = 60
    config.graceful_timeout = config.shutdown_timeout = 1
    config.backlog = 512
    config.loglevel = "CRITICAL"

    async def until_told():
        await room.wait_for_signal()
        room.ticking.cancel()
        room.close_all()
        await asyncio.sleep(0.2)

    await serve(make_app(room), config, shutdown_trigger=until_told)


async def run(room):
    room.start()
    if room.options.manner == "hypercorn":
        await on_hypercorn(room)
    else:
        await on_uvicorn(room, "wsproto" if room.options.manner == "wsproto" else "websockets-sansio")


main(run, manners=["wsproto", "hypercorn"])

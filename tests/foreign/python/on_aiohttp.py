"""A push server on `aiohttp`."""

from aiohttp import WSMsgType, web

from room import CLOSE_TIMEOUT, LARGEST, PATH, main


async def run(room):
    async def handle(request):
        compress = room.options.manner == "deflate"
        socket = web.WebSocketResponse(max_msg_size=LARGEST + 1, compress=compress, timeout=CLOSE_TIMEOUT)
        await socket.prepare(request)

        async def close(code):
            await socket.close(code=code)

        def abort():
            if request.transport is not None:
                request.transport.abort()

        async with room.client(socket.send_str, close, abort) as client:
            async for message in socket:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    await client.receive(message.data)
        return socket

    app = web.Application()
    app.router.add_get(PATH, handle)
    runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", room.options.port, backlog=512)
    await site.start()
    room.start()
    await room.wait_for_signal()
    await site.stop()
    await room.drain()
    await runner.cleanup()


main(run, manners=["deflate"])

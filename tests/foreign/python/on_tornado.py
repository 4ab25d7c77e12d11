"""A push server on `tornado`."""

from tornado.httpserver import HTTPServer
from tornado.web import Application
from tornado.websocket import WebSocketHandler

from room import LARGEST, PATH, main


class Handler(WebSocketHandler):
    def initialize(self, room):
        self.room = room

    def check_origin(self, origin):
        return True

    async def open(self):
        self.set_nodelay(True)
        # Some ends of a connection, such as a reset, leave no stream behind.
        stream = self.ws_connection.stream
        self.client = self.room.client(self.write_message, self.end, stream.close)
        await self.client.__aenter__()

    async def end(self, code):
        self.close(code)

    async def on_message(self, message):
        await self.client.receive(message)

    def on_close(self):
        self.room.spawn(self.client.__aexit__())


async def run(room):
    settings = {"websocket_max_message_size": LARGEST, "websocket_ping_interval": 60, "log_function": lambda _: None}
    server = HTTPServer(Application([(PATH, Handler, {"room": room})], **settings))
    server.listen(room.options.port, "127.0.0.1", backlog=512)
    room.start()
    await room.wait_for_signal()
    server.stop()
    await room.drain()


main(run)

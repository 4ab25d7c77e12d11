"""A push server on `simple-websocket` behind the HTTP server of the standard library.

The library reads in a thread of its own, into a list without a bound: a client that floods fills the memory (G10).
"""

import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from simple_websocket import ConnectionClosed, Server

from rooms_of_threads import LARGEST, PATH, main


class Listener(ThreadingHTTPServer):
    request_queue_size = 512


def serve(room):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            if self.path.split("?")[0] != PATH or "Sec-WebSocket-Key" not in self.headers:
                return self.send_error(404)
            environ = {"HTTP_" + name.upper().replace("-", "_"): value for name, value in self.headers.items()}
            environ["werkzeug.socket"] = self.connection
            environ["werkzeug.request"] = None
            self.close_connection = True
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.talk(Server(environ, max_message_size=LARGEST, ping_interval=60))

        def talk(self, websocket):
            def abort():
                self.connection.shutdown(socket.SHUT_RDWR)

            with room.client(websocket.send, websocket.close, abort) as client:
                try:
                    while True:
                        client.receive(websocket.receive())
                except ConnectionClosed:
                    pass

        def log_message(self, *_):
            pass

    return Listener(("127.0.0.1", room.options.port), Handler).serve_forever


main(serve)

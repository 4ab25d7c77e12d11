"""A push server on `gevent-websocket`: a greenlet for each connection, and one more that writes."""

from gevent import monkey

monkey.patch_all()

import socket  # noqa: E402

from geventwebsocket import WebSocketError, WebSocketServer  # noqa: E402
from geventwebsocket.websocket import WebSocket  # noqa: E402

from rooms_of_threads import LARGEST, PATH, main  # noqa: E402


def serve(room):
    def handle(environ, start_response):
        websocket = environ.get("wsgi.websocket")
        if websocket is None or environ["PATH_INFO"] != PATH:
            start_response("404 Not Found", [])
            return []
        with room.client(websocket.send, websocket.close, websocket.close) as client:
            try:
                while not websocket.closed:
                    message = websocket.receive()
                    if message is not None:
                        client.receive(message if isinstance(message, str) else bytes(message))
            except WebSocketError:
                pass
        return []

    return WebSocketServer(("127.0.0.1", room.options.port), handle, backlog=512).serve_forever


main(serve)

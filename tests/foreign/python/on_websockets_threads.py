"""A push server on `websockets` with threads: two for each connection, and a journal file that stays open as long."""

import socket
import tempfile

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve as listen

from rooms_of_threads import LARGEST, main


def serve(room):
    def handle(websocket):
        def abort():
            websocket.socket.shutdown(socket.SHUT_RDWR)

        with tempfile.TemporaryFile() as journal, room.client(websocket.send, websocket.close, abort) as client:
            try:
                for message in websocket:
                    journal.truncate(0)
                    journal.write(message.encode()[:1000] if isinstance(message, str) else message[:1000])
                    client.receive(message)
            except ConnectionClosed:
                pass

    listener = socket.create_server(("127.0.0.1", room.options.port), backlog=room.options.backlog)
    options = {"max_size": LARGEST, "max_queue": 4, "close_timeout": 1, "ping_interval": 60, "compression": None}
    return listen(handle, sock=listener, **options).serve_forever


main(serve)

"""The room for servers with a thread for each connection, and for greenlets, which look the same.

Like `room`, but the library's `send` blocks until there is space. Each client has a second thread, which writes.
"""

import argparse
import os
import queue
import signal
import threading
import time

LARGEST = 64 * 1024
PATH = "/ws"
MANNERS = ["plain", "own-texts", "closes-1008"]
ECHOES_WAITING, PUSHES_WAITING = 16, 4


class Client:
    def __init__(self, room, send, close, abort):
        self.room, self.send, self.close, self.abort = room, send, close, abort
        self.subscribed, self.pushes, self.has_ended = True, 0, False
        self.outbox, self.free = queue.Queue(), threading.Semaphore(ECHOES_WAITING)

    def __enter__(self):
        self.writer = threading.Thread(target=self.write, daemon=True)
        self.writer.start()
        self.room.join(self)
        return self

    def __exit__(self, *_):
        self.stop()
        self.room.leave(self)
        self.outbox.put(("end", None))

    def write(self):
        try:
            while not self.has_ended:
                kind, text = self.outbox.get()
                if kind == "close":
                    self.stop()
                    return self.close(text)
                if kind == "end":
                    return
                if kind == "push" and self.room.options.manner == "own-texts":
                    text = self.room.text(time.time())
                self.send(text)
                if kind == "echo":
                    self.free.release()
                else:
                    self.pushes -= 1
        except Exception:
            # The connection is gone. The library tells the reader.
            self.stop()

    def stop(self):
        self.has_ended = True
        self.free.release()

    def receive(self, message):
        if message == "subscribe":
            self.subscribed = True
        elif message == "unsubscribe":
            self.subscribed = False
        elif isinstance(message, str) and not self.has_ended:
            # A client that does not read its echoes gets no further: nothing is read from it.
            self.free.acquire()
            self.outbox.put(("echo", "Server received: " + message))

    def push(self, text):
        if self.has_ended:
            return
        if self.pushes >= PUSHES_WAITING:
            return self.evict()
        self.pushes += 1
        self.outbox.put(("push", text))

    def evict(self):
        """The writer is stuck in the library, so a Close cannot be sent either: the client is cut off."""
        self.stop()
        try:
            self.abort()
        except OSError:
            pass


class Room:
    def __init__(self, options):
        self.options, self.clients, self.lock = options, [], threading.Lock()
        self.is_closing = threading.Event()

    def client(self, send, close, abort):
        return Client(self, send, close, abort)

    def join(self, client):
        with self.lock:
            self.clients.append(client)

    def leave(self, client):
        with self.lock:
            self.clients.remove(client)

    def snapshot(self):
        with self.lock:
            return list(self.clients)

    def text(self, instant):
        return time.strftime("Server push message at %Y-%m-%d %H:%M:%S", time.localtime(instant))

    def schedule(self):
        """One grid for all clients. A cycle that is more than a third of a period late is skipped."""
        period, start, cycle = self.options.period, time.monotonic(), 0
        while not self.is_closing.is_set():
            cycle += 1
            due = start + cycle * period
            if self.is_closing.wait(max(0, due - time.monotonic())):
                return
            late = time.monotonic() - due
            if late <= period / 3:
                self.walk(self.text(time.time() - max(late, 0)))

    def walk(self, text):
        for client in self.snapshot():
            if client.subscribed:
                client.push(text)

    def drain(self):
        self.is_closing.set()
        for client in self.snapshot():
            client.outbox.put(("close", 1001))
        limit = time.monotonic() + 1.2
        while self.snapshot() and time.monotonic() < limit:
            time.sleep(0.01)


def main(serve):
    """`serve(room)` makes a server and returns the function that runs it for ever."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--period", type=float, default=300.0)
    parser.add_argument("--manner", choices=MANNERS, default="plain")
    parser.add_argument("--backlog", type=int, default=512)
    options = parser.parse_args()
    room, told = Room(options), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    for work in (serve(room), room.schedule):
        threading.Thread(target=work, daemon=True).start()
    while not told.wait(0.05):
        pass
    room.drain()
    # The threads of clients that did not answer the Close would keep the process alive.
    os._exit(0)

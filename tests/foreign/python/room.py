"""What every asyncio server here has in common: the clients, the schedule, the texts, the arguments.

A file `on_LIBRARY.py` connects this with one library. It makes a `Client` for each connection, gives it each message,
and closes when the room says so. A manner is a deviation that the protocol permits; a defect is a single mistake.
"""

import argparse
import asyncio
import random
import signal
import time

LARGEST = 64 * 1024
PATH = "/ws"
MANNERS = ["plain", "late", "spread", "own-texts", "closes-1008", "shuts-down-1012"]
# Echoes that wait for one client before the server stops reading from it; pushes that wait before it is too slow.
ECHOES_WAITING, PUSHES_WAITING = 16, 4
# How long a library may take to close one connection before it is cut off.
CLOSE_TIMEOUT = 1.0


class Client:
    """One connection. `send`, `close` and `abort` are the library's; the first two are coroutines."""

    def __init__(self, room, send, close, abort):
        self.room, self.send, self.close, self.abort = room, send, close, abort
        self.subscribed, self.pushes, self.waiting, self.has_ended = True, 0, 0, False
        self.outbox, self.free = asyncio.Queue(), asyncio.Semaphore(self.echoes_waiting())

    def echoes_waiting(self):
        """How many, where `--bound` says how many bytes of them may wait; the bytes are counted in `echo`."""
        return ECHOES_WAITING if self.room.options.bound is None else 1 << 30

    async def __aenter__(self):
        self.writer = asyncio.create_task(self.write())
        self.room.join(self)
        return self

    async def __aexit__(self, *_):
        self.stop()
        self.room.leave(self)
        if not self.outbox.empty() and self.room.is_closing:
            await asyncio.wait([self.writer], timeout=CLOSE_TIMEOUT)
        self.writer.cancel()

    async def write(self):
        """Sends what waits, one message at a time; the library's `send` waits until there is space."""
        try:
            while True:
                kind, text = await self.outbox.get()
                if kind == "close":
                    return await self.end(text)
                if kind == "push" and self.room.options.manner == "own-texts":
                    text = self.room.text(time.time())
                await self.send(text)
                if kind == "echo":
                    self.waiting -= len(text)
                    self.free.release()
                else:
                    self.pushes -= 1
                self.outbox.task_done()
        except Exception:
            # The connection is gone. The library tells the reader.
            self.stop()
            self.abort()

    async def flush(self):
        """Waits until all that was queued has been sent."""
        sent = asyncio.create_task(self.outbox.join())
        await asyncio.wait([sent, self.writer], return_when=asyncio.FIRST_COMPLETED)
        sent.cancel()

    def stop(self):
        """From here on nothing is queued. A reader that waits for space goes on, and discards what it reads."""
        self.has_ended = True
        self.free.release()

    async def end(self, code):
        self.stop()
        try:
            await asyncio.wait_for(self.close(code), CLOSE_TIMEOUT)
        except Exception:
            self.abort()

    async def receive(self, message):
        if isinstance(message, str):
            await self.on_text(message)
        else:
            await self.on_binary(message)

    async def on_binary(self, message):
        pass

    async def on_text(self, text):
        if text == "subscribe":
            await self.subscribe()
        elif text == "unsubscribe":
            await self.unsubscribe()
        else:
            await self.echo(text)

    async def subscribe(self):
        self.subscribed = True

    async def unsubscribe(self):
        self.subscribed = False

    async def echo(self, text):
        """A client that does not read its echoes gets no further: nothing is read from it."""
        if not self.has_ended:
            await self.free.acquire()
            reply = self.reply(text)
            self.outbox.put_nowait(("echo", reply))
            self.waiting += len(reply)
            if self.room.options.bound is not None and self.waiting > self.room.options.bound:
                self.evict()

    def reply(self, text):
        return "Server received: " + text

    def push(self, text):
        if self.has_ended:
            return
        if self.pushes >= PUSHES_WAITING:
            return self.evict()
        self.pushes += 1
        self.outbox.put_nowait(("push", text))

    def evict(self):
        """The client is too slow. What waits for it is discarded, together with the connection."""
        self.stop()
        self.writer.cancel()
        self.room.spawn(self.end(self.slow_code()))


    def slow_code(self):
        return 1008 if self.room.options.manner == "closes-1008" or self.room.options.bound else 1013


class Room:
    client_type = Client

    def __init__(self, options):
        self.options, self.clients, self.tasks = options, [], set()
        self.is_closing, self.told = False, asyncio.Event()

    def client(self, send, close, abort):
        return self.client_type(self, send, close, abort)

    def spawn(self, coroutine):
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def join(self, client):
        self.clients.append(client)

    def leave(self, client):
        self.clients.remove(client)

    def text(self, instant):
        return time.strftime("Server push message at %Y-%m-%d %H:%M:%S", time.localtime(instant))

    async def schedule(self):
        """One grid for all clients. A cycle that is more than a third of a period late is skipped."""
        period, start, cycle = self.options.period, time.monotonic(), 0
        while not self.is_closing:
            cycle += 1
            due = start + cycle * period
            await asyncio.sleep(due - time.monotonic())
            late = time.monotonic() - due
            if late <= period / 3:
                await self.fire(cycle, self.text(time.time() - max(late, 0)))

    async def fire(self, cycle, text):
        if self.options.manner == "late":
            await asyncio.sleep(random.uniform(0, 0.25) * self.options.period)
            text = self.text(time.time())
        if self.options.manner == "spread":
            await self.spread(text)
        elif not self.is_closing:
            self.walk(text)

    async def spread(self, text):
        """Takes a fifth of the period for the walk, so that the load is even."""
        clients = [client for client in self.clients if client.subscribed]
        for index, client in enumerate(clients):
            if index % 10 == 9:
                await asyncio.sleep(self.options.period * 2 / len(clients))
            # One that was unsubscribed and subscribed again in between may miss this push.
            if client.subscribed and not self.is_closing:
                client.push(text)

    def walk(self, text):
        for client in list(self.clients):
            if client.subscribed:
                client.push(text)

    def close_all(self):
        """Behind everything that waits, each client gets a Close."""
        self.is_closing = True
        code = 1012 if self.options.manner == "shuts-down-1012" else 1001
        for client in list(self.clients):
            client.outbox.put_nowait(("close", code))

    def start(self):
        """Starts the schedule. `told` is set on SIGTERM, in servers that wait for it themselves."""
        self.ticking = self.spawn(self.schedule())

    def wait_for_signal(self):
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.told.set)
        return self.told.wait()

    async def drain(self):
        """Ends all connections, within two close timeouts."""
        self.ticking.cancel()
        self.close_all()
        limit = time.monotonic() + 1.5
        while self.clients and time.monotonic() < limit:
            await asyncio.sleep(0.01)
        for client in list(self.clients):
            client.abort()


def read_arguments(**further):
    from defects import DEFECTS

    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--period", type=float, default=300.0)
    parser.add_argument("--manner", choices=MANNERS + further.get("manners", []), default="plain")
    parser.add_argument("--defect", choices=sorted(DEFECTS) + further.get("defects", []), default=None)
    parser.add_argument("--largest", type=int, default=LARGEST, help="the largest message, in bytes, where a server can say so")
    parser.add_argument("--bound", type=int, help="how many bytes of echoes may wait for a client before it is cut off")
    parser.add_argument("--reuse-port", action="store_true", help="several processes share the port")
    parser.add_argument("--backlog", type=int, default=512)
    return parser.parse_args()


def open_room(options):
    from defects import DEFECTS

    return DEFECTS.get(options.defect, Room)(options)


def main(serve, **further):
    """Runs `serve(room)`, a coroutine that ends when the server has ended."""
    options = read_arguments(**further)

    async def run():
        await serve(open_room(options))

    asyncio.run(run())

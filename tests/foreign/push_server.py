#!/usr/bin/env python3
"""A push server without code of this workspace: Python's standard library, written from PROTOCOL.md.

    push_server.py PORT [--period SECONDS] [--manner MANNER] [--defect DEFECT]

Its timer is fixed at five minutes unless --period is given, as in the original app. A manner is a deviation that the
protocol permits; a defect is a single mistake.
"""

import argparse
import asyncio
import base64
import hashlib
import os
import random
import signal
import struct
import time
import zlib

MANNERS = [
    "plain", "late", "fragments", "own-texts", "pongs", "relaxed", "deflates", "two-files-per-connection",
    "collects-garbage-late", "large-outbox",
]
DEFECTS = [
    "none", "trims", "forgets-leavers", "loses-pings", "twice-after-return", "off-by-one", "names-1000", "drifts",
    "hangs-up", "leaves-closes", "obeys-binary", "takes-surrogates", "wastes-lengths", "serves-first-page", "slow-walk",
    "drops-for-laggards", "stops-when-empty", "leaks-memory", "corrupts-large", "bad-deflate", "idle-timeout",
    "queues-without-bound",
]
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
LARGEST = 64 * 1024
VERY_LARGE = 32 * 1024 * 1024
FIRST_PAGE = 100
LARGE_OUTBOX = 40 * 1024 * 1024
SLOWNESS = 0.0013
GARBAGE = 16 * 1024
IDLE = 6


class Offence(Exception):
    def __init__(self, code):
        super().__init__(code)
        self.code = code


class Client:
    def __init__(self, reader, writer, wastes_lengths):
        self.reader, self.writer, self.wastes_lengths = reader, writer, wastes_lengths
        self.subscribed, self.copies, self.has_closed = True, 1, False
        self.deflater, self.inflater, self.largest, self.drops, self.spare = None, None, LARGEST, False, None

    def send(self, opcode, payload, final=True):
        compressed = 0
        if self.deflater and final and opcode == 1:
            payload = self.deflater.compress(payload) + self.deflater.flush(zlib.Z_SYNC_FLUSH)
            payload, compressed = payload[:-4], 0x40
        if self.drops and opcode == 1 and self.writer.transport.get_write_buffer_size() > 4096:
            return
        length = len(payload)
        head = bytes([(0x80 if final else 0) | compressed | opcode])
        if length < (60 if self.wastes_lengths else 126):
            head += bytes([length])
        elif length < 65536:
            head += b"\x7e" + struct.pack(">H", length)
        else:
            head += b"\x7f" + struct.pack(">Q", length)
        # Nothing follows a Close, not even another Close.
        if not self.writer.is_closing() and not self.has_closed:
            self.writer.write(head + payload)
        self.has_closed = self.has_closed or opcode == 8

    async def frame(self):
        first, second = await self.reader.readexactly(2)
        opcode, final, length = first & 15, bool(first & 128), second & 127
        is_compressed = self.inflater is not None and first & 0x70 == 0x40 and opcode in (1, 2)
        if (first & 0x70 and not is_compressed) or not second & 128 or opcode not in (0, 1, 2, 8, 9, 10):
            raise Offence(1002)
        if opcode > 7 and (not final or length > 125):
            raise Offence(1002)
        if length > 125:
            size = 2 if length == 126 else 8
            length = int.from_bytes(await self.reader.readexactly(size), "big")
        if length > self.largest:
            raise Offence(1009)
        mask = await self.reader.readexactly(4)
        data = await self.reader.readexactly(length)
        key = int.from_bytes((mask * (length // 4 + 1))[:length], "big")
        payload = (int.from_bytes(data, "big") ^ key).to_bytes(length, "big")
        if is_compressed and final:
            payload = self.inflater.decompress(payload + b"\0\0\xff\xff")
        return opcode, final, payload


class Server:
    def __init__(self, options):
        self.options, self.clients, self.visits, self.ticking, self.garbage = options, [], 0, None, []

    def has(self, defect):
        return self.options.defect == defect

    def is_manner(self, manner):
        return self.options.manner == manner

    async def serve(self, reader, writer):
        client = Client(reader, writer, self.has("wastes-lengths"))
        if self.is_manner("large-outbox"):
            writer.transport.set_write_buffer_limits(high=LARGE_OUTBOX)
        client.drops = self.has("drops-for-laggards")
        client.largest = VERY_LARGE if self.has("corrupts-large") else LARGEST
        if self.is_manner("two-files-per-connection"):
            client.spare = open(os.devnull, "rb")
        try:
            if not await self.upgrade(client):
                return
            self.visits += 1
            if self.has("twice-after-return") and self.visits % 3 == 0:
                client.copies = 2
            self.waste(client)
            self.clients.append(client)
            if self.has("stops-when-empty") and self.ticking is None:
                self.ticking = asyncio.create_task(self.tick())
            await self.talk(client)
        except Offence as offence:
            code = 1000 if self.has("names-1000") else offence.code
            client.send(8, struct.pack(">H", code))
            await self.linger(client)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            if client in self.clients:
                self.clients.remove(client)
            if self.has("stops-when-empty") and not self.clients and self.ticking:
                self.ticking.cancel()
                self.ticking = None
            if client.spare:
                client.spare.close()
            if not self.has("forgets-leavers"):
                writer.close()

    def waste(self, client):
        """Keeps memory for each connection: for ever, or until there is much of it, as a garbage collector does."""
        if self.has("leaks-memory") or self.is_manner("collects-garbage-late"):
            self.garbage.append(os.urandom(GARBAGE))
        if self.is_manner("collects-garbage-late") and len(self.garbage) > 2500:
            self.garbage.clear()

    def agree(self, client, fields):
        if "permessage-deflate" not in fields.get("sec-websocket-extensions", ""):
            return b""
        if not (self.is_manner("deflates") or self.has("bad-deflate")):
            return b""
        client.deflater, client.inflater = zlib.compressobj(wbits=-15), zlib.decompressobj(wbits=-15)
        # The defect promises what it does not do: each message still refers to the ones before.
        promise = b"; server_no_context_takeover" if self.has("bad-deflate") else b""
        return b"Sec-WebSocket-Extensions: permessage-deflate" + promise + b"\r\n"

    async def upgrade(self, client):
        try:
            head = await asyncio.wait_for(client.reader.readuntil(b"\r\n\r\n"), 10)
        except (asyncio.TimeoutError, asyncio.LimitOverrunError):
            return False
        lines = head.decode("latin-1").split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        fields = {name.lower(): value for name, value in fields.items()}
        good = lines[0] == "GET /ws HTTP/1.1" and fields.get("sec-websocket-version") == "13"
        if not good or "sec-websocket-key" not in fields or fields.get("upgrade", "").lower() != "websocket":
            client.writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            return False
        accept = base64.b64encode(hashlib.sha1(fields["sec-websocket-key"].encode() + GUID).digest())
        client.writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n" + self.agree(client, fields) + b"\r\n"
        )
        return True

    async def talk(self, client):
        kind, message = None, b""
        while True:
            silence = IDLE if self.has("idle-timeout") else None
            try:
                opcode, final, payload = await asyncio.wait_for(client.frame(), silence)
            except asyncio.TimeoutError:
                return
            if self.has("hangs-up"):
                return
            if opcode == 9:
                if not self.has("loses-pings"):
                    client.send(10, payload)
            elif opcode == 8:
                return await self.answer_close(client, payload)
            elif opcode < 8:
                if (opcode == 0) == (kind is None):
                    raise Offence(1002)
                kind, message = kind or opcode, message + payload
                if len(message) > client.largest:
                    raise Offence(1009)
                if final:
                    if kind == 1:
                        self.on_text(client, message)
                    elif self.has("obeys-binary") and message == b"unsubscribe":
                        client.subscribed = False
                    kind, message = None, b""
            if not self.has("queues-without-bound"):
                await client.writer.drain()

    def on_text(self, client, message):
        try:
            text = message.decode(errors="surrogatepass" if self.has("takes-surrogates") else "strict")
        except UnicodeDecodeError:
            raise Offence(1007) from None
        command = text.strip() if self.has("trims") else text
        if command in ("subscribe", "unsubscribe"):
            client.subscribed = command == "subscribe"
        else:
            if self.has("corrupts-large") and len(message) > LARGEST:
                message = message[:LARGEST] + b"?" + message[LARGEST + 1:]
            client.send(1, b"Server received: " + message)

    async def answer_close(self, client, payload):
        code = int.from_bytes(payload[:2], "big") if payload else 1000
        if len(payload) == 1 or not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code < 5000):
            raise Offence(1002)
        try:
            payload[2:].decode()
        except UnicodeDecodeError:
            raise Offence(1007) from None
        if not self.has("leaves-closes"):
            client.send(8, struct.pack(">H", code))
        await self.linger(client)

    async def linger(self, client):
        """Ends the stream, and reads on for a while: otherwise a reset would destroy the Close."""
        try:
            client.writer.write_eof()
            await asyncio.wait_for(client.reader.read(), 2)
        except (asyncio.TimeoutError, OSError):
            pass

    async def tick(self):
        start, cycle = time.monotonic(), 0
        while True:
            cycle += 1
            due = start + cycle * self.options.period
            if self.has("drifts"):
                due += cycle * self.options.period / 30
            await asyncio.sleep(due - time.monotonic())
            if time.monotonic() - due > self.options.period / 3:
                continue
            if self.options.manner == "late":
                await asyncio.sleep(random.uniform(0, self.options.period / 4))
            self.push(time.time())

    def push(self, now):
        targets = [client for client in self.clients if client.subscribed]
        if self.has("off-by-one"):
            targets = targets[:-1]
        if self.has("serves-first-page"):
            targets = targets[:FIRST_PAGE]
        for client in targets:
            own = time.time() if self.options.manner == "own-texts" else now
            if self.has("slow-walk"):
                time.sleep(SLOWNESS)
            text = time.strftime("Server push message at %Y-%m-%d %H:%M:%S", time.localtime(own)).encode()
            for _ in range(client.copies):
                if self.options.manner == "fragments":
                    client.send(1, text[:7], final=False)
                    client.send(9, b"between")
                    client.send(0, text[7:30], final=False)
                    client.send(0, text[30:])
                else:
                    client.send(1, text)
                if self.options.manner == "pongs":
                    client.send(10, b"still here")

    async def run(self):
        server = await asyncio.start_server(self.serve, "127.0.0.1", self.options.port, backlog=512)
        if not self.has("stops-when-empty"):
            self.ticking = asyncio.create_task(self.tick())
        told = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
        await told.wait()
        if self.ticking:
            self.ticking.cancel()
        server.close()
        for client in list(self.clients):
            client.send(8, struct.pack(">H", 1001))
        await asyncio.sleep(0 if self.options.manner == "relaxed" else 0.2)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--period", type=float, default=300.0)
    parser.add_argument("--manner", choices=MANNERS, default="plain")
    parser.add_argument("--defect", choices=DEFECTS, default="none")
    asyncio.run(Server(parser.parse_args()).run())


main()

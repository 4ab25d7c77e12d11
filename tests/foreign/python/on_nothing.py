"""A push server on the standard library alone, which has its hands on each byte.

`handshake` decides about the request and composes the 101; this file reads and writes frames.
"""

import asyncio
import random
import struct
import sys
import os

from handshake import DEFECTS as OF_HANDSHAKES
from handshake import MANNERS as OF_ANSWERS
from handshake import answer
from room import CLOSE_TIMEOUT, main

FRAMES = ["fragments", "pings-between", "pongs", "own-pings", "code-empty", "cuts-offenders"]
DEFECTS = [
    "masks-frames", "closes-1005", "bytes-after-close", "takes-unmasked", "takes-reserved-bits", "takes-bad-text",
    "cuts-bad-text", "joins-bad-text", "names-1000", "leaves-closes", "leaves-sockets", "loses-pings", "empty-pongs",
    "wastes-lengths", "corrupts-long", "corrupts-126", "corrupts-65536", "answers-in-binary", "fragments-echoes", "crashes-on-offence", "takes-too-long",
    "hangs-up", "compresses-uninvited", "echoes-a-close", "takes-long-pings", "forgets-half", "ping-ends-message",
]
KNOWN = (0, 1, 2, 8, 9, 10)


class Offence(Exception):
    def __init__(self, code):
        super().__init__(code)
        self.code = code


def unmasked(data, mask):
    key = int.from_bytes((mask * (len(data) // 4 + 1))[: len(data)], "big")
    return (int.from_bytes(data, "big") ^ key).to_bytes(len(data), "big")


class Socket:
    """One connection after the 101."""

    def __init__(self, room, reader, writer):
        self.room, self.reader, self.writer = room, reader, writer
        self.manner, self.defect = room.options.manner, room.options.defect
        self.largest, self.has_closed = room.options.largest, False

    def has(self, defect):
        return self.defect == defect

    # Writing

    def frame(self, opcode, payload, final=True, reserved=0):
        length = len(payload)
        mask = random.randbytes(4) if self.has("masks-frames") else b""
        bit, short = (0x80 if mask else 0), (60 if self.has("wastes-lengths") else 126)
        head = bytes([(0x80 if final else 0) | reserved | opcode])
        if length < short:
            head += bytes([bit | length])
        elif length < 65536:
            head += bytes([bit | 126]) + struct.pack(">H", length)
        else:
            head += bytes([bit | 127]) + struct.pack(">Q", length)
        # Nothing follows a Close, not even another Close.
        if not self.writer.is_closing() and (not self.has_closed or self.has("bytes-after-close")):
            self.writer.write(head + mask + (unmasked(payload, mask) if mask else payload))
        self.has_closed = self.has_closed or opcode == 8

    async def send(self, text):
        await self.writer.drain()
        if self.has_closed:
            return
        payload = text.encode(errors="surrogateescape" if self.has("takes-bad-text") else "strict")
        if payload.startswith(b"Server push"):
            self.push(payload)
        else:
            self.echo(payload)

    def push(self, payload):
        if self.manner in ("fragments", "pings-between"):
            self.frame(1, payload[:7], final=False)
            if self.manner == "pings-between":
                self.frame(9, b"between")
            self.frame(0, payload[7:30], final=False)
            self.frame(0, payload[30:])
        elif self.has("compresses-uninvited"):
            import zlib

            packer = zlib.compressobj(wbits=-15)
            self.frame(1, (packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4], reserved=0x40)
        else:
            self.frame(1, payload)
        if self.manner == "pongs":
            self.frame(10, b"still here")
        if self.manner == "own-pings":
            self.frame(9, b"are you there?")

    def echo(self, payload):
        if self.has("corrupts-long") and len(payload) > 65536:
            payload = payload[:65536] + b"\0" * (len(payload) - 65536)
        if self.has("corrupts-126") and len(payload) == 126:
            payload = payload[:-1]
        if self.has("corrupts-65536") and len(payload) >= 65536:
            payload = payload[: len(payload) - 65536] or b"Server received: "
        if self.has("fragments-echoes") and len(payload) > 4096:
            self.frame(1, payload[:4096], final=False)
            self.frame(0, payload[4096:])
        else:
            self.frame(2 if self.has("answers-in-binary") else 1, payload)

    # Reading

    async def read_frame(self):
        first, second = await self.reader.readexactly(2)
        opcode, final, length = first & 15, bool(first & 128), second & 127
        if first & 0x70 and not self.has("takes-reserved-bits"):
            raise Offence(1002)
        if not second & 128 and not self.has("takes-unmasked"):
            raise Offence(1002)
        if opcode not in KNOWN or (opcode > 7 and not final):
            raise Offence(1002)
        if opcode > 7 and length > 125 and not self.has("takes-long-pings"):
            raise Offence(1002)
        if length > 125:
            size = 2 if length == 126 else 8
            length = int.from_bytes(await self.reader.readexactly(size), "big")
        if length > self.largest and not self.has("takes-too-long"):
            raise Offence(1009)
        mask = await self.reader.readexactly(4) if second & 128 else bytes(4)
        return opcode, final, unmasked(await self.reader.readexactly(length), mask)

    async def read_messages(self, client):
        kind, message, rest = None, b"", b""
        while True:
            opcode, final, payload = await self.read_frame()
            if opcode > 7:
                if self.has("ping-ends-message") and kind is not None:
                    kind, message = None, b""
                if opcode == 8:
                    await client.flush()
                    return self.on_close(payload)
                if opcode == 9 and not self.has("loses-pings"):
                    self.frame(10, b"" if self.has("empty-pongs") else payload)
                continue
            if (opcode == 0) == (kind is None):
                raise Offence(1002)
            kind, message = kind or opcode, message + payload
            if len(message) > self.largest and not self.has("takes-too-long"):
                raise Offence(1009)
            if final:
                text, rest = self.decode(rest + message) if kind == 1 else (message, rest)
                kind, message = None, b""
                if text is not None:
                    await client.receive(text)

    def decode(self, message):
        """The text, and what is left over for the next message, which is nothing in a sound server."""
        try:
            return message.decode(), b""
        except UnicodeDecodeError as error:
            if self.has("takes-bad-text"):
                return message.decode(errors="surrogateescape"), b""
            if self.has("cuts-bad-text"):
                return message.decode(errors="ignore"), b""
            if self.has("joins-bad-text") and error.reason == "unexpected end of data":
                return message[: error.start].decode(), message[error.start :]
            raise Offence(1007) from None

    def on_close(self, payload):
        code = int.from_bytes(payload[:2], "big") if payload else 1000
        if len(payload) == 1 or not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code < 5000):
            if not self.has("echoes-a-close"):
                raise Offence(1002)
        try:
            payload[2:].decode()
        except UnicodeDecodeError:
            raise Offence(1007) from None
        if self.manner == "code-empty":
            self.frame(8, b"")
        elif not self.has("leaves-closes"):
            self.frame(8, struct.pack(">H", 1005 if self.has("closes-1005") and not payload else code))

    # The end

    async def close(self, code):
        if not self.has_closed:
            self.frame(8, struct.pack(">H", code))
        await self.linger()

    async def linger(self):
        """Ends the stream, and reads on for a while: otherwise a reset would destroy the Close."""
        try:
            if self.has("bytes-after-close"):
                self.frame(1, b"Server received: goodbye")
            self.writer.write_eof()
            while await asyncio.wait_for(self.reader.read(65536), CLOSE_TIMEOUT):
                pass
        except (asyncio.TimeoutError, OSError, RuntimeError):
            pass

    async def refuse(self, offence):
        if self.has("crashes-on-offence"):
            print("Traceback (most recent call last):\nprotocol.Offence: unexpected", offence.code, file=sys.stderr, flush=True)
            os._exit(3)
        if self.manner != "cuts-offenders":
            self.frame(8, struct.pack(">H", 1000 if self.has("names-1000") else offence.code))
        await self.linger()


async def serve_client(room, reader, writer):
    socket = Socket(room, reader, writer)
    if socket.has("hangs-up") and random.random() < 0.25:
        return
    async with room.client(socket.send, socket.close, writer.transport.abort) as client:
        try:
            await socket.read_messages(client)
            await socket.linger()
        except Offence as offence:
            await client.flush()
            await socket.refuse(offence)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass


async def run(room):
    kept = []

    async def handle(reader, writer):
        try:
            if await answer(room, reader, writer):
                await serve_client(room, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            if room.options.defect == "leaves-sockets":
                kept.append(writer)
            else:
                writer.close()

    options = room.options
    server = await asyncio.start_server(
        handle, "127.0.0.1", options.port, backlog=options.backlog, reuse_port=options.reuse_port
    )
    room.start()
    await room.wait_for_signal()
    server.close()
    await room.drain()


main(run, manners=FRAMES + OF_ANSWERS, defects=DEFECTS + OF_HANDSHAKES)

"""The opening handshake of `on_nothing`: what the request must have, and the forms of the 101."""

import asyncio
import base64
import hashlib

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MANNERS = ["other-case", "no-reason", "more-fields"]
DEFECTS = [
    "no-upgrade", "no-connection", "upgrade-h2c", "own-subprotocol", "own-extension", "wrong-accept", "http-200",
    "compares-case", "wants-only-upgrade", "refuses-some", "wants-exact-path", "garbage-deflate", "redirects", "refuses-origins",
]


def fields_of(head, defect):
    lines = head.decode("latin-1").split("\r\n")
    pairs = [line.split(":", 1) for line in lines[1:] if ":" in line]
    fold = str.strip if defect == "compares-case" else lambda name: name.strip().lower()
    return lines[0], {fold(name): value.strip() for name, value in pairs}


def is_upgrade(line, fields, defect):
    if defect == "compares-case":
        return fields.get("Upgrade") == "websocket" and "Upgrade" in fields.get("Connection", "")
    words = line.split()
    target = words[1] if len(words) == 3 else ""
    path = target if defect == "wants-exact-path" else "/" + target.split("://")[-1].split("/", 1)[-1].split("?")[0]
    if len(words) != 3 or (words[0], path, words[2]) != ("GET", "/ws", "HTTP/1.1"):
        return False
    connection = fields.get("connection", "").lower()
    tokens = [token.strip() for token in connection.split(",")]
    is_asked = connection == "upgrade" if defect == "wants-only-upgrade" else "upgrade" in tokens
    return is_asked and fields.get("upgrade", "").lower() == "websocket"


def is_sound(line, fields, defect):
    get = {name.lower(): value for name, value in fields.items()}.get
    key = get("sec-websocket-key", "")
    try:
        is_key = len(base64.b64decode(key, validate=True)) == 16
    except ValueError:
        is_key = False
    if defect == "refuses-some" and ord(key[:1] or "A") % 8 == 0:
        return False
    if defect == "refuses-origins" and get("origin"):
        return False
    return is_key and is_upgrade(line, fields, defect) and get("sec-websocket-version") == "13"


def response(key, manner, defect, offered):
    accept = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()
    if defect == "wrong-accept":
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
    status, names = "HTTP/1.1 101 Switching Protocols", ["Upgrade", "Connection", "Sec-WebSocket-Accept"]
    values, further = ["websocket", "Upgrade", accept], []
    if manner == "other-case":
        names, values[0] = ["UPGRADE", "connection", "sec-websocket-ACCEPT"], "WebSocket"
    if manner == "no-reason":
        status = "HTTP/1.1 101 "
    if manner == "more-fields":
        values[1] = "keep-alive, Upgrade"
        further = ["Server: push/1.0", "Date: Thu, 01 Jan 2026 00:00:00 GMT", "Set-Cookie: a=b; HttpOnly", "X-Request-Id: 7"]
    if defect == "http-200":
        status = "HTTP/1.1 200 OK"
    if defect == "upgrade-h2c":
        values[0] = "h2c"
    if defect == "own-subprotocol":
        further.append("Sec-WebSocket-Protocol: push")
    if defect == "own-extension" or (defect == "garbage-deflate" and "permessage-deflate" in offered):
        further.append("Sec-WebSocket-Extensions: permessage-deflate")
    fields = [f"{name}: {value}" for name, value in zip(names, values)]
    left_out = {"no-upgrade": 0, "no-connection": 1}.get(defect)
    if left_out is not None:
        del fields[left_out]
    return "\r\n".join([status, *fields, *further, "", ""]).encode()


async def answer(room, reader, writer):
    """Whether the connection was upgraded."""
    manner, defect = room.options.manner, room.options.defect
    try:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    except (asyncio.TimeoutError, asyncio.LimitOverrunError):
        return False
    line, fields = fields_of(head, defect)
    lowered = {name.lower(): value for name, value in fields.items()}
    if defect == "redirects" and is_sound(line, fields, None):
        writer.write(b"HTTP/1.1 301 Moved Permanently\r\nLocation: /ws/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        return False
    if not is_sound(line, fields, defect):
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        return False
    offered = lowered.get("sec-websocket-extensions", "")
    writer.write(response(lowered["sec-websocket-key"], manner, defect, offered))
    return True

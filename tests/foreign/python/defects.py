"""Single mistakes of an app, each in one small class: `--defect NAME`, where NAME is the name of the class.

They are independent of the library. `defects_of_time` has those of the schedule and of the end.
"""

import asyncio
import os
import re
import tempfile
import time

from room import Client, Room

DEFECTS = {}


def defect(kind):
    """Registers a class. A mistake in the client is put into a room of its own."""
    name = re.sub(r"(?<=.)([A-Z])", r"-\1", kind.__name__).lower()
    DEFECTS[name] = type(kind.__name__, (Room,), {"client_type": kind}) if issubclass(kind, Client) else kind
    return kind


# Commands


@defect
class TrimsCommands(Client):
    async def on_text(self, text):
        await super().on_text(text.strip() if text.strip() in ("subscribe", "unsubscribe") else text)


@defect
class IgnoresCase(Client):
    async def on_text(self, text):
        await super().on_text(text.lower() if text.lower() in ("subscribe", "unsubscribe") else text)


@defect
class MatchesPrefix(Client):
    async def on_text(self, text):
        await super().on_text("unsubscribe" if text.startswith("unsubscribe") else text)


@defect
class EchoesCommands(Client):
    async def on_text(self, text):
        await super().on_text(text)
        if text in ("subscribe", "unsubscribe"):
            await self.echo(text)


@defect
class ConfirmsCommands(Client):
    async def subscribe(self):
        await super().subscribe()
        await self.free.acquire()
        self.outbox.put_nowait(("echo", "OK subscribed"))


@defect
class ObeysBinary(Client):
    async def on_binary(self, message):
        if message in (b"subscribe", b"unsubscribe"):
            await self.on_text(message.decode())


@defect
class AnswersBinary(Client):
    async def on_binary(self, message):
        await self.echo(message.decode(errors="replace"))


@defect
class Toggles(Client):
    """Each `subscribe` changes the switch, also when it is on."""

    async def subscribe(self):
        self.subscribed = not self.subscribed


@defect
class SubscribesTwice(Room):
    """The subscribers are a list, and the second `subscribe` adds the client again."""

    class client_type(Client):
        async def subscribe(self):
            self.room.extra.append(self)
            await super().subscribe()

        async def unsubscribe(self):
            self.room.extra = [client for client in self.room.extra if client is not self]
            await super().unsubscribe()

    def __init__(self, options):
        super().__init__(options)
        self.extra = []

    def walk(self, text):
        super().walk(text)
        added = [client for client in set(self.extra) if self.extra.count(client) > 1]
        for client in added:
            client.push(text)


@defect
class SwitchesEverybody(Client):
    """`unsubscribe` is stored in one variable of the server."""

    async def unsubscribe(self):
        for client in self.room.clients:
            client.subscribed = False


@defect
class RemembersUnsubscribe(Room):
    """The subscription is stored by the client's address, which all clients of a household share."""

    def __init__(self, options):
        super().__init__(options)
        self.is_off = False

    def join(self, client):
        client.subscribed = not self.is_off
        super().join(client)

    class client_type(Client):
        async def unsubscribe(self):
            self.room.is_off = True
            await super().unsubscribe()


@defect
class UnsubscribedAtFirst(Client):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.subscribed = False


@defect
class HeartbeatSubscribes(Client):
    """Each sign of life puts the client on the list again."""

    async def on_text(self, text):
        if text == "Heartbeat":
            self.subscribed = True
        await super().on_text(text)


@defect
class UnsubscribesLater(Client):
    """The command goes through a queue to a database, and the answer comes a little later."""

    async def unsubscribe(self):
        async def store():
            await asyncio.sleep(self.room.options.period * 0.7)
            self.subscribed = False

        self.room.spawn(store())


@defect
class SubscribesLater(Room):
    """A new client is looked up in a database first, and is on the list half a period later."""

    def join(self, client):
        super().join(client)
        client.subscribed = False

        async def look_up():
            await asyncio.sleep(self.options.period * 0.5)
            client.subscribed = True

        self.spawn(look_up())


@defect
class RemindsUnsubscribed(Room):
    """Every third push goes to all, so that nobody forgets the service."""

    pushed = 0

    def walk(self, text):
        self.pushed += 1
        for client in self.clients:
            if client.subscribed or self.pushed % 3 == 0:
                client.push(text)


@defect
class ReusesNumbers(Room):
    """Clients are numbered by their count. After a client has left, two of them have the same number."""

    def __init__(self, options):
        super().__init__(options)
        self.numbered = {}

    def join(self, client):
        super().join(client)
        client.number = len(self.clients)
        self.numbered[client.number] = client

    def leave(self, client):
        super().leave(client)
        self.numbered.pop(client.number, None)

    def walk(self, text):
        for client in list(self.numbered.values()):
            if client.subscribed:
                client.push(text)


# Echoes


@defect
class TrimsEchoes(Client):
    def reply(self, text):
        return "Server received: " + text.strip()


@defect
class LowersEchoes(Client):
    def reply(self, text):
        return "Server received: " + text.lower()


@defect
class NormalizesEchoes(Client):
    """The text goes through a database whose columns are Latin-1."""

    def reply(self, text):
        return "Server received: " + text.encode("latin-1", "replace").decode("latin-1")


@defect
class CutsAtNul(Client):
    def reply(self, text):
        return "Server received: " + text.split("\0")[0]


@defect
class CutsLongEchoes(Client):
    """A buffer of 60 KiB is long enough for everybody."""

    def reply(self, text):
        return ("Server received: " + text)[: 60 << 10]


@defect
class IgnoresEmpty(Client):
    async def echo(self, text):
        if text:
            await super().echo(text)


@defect
class IgnoresHeartbeats(Client):
    async def echo(self, text):
        if text != "Heartbeat":
            await super().echo(text)


@defect
class IgnoresRepeats(Client):
    last = None

    async def echo(self, text):
        if text != self.last:
            await super().echo(text)
        self.last = text


@defect
class SwapsEchoes(Client):
    """Each message is a task of its own. Long ones take longer."""

    async def receive(self, message):
        async def later():
            await asyncio.sleep(0.02 if len(message) > 40 else 0.002)
            await Client.receive(self, message)

        if message in ("subscribe", "unsubscribe"):
            await super().receive(message)
        else:
            self.room.spawn(later())


@defect
class MixesClients(Client):
    """The text is kept in a variable of the server while the answer waits for its turn."""

    async def echo(self, text):
        self.room.text_in_work = text
        await asyncio.sleep(0.01)
        await super().echo(self.room.text_in_work)


@defect
class EchoesToEverybody(Client):
    async def echo(self, text):
        for client in list(self.room.clients):
            if client is not self and client.free._value > 2:
                await Client.echo(client, text)
        await super().echo(text)


# Clients that are slow, that leave, and that come


@defect
class LosesLast(Room):
    def walk(self, text):
        for client in self.clients[:-1]:
            if client.subscribed:
                client.push(text)


@defect
class ServesFirstPage(Room):
    """The list of the clients comes in pages of a hundred, and nobody asks for the second."""

    def walk(self, text):
        for client in self.clients[:100]:
            if client.subscribed:
                client.push(text)


@defect
class WorksForEach(Room):
    """Four milliseconds of blocking work for each client: a look-up in a file, a template."""

    def walk(self, text):
        self.spawn(self.walk_slowly(text))

    async def walk_slowly(self, text):
        for client in list(self.clients):
            time.sleep(0.004)
            if client.subscribed:
                client.push(text)
            await asyncio.sleep(0)


@defect
class DropsForLaggards(Client):
    """A client with something in its queue misses the push: it can have the next one."""

    def push(self, text):
        if self.outbox.empty():
            super().push(text)


@defect
class WaitsForEach(Room):
    """The walk waits until the client before has taken its push."""

    async def fire(self, cycle, text):
        for client in list(self.clients):
            if client.subscribed and not client.has_ended:
                try:
                    await client.send(text)
                except Exception:
                    pass


@defect
class QueuesWithoutBound(Client):
    async def __aenter__(self):
        self.free = asyncio.Semaphore(1 << 30)
        return await super().__aenter__()

    def evict(self):
        self.outbox.put_nowait(("push", ""))


@defect
class KeepsMemory(Room):
    """A history of each connection, for statistics that nobody reads."""

    history = []

    def leave(self, client):
        super().leave(client)
        self.history.append(os.urandom(16 * 1024))


@defect
class KeepsFiles(Room):
    """A log file for each connection, which stays open."""

    logs = []

    def join(self, client):
        super().join(client)
        self.logs.append(tempfile.TemporaryFile())


@defect
class GreetsClients(Room):
    def join(self, client):
        super().join(client)
        client.outbox.put_nowait(("greeting", "Welcome!"))


import defects_of_time  # noqa: E402,F401  It registers its defects here.

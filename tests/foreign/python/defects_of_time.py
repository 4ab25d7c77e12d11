"""Single mistakes in the schedule, in the text of a push, and at the end of a client or of the server."""

import asyncio
import os
import random
import sys
import time

from defects import defect
from room import Client, Room

# The schedule


@defect
class NeverPushes(Room):
    async def fire(self, cycle, text):
        pass


@defect
class SkipsFourth(Room):
    async def fire(self, cycle, text):
        if cycle % 4 != 3:
            await super().fire(cycle, text)


@defect
class PushesTwice(Room):
    """The write is tried again after a time limit that was too short, though the first one succeeded."""

    async def fire(self, cycle, text):
        await super().fire(cycle, text)
        if cycle % 3 == 0:
            await asyncio.sleep(0.02)
            self.walk(text)


@defect
class WrongPeriod(Room):
    def __init__(self, options):
        super().__init__(options)
        options.period *= 1.5


@defect
class Drifts(Room):
    """Sleeps for a period after each walk, which takes its time."""

    async def schedule(self):
        while not self.is_closing:
            await asyncio.sleep(self.options.period)
            await asyncio.sleep(self.options.period / 40)
            self.walk(self.text(time.time()))


@defect
class TooEarly(Room):
    """The timer is coarse: a wheel whose spokes are a fifth of the period apart, rounded to the nearest."""

    async def schedule(self):
        period, start, cycle = self.options.period, time.monotonic(), 0
        while not self.is_closing:
            cycle += 1
            due = start + (cycle + random.choice([-0.4, 0, 0, 0, 0.4])) * period
            await asyncio.sleep(due - time.monotonic())
            self.walk(self.text(time.time()))


@defect
class VeryLate(Room):
    """Renders a report first, for up to nine tenths of the period."""

    async def fire(self, cycle, text):
        await asyncio.sleep(random.uniform(0, 0.9) * self.options.period)
        self.walk(text)


@defect
class LateForHalf(Room):
    """Spreads the load: the second half of the clients has its turn most of a period later."""

    async def fire(self, cycle, text):
        clients = list(self.clients)
        self.spawn(self.push_later(clients[1::2], text))
        for client in clients[::2]:
            if client.subscribed:
                client.push(text)

    async def push_later(self, clients, text):
        await asyncio.sleep(0.65 * self.options.period)
        for client in clients:
            if client.subscribed:
                client.push(text)


@defect
class CatchesUp(Room):
    """After a stall all missed cycles are sent at once."""

    async def schedule(self):
        start, cycle = time.monotonic(), 0
        while not self.is_closing:
            cycle += 1
            await asyncio.sleep(start + cycle * self.options.period - time.monotonic())
            self.walk(self.text(time.time()))


@defect
class RestartsAfterStall(Room):
    """A cycle that is late becomes the new origin of the schedule."""

    async def schedule(self):
        due = time.monotonic()
        while not self.is_closing:
            due += self.options.period
            await asyncio.sleep(due - time.monotonic())
            late = time.monotonic() - due
            if late > self.options.period / 10:
                due += late
            self.walk(self.text(time.time()))


@defect
class TimerPerClient(Room):
    """Each connection starts a timer of its own."""

    async def schedule(self):
        pass

    def join(self, client):
        super().join(client)
        client.timer = self.spawn(self.tick(client))

    def leave(self, client):
        super().leave(client)
        client.timer.cancel()

    async def tick(self, client):
        start, cycle = time.monotonic(), 0
        while True:
            cycle += 1
            await asyncio.sleep(start + cycle * self.options.period - time.monotonic())
            if client.subscribed:
                client.push(self.text(time.time()))


@defect
class StopsWhenEmpty(Room):
    """The timer ends with the last client and starts again with the next, at another phase."""

    timer = None

    async def schedule(self):
        pass

    def join(self, client):
        super().join(client)
        if self.timer is None:
            self.timer = self.spawn(Room.schedule(self))

    def leave(self, client):
        super().leave(client)
        if not self.clients:
            self.timer.cancel()
            self.timer = None


@defect
class StopsForGood(Room):
    """The timer ends with the last client, and does not start again."""

    def leave(self, client):
        super().leave(client)
        if not self.clients:
            self.ticking.cancel()


# The text


def at(pattern, clock=time.localtime):
    return lambda self, instant: time.strftime("Server push message at " + pattern, clock(instant))


defect(type("MinuteAsMonth", (Room,), {"text": at("%Y-%M-%d %H:%m:%S")}))
defect(type("TwelveHours", (Room,), {"text": at("%Y-%m-%d %I:%M:%S %p")}))
defect(type("IsoText", (Room,), {"text": at("%Y-%m-%dT%H:%M:%S")}))
defect(type("TrailingNewline", (Room,), {"text": at("%Y-%m-%d %H:%M:%S\n")}))
defect(type("UtcText", (Room,), {"text": at("%Y-%m-%d %H:%M:%S", time.gmtime)}))
defect(type("DayFirst", (Room,), {"text": at("%d-%m-%Y %H:%M:%S")}))


@defect
class NextInstant(Room):
    """Names the instant of the next push."""

    def text(self, instant):
        return super().text(instant + self.options.period)


@defect
class SameTextForEver(Room):
    """The text is a constant that was made at the start."""

    def walk(self, text):
        self.first = getattr(self, "first", text)
        super().walk(self.first)


@defect
class OldTextForSome(Room):
    """Half of the clients get the text from a cache, which is filled after the walk."""

    cached = None

    def walk(self, text):
        old, self.cached = self.cached or text, text
        for index, client in enumerate(list(self.clients)):
            if client.subscribed:
                client.push(old if index % 2 else text)


# The end of a client and of the server


@defect
class ClosesIdle(Room):
    """A client that has sent nothing for one and a half periods is closed, whatever it answers to pings."""

    def join(self, client):
        super().join(client)
        client.timer = self.wait(client)

    def wait(self, client):
        seconds = 1.5 * self.options.period
        return asyncio.get_running_loop().call_later(seconds, client.outbox.put_nowait, ("close", 1000))

    class client_type(Client):
        async def receive(self, message):
            self.timer.cancel()
            self.timer = self.room.wait(self)
            await super().receive(message)


@defect
class CrashesOnTenth(Room):
    """The table of clients has nine places."""

    def join(self, client):
        super().join(client)
        if len(self.clients) == 10:
            print("IndexError: list assignment index out of range", file=sys.stderr, flush=True)
            os._exit(3)


def at_the_end(name, code):
    def close_all(self):
        self.is_closing = True
        for client in list(self.clients):
            client.outbox.put_nowait(("close", code))

    return defect(type(name, (Room,), {"close_all": close_all}))


at_the_end("ShutsDown1000", 1000)
at_the_end("ShutsDown1011", 1011)
at_the_end("ShutsDown4000", 4000)


@defect
class EndsWithoutClose(Room):
    def close_all(self):
        os._exit(0)


@defect
class NeverExits(Room):
    async def drain(self):
        await super().drain()
        await asyncio.sleep(3600)


@defect
class ExitsWithError(Room):
    async def drain(self):
        await super().drain()
        os._exit(1)


@defect
class IgnoresSignal(Room):
    async def drain(self):
        await asyncio.sleep(3600)


@defect
class PushesAfterSignal(Room):
    """A last push says goodbye."""

    def close_all(self):
        self.walk(self.text(time.time()))
        super().close_all()

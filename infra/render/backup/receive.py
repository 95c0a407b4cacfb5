#!/usr/bin/python3
"""
The process `receive`, which runs as PostgreSQL's user: has pg_receivewal bring the primary's WAL into the
spool, and gives whole segments to every repository. It goes on by itself after whatever happens.
"""
import os
import signal
import sys
import time

import identity
import pgbackrest
import ticks
from common import Failed, iso, moment, now, place, read_json, say, settings, write_json
from lineage import WAITS
from push import Pushers, lineages
from receiver import AHEAD, FORKED, GONE, Receiver, end_lineage, meaning, pass_by, set_aside, tidy
from segments import PARTIAL, SIZE, WHOLE, filled, parse, position, text_of

ROUND_SECONDS = 0.2
STATE_SECONDS = 5
FIRST_WAIT_SECONDS, LAST_WAIT_SECONDS = 0.5, 10
# Receiving goes on once this part of the spool's limit is free again
FREE_AGAIN = 0.25
# A primary that has not come as far as the spool may be one that starts
AHEAD_SECONDS = 30
# Nothing has come of what was written this long ago: the connection is dead, whatever TCP thinks
SILENCE_SECONDS = 60


class Receive:
    def __init__(self):
        known = read_json(place("state", "receive.json")) or {}
        self.lineage = None
        self.pushers = Pushers(known.get("repositories") or {})
        self.receiver = None
        self.connected, self.why = False, "starting"
        self.since = now()
        self.received = None
        self.full = False
        self.wait = FIRST_WAIT_SECONDS
        self.next = self.written = 0.0
        self.ahead = None
        self.timeline, self.branch = None, []
        if known.get("received"):
            self.known = (known.get("lineage"), known.get("timeline"), known.get("received"))
        else:
            self.known = None

    def round(self):
        """What is done every now and then: often enough that little comes above the limit of the spool."""
        self.follow_lineage()
        self.pushers.clear(self.lineage or 0)
        self.measure()
        if self.receiver and not self.receiver.runs():
            self.ended()
        if self.receiver and self.is_silent():
            self.stop("nothing came for a minute: connecting anew")
        if not self.receiver and self.lineage and not self.full and time.monotonic() >= self.next:
            self.start()
        if self.receiver:
            self.tell(self.receiver.streaming, None if self.receiver.streaming else self.why)
            if self.receiver.streaming and time.monotonic() - self.receiver.since > LAST_WAIT_SECONDS:
                self.wait, self.ahead = FIRST_WAIT_SECONDS, None
        self.write()

    def follow_lineage(self):
        """Another lineage has a spool of its own; that of the one before is pushed to its end."""
        current = pgbackrest.lineage() or None
        if current is None:
            self.tell(False, (read_json(place("state", WAITS)) or {}).get("why") or "starting")
        if current == self.lineage:
            return
        self.stop(f"the database's history is recorded as {current} now")
        # Where it is not known which one comes next, none has ended
        for one in lineages() if current else ():
            if one != current:
                end_lineage(pgbackrest.spool(one))
        self.lineage, self.received, self.timeline = current, None, None
        if current:
            os.makedirs(pgbackrest.spool(current), mode=0o700, exist_ok=True)
            if self.known and self.known[0] == current:
                self.timeline, self.received = self.known[1], position(self.known[2])
        self.next = 0.0

    def measure(self):
        """How far WAL has come, and whether the spool is full."""
        size = spool_bytes()
        limit = settings()["spoolMegabytes"] << 20
        if not self.full and size > limit:
            self.full = True
            self.stop(self.full_why(size, limit))
        elif self.full and size <= limit * (1 - FREE_AGAIN):
            self.full, self.next = False, 0.0
        elif self.full:
            self.tell(False, self.full_why(size, limit))
        if self.lineage:
            found = newest_received(pgbackrest.spool(self.lineage))
            if found and (self.timeline, self.received or 0) != found:
                self.timeline, self.received = found

    def full_why(self, size, limit):
        away = [one.why for one in self.pushers.all if one.why]
        because = "; ".join(away) or "the repositories are slower than the database"
        return (
            f"receiving waits: {size >> 20} MB of WAL wait for the repositories, and spoolMegabytes is"
            f" {limit >> 20} ({because})"
        )

    def is_silent(self):
        last = ticks.newest(self.lineage)
        if not last or last["timeline"] != self.timeline or self.received is None:
            return False
        late = (now() - moment(last["at"])).total_seconds() < SILENCE_SECONDS
        older = ticks.before(self.lineage, SILENCE_SECONDS)
        running = time.monotonic() - self.receiver.since > SILENCE_SECONDS
        return bool(running and late and older and older["timeline"] == self.timeline
                    and position(older["lsn"]) > self.received)

    def start(self):
        """Begins to receive, once the primary is seen to be of this lineage."""
        self.next = time.monotonic() + self.wait
        self.wait = min(2 * self.wait, LAST_WAIT_SECONDS)
        try:
            who = identity.ask()
        except (Failed, ValueError, IndexError) as failure:
            self.tell(False, f"the primary cannot be asked: {failure}")
            return
        lineage = identity.record()
        why = identity.stranger(who, lineage)
        if why or lineage["lineage"] != self.lineage:
            self.tell(False, f"{why or 'the history changes'}: it is about to be recorded as a new one")
            return
        self.branch = who["branch"]
        folder = pgbackrest.spool(self.lineage)
        try:
            identity.keep_control(self.lineage, who["control"])
            tidy(folder)
            self.receiver = Receiver(folder)
        except OSError as error:
            self.tell(False, f"the spool cannot be used: {error}")

    def ended(self):
        said = self.receiver.said()
        self.receiver = None
        why = meaning(said)
        self.tell(False, why)
        if FORKED in said:
            set_aside(self.lineage, self.branch, why)
            self.received = None
        elif GONE in said:
            pass_by(self.lineage, why)
            self.received = None
        elif AHEAD in said:
            self.ahead = self.ahead or time.monotonic()
            if time.monotonic() - self.ahead > AHEAD_SECONDS:
                set_aside(self.lineage, self.branch, why)
                self.received = self.ahead = None

    def stop(self, why):
        if self.receiver:
            self.receiver.stop()
            self.receiver = None
        self.tell(False, why)

    def tell(self, connected, why):
        if (connected, why) == (self.connected, self.why):
            return
        if connected != self.connected:
            self.since = now()
        if why:
            say(f"{iso(now())} {why}")
        elif connected:
            say(f"{iso(now())} receiving WAL")
        self.connected, self.why = connected, why
        self.written = 0.0

    def write(self):
        if time.monotonic() - self.written < STATE_SECONDS and self.written:
            return
        tick = None
        if self.received is not None and self.lineage:
            tick = ticks.received(self.lineage, self.timeline, self.branch, self.received)
        write_json(place("state", "receive.json"), {
            "at": iso(now()),
            "connected": self.connected,
            "since": iso(self.since),
            "why": self.why,
            "timeline": self.timeline,
            "received": None if self.received is None else text_of(self.received),
            "receivedUpTo": tick,
            "spoolBytes": spool_bytes(),
            "spoolLimitBytes": settings()["spoolMegabytes"] << 20,
            "lineage": self.lineage,
            "repositories": self.pushers.state(),
        })
        self.written = time.monotonic()


def spool_bytes():
    total = 0
    for lineage in lineages():
        for path in pgbackrest.in_spool(lineage).values():
            try:
                total += os.path.getsize(path)
            except FileNotFoundError:
                pass
    return total


def newest_received(folder):
    """Timeline and position up to which WAL has come into a spool; None where there is nothing in it."""
    found = []
    for name in os.listdir(folder):
        if WHOLE.fullmatch(name):
            timeline, number = parse(name)
            found.append((timeline, (number + 1) * SIZE))
        elif PARTIAL.fullmatch(name):
            timeline, number = parse(name)
            try:
                found.append((timeline, number * SIZE + filled(os.path.join(folder, name))))
            except FileNotFoundError:
                continue
    return max(found, default=None)


def main():
    if not os.path.isdir(place("state", "requests")):
        sys.exit("the process keeper has not made the directories yet")
    receive = Receive()

    def end(*_):
        # What is under way may hold what stopping needs
        raise SystemExit

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    try:
        go_on(receive)
    finally:
        receive.stop("ended")
        os._exit(0)


def go_on(receive):
    while True:
        try:
            receive.round()
        except OSError as error:
            # A full disk, mostly; what is received is not lost by it
            receive.why = str(error)
            say(f"{iso(now())} {error}")
            time.sleep(STATE_SECONDS)
        time.sleep(ROUND_SECONDS)


if __name__ == "__main__":
    main()

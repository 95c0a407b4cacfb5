#!/usr/bin/python3
"""
The process `keeper`, which runs as root: answers requests, makes backups and copies of files when they are
due, has restores tried, and tells what there is. One long thing is done at a time; ticks, copies of files and
state go on meanwhile.
"""
import collections
import datetime
import threading
import time

import backups
import choice
import common
import drill
import files
import identity
import lineage
import ranges
import requests
import restored
import schedule
import tick_store
import ticks
import witness
from common import Failed, iso, make_directories, moment, now, place, say, settings, write_json

ROUND_SECONDS = 0.5
TICK_SECONDS = 10
# What is lost together with this machine is known up to then
SHARE_SECONDS = 20
LOOK_SECONDS, LOOK_SECONDS_OF_SLOW = 30, 300
EXPIRE_SECONDS = 6 * 3600
# After a failure: twice as long each time
FIRST_REST_SECONDS, LAST_REST_SECONDS = 60, 3600


class Keeper:
    def __init__(self):
        self.jobs = collections.deque()
        self.worker = None
        self.request = None
        # Requests whose answers may not have been written, as the disk was full
        self.unwritten = []
        self.look_now = threading.Event()
        self.seen = None
        self.lineages = lineage.Lineages()
        # By what rests after a failure: until when, and how long
        self.rests = {}
        self.why = {}
        self.is_new = False
        # The newest day whose ticks are stored, by repository and lineage
        self.shared = {}
        self.expired_at = time.monotonic() - EXPIRE_SECONDS + 300

    # Threads that go on whatever is under way

    def tick(self):
        told = "nothing yet"
        while True:
            began = time.monotonic()
            try:
                number = self.lineages.follow(identity.ask())
                if number:
                    ticks.add(number, ticks.ask())
                why = None
            except Exception as failure:
                why = f"the primary cannot be asked: {failure}"
            if why != told:
                say(why or "the primary is reached")
            told = why
            time.sleep(max(1, TICK_SECONDS - (time.monotonic() - began)))

    def look(self):
        while True:
            began = time.monotonic()
            self.look_now.clear()
            try:
                if identity.record():
                    self.survey()
            except Exception as failure:
                say(f"the backups cannot be looked through: {failure!r}")
            # One that is away makes a look slow once, and is passed over then
            is_slow = time.monotonic() - began > 5 and not self.lacks_a_repository()
            self.look_now.wait(LOOK_SECONDS_OF_SLOW if is_slow else LOOK_SECONDS)

    def lacks_a_repository(self):
        return bool(self.seen) and any(one["why"] for one in self.seen["repositories"].values())

    def survey(self):
        seen = ranges.survey()
        seen["lineage"] = identity.record()["lineage"]
        self.seen = seen
        self.write_backups()

    def share(self):
        while True:
            if identity.record():
                self.share_ticks(identity.record()["lineage"])
            time.sleep(SHARE_SECONDS)

    def share_ticks(self, number):
        for name in settings()["repositories"]:
            try:
                # Of the one before the last ones may be missing; none come any more
                if (name, number - 1) not in self.shared and tick_store.is_own(number - 1):
                    self.shared[name, number - 1] = tick_store.share(name, number - 1)
                self.shared[name, number] = tick_store.share(name, number, self.shared.get((name, number)))
            except Exception as failure:
                say(f"ticks are not stored: {failure}")

    def write_backups(self):
        seen = self.seen
        if not seen:
            return
        whens = [schedule.dues(of, settings(), now()) for of in seen["of"].values()]
        due = {kind: iso(min(one[kind] for one in whens)) for kind in ("full", "differential")} if whens else {}
        anew = choice.began_anew([{**one, "to": moment(one["to"])} for one in seen["ranges"]])
        write_json(place("state", "backups.json"), {
            "at": iso(now()), "lineage": seen["lineage"], "anew": anew and {**anew, "before": iso(anew["before"])},
            "backups": seen["backups"], "ranges": seen["ranges"],
            "gaps": seen["gaps"], "repositories": seen["repositories"], "due": due,
            "why": "; ".join(why for name, why in list(self.why.items()) if name.startswith("backup")) or None,
        })

    def copy_files(self):
        while True:
            began, every = time.monotonic(), settings()["filesEverySeconds"]
            is_well = self.attempt("files", files.copy)
            rest = every if is_well else min(every, FIRST_REST_SECONDS)
            time.sleep(max(ROUND_SECONDS, rest - (time.monotonic() - began)))

    # What is done one at a time

    def round(self):
        self.take()
        if self.worker and self.worker.is_alive():
            return
        if self.worker:
            self.worker = None
            self.look_now.set()
        self.unwritten = [one for one in self.unwritten if not one.rewrite()]
        if self.jobs:
            request = self.jobs.popleft()
            self.unwritten.append(request)
            self.begin(f"request {request.answer['do']}", lambda: self.carry_out(request), request)
            return
        for what, work in self.due():
            self.begin(what, work)
            return

    def take(self):
        try:
            for request in requests.take():
                self.jobs.append(request)
        except (OSError, ValueError) as error:
            say(f"requests cannot be taken: {error}")
            time.sleep(5)

    def begin(self, what, work, request=None):
        self.request = request
        self.run_now(what)
        self.worker = threading.Thread(target=self.work, args=(what, work), daemon=True, name=what)
        self.worker.start()

    def attempt(self, what, work):
        """Whether it went well."""
        try:
            work()
        except Exception as failure:
            self.failed(what, str(failure) if isinstance(failure, Failed) else f"{type(failure).__name__}: {failure}")
            return False
        self.rests.pop(what, None)
        self.why.pop(what, None)
        return True

    def work(self, what, work):
        self.attempt(what, work)
        self.run_now(None)
        self.request = None

    def run_now(self, what):
        self.running = {"what": what, "since": iso(now()), "progress": ""}
        self.write_running()

    def write_running(self):
        # What makes room on a full disk must run all the same
        try:
            write_json(place("state", "running.json"), self.running)
        except OSError as error:
            say(f"what is done now cannot be told: {error}")

    def failed(self, what, why):
        say(f"{what}: {why}")
        _, rest = self.rests.get(what, (0, FIRST_REST_SECONDS / 2))
        rest = min(2 * rest, LAST_REST_SECONDS)
        self.rests[what] = (time.monotonic() + rest, rest)
        self.why[what] = why

    def progress(self, text):
        say(text)
        self.running["progress"] = text
        self.write_running()
        if self.request:
            self.request.write(progress=text)

    def rests_now(self, what):
        return time.monotonic() < self.rests.get(what, (0, 0))[0]

    def due(self):
        """What is due now, by its name, the most urgent first."""
        kinds = self.backups_due()
        if kinds:
            yield "backup", lambda: self.backup(kinds)
        if time.monotonic() - self.expired_at > EXPIRE_SECONDS and self.seen:
            yield "expire", self.expire
        when = drill.due() if not self.rests_now("drill") else None
        if when and moment(when) <= now() and self.seen and self.seen["ranges"]:
            yield "drill", drill.drill
        if not self.rests_now("witness") and (self.is_new or witness.due()):
            yield "witness", self.record

    def record(self):
        """What a drill compares with what it has restored."""
        why = "after a backup" if self.is_new else "drawn"
        self.is_new = False
        witness.record(why)

    def backups_due(self):
        seen = self.seen
        if not seen or seen["lineage"] != identity.record().get("lineage"):
            self.look_now.set()
            return {}
        # Moments after WAL that is missing need a backup after it
        has_gap = lambda gaps: any(one["to"] is None and one["lineage"] == seen["lineage"] for one in gaps)
        kinds = {
            name: schedule.kind_due(of, settings(), now())
            or schedule.mends(of, has_gap(seen["gaps"] + seen["repositories"][name]["gaps"]), now())
            # One that somebody asked for, and that did not get there
            or ("diff" if f"backup in {name}" in self.why else None)
            for name, of in seen["of"].items()
        }
        return {
            name: kind for name, kind in kinds.items()
            if kind and not self.rests_now("backup") and not self.rests_now(f"backup in {name}")
        }

    def backup(self, kinds):
        try:
            result = backups.make(kinds)
        finally:
            # Another one is not begun before what there is now is known
            self.seen = None
            self.look_now.set()
        for name in kinds:
            self.rests.pop(f"backup in {name}", None)
            self.why.pop(f"backup in {name}", None)
        for name, why in result["failed"].items():
            self.failed(f"backup in {name}", why)
        self.expired_at = time.monotonic() - EXPIRE_SECONDS
        self.is_new = True
        return result

    def expire(self):
        self.expired_at = time.monotonic()
        result = backups.expire()
        seen = ranges.survey()
        known = seen["backups"]
        # What one that is away has may need them yet
        if known and not any(one["why"] for one in seen["repositories"].values()):
            oldest = min(moment(one["start"]) for one in known)
            for number in {one["lineage"] for one in known}:
                ticks.expire(number, oldest - datetime.timedelta(days=1))
                for name in settings()["repositories"]:
                    tick_store.expire(name, number, oldest - datetime.timedelta(days=1))
            witness.expire(oldest)
        return result

    def check(self):
        problems = []
        for name in common.settings()["repositories"]:
            common.progress(f"checking {name}")
            problems += backups.verify(name)
        seen = ranges.survey()
        for name, one in seen["repositories"].items():
            problems += [f"{name}: {gap['why']} ({gap['from']} to {gap['to'] or 'now'})" for gap in one["gaps"]]
        problems += files.check()
        return {"ok": not problems, "problems": problems}

    def resume(self):
        drill.clear()
        restored.resume()

    # Requests

    def carry_out(self, request):
        request.write(phase="running", since=iso(now()))
        content = request.content
        work = {
            "backup": lambda: self.backup({name: content.get("type", "full") for name in settings()["repositories"]}),
            "check": self.check,
            "restore": lambda: restored.restore(content.get("to")),
            "promote": restored.promote,
            "bring-files": restored.bring_files,
            "discard": restored.discard,
            "lineage": lineage.asked,
            "drill": drill.drill,
            "expire": self.expire,
        }.get(content["do"])
        try:
            if work is None:
                raise Failed(f"there is no request '{content['do']}'")
            request.finish(work())
        except Exception as failure:
            request.fail(str(failure) if isinstance(failure, Failed) else f"{type(failure).__name__}: {failure}")
            say(f"{content['do']}: {request.answer['why']}")
        requests.forget()


def main():
    make_directories()
    backups.remove_copy()
    requests.end_interrupted()
    keeper = Keeper()
    common.progress = keeper.progress
    keeper.begin("start", keeper.resume)
    for work in (keeper.tick, keeper.look, keeper.share, keeper.copy_files):
        threading.Thread(target=work, daemon=True, name=work.__name__).start()
    while True:
        try:
            keeper.round()
        except OSError as error:
            # A full disk, mostly
            say(f"{error}")
            time.sleep(5)
        time.sleep(ROUND_SECONDS)


if __name__ == "__main__":
    main()

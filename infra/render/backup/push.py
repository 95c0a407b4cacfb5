"""WAL on its way from the spool into the repositories: each repository goes at its own pace."""
import os
import re
import shutil
import threading
import time

import pgbackrest
from common import Failed, iso, now, place, say
from receiver import aside
from segments import HISTORY, SIZE, WHOLE

REST_SECONDS = 0.5
# After a failure: twice as long each time
FIRST_WAIT_SECONDS, LAST_WAIT_SECONDS = 2, 30
# One file of 16 MB takes no longer
LATE_SECONDS = 30


def lineages():
    """The lineages that have something in the spool, the oldest first."""
    found = [re.fullmatch(r"hastack-(\d+)", name) for name in os.listdir(place("spool"))]
    return sorted(int(one.group(1)) for one in found if one)


def waiting(lineage):
    """Names of whole segments and of history files of a lineage that lie in the spool, in order."""
    names = pgbackrest.in_spool(lineage)
    return sorted(name for name in names if WHOLE.fullmatch(name) or HISTORY.fullmatch(name))


class Pusher(threading.Thread):
    """
    Gives one repository all that it lacks of the spool.
    @param known what `state` said before this process began: when it has last got something is to be told yet
    """

    def __init__(self, repository, known):
        super().__init__(daemon=True, name=f"push-{repository}")
        self.repository = repository
        self.done = set()
        self.pushed, self.at, self.why = known.get("pushed"), known.get("at"), None
        # Since when it has been giving it one file; a store that hangs says nothing for two minutes
        self.since = None

    def run(self):
        wait = FIRST_WAIT_SECONDS
        while True:
            try:
                self.push_all()
                wait = FIRST_WAIT_SECONDS
                self.tell(None)
                time.sleep(REST_SECONDS)
            except Exception as failure:
                self.tell(str(failure))
                time.sleep(wait)
                wait = min(2 * wait, LAST_WAIT_SECONDS)

    def tell(self, why):
        if why != self.why:
            say(f"WAL does not get into a repository: {why}" if why else f"WAL gets into {self.repository} again")
        self.why = why

    def push_all(self):
        for lineage in lineages():
            for name in waiting(lineage):
                if (lineage, name) not in self.done:
                    self.push(lineage, name)

    def push(self, lineage, name):
        path = pgbackrest.in_spool(lineage).get(name)
        if path is None or (WHOLE.fullmatch(name) and os.path.getsize(path) != SIZE):
            return
        self.since = time.monotonic()
        try:
            self.give(lineage, path)
        finally:
            self.since = None
        # One that was moved meanwhile may have been gone for pgBackRest: it is given once more
        if pgbackrest.in_spool(lineage).get(name) != path:
            return
        self.done.add((lineage, name))
        self.pushed, self.at = name, iso(now())

    def give(self, lineage, path):
        try:
            pgbackrest.push(self.repository, lineage, path)
        except Failed as failure:
            if not os.path.exists(path):
                return
            if "no stanza" not in str(failure):
                raise
            pgbackrest.create(self.repository, lineage)
            pgbackrest.push(self.repository, lineage, path)

    def state(self):
        since = self.since
        hangs = since is not None and time.monotonic() - since > LATE_SECONDS
        why = f"{self.repository}: it does not answer (for {LATE_SECONDS} s and more)" if hangs else self.why
        return {"pushed": self.pushed, "at": self.at, "why": why}


class Pushers:
    """All repositories' pushers, and the spool, which loses what all of them have."""

    def __init__(self, known):
        self.all = [Pusher(one, known.get(one) or {}) for one in pgbackrest.repositories()]
        for one in self.all:
            one.start()

    def clear(self, current):
        """Removes what every repository has; history files of the current lineage pg_receivewal looks for."""
        for lineage in lineages():
            for name in waiting(lineage):
                keep = lineage == current and HISTORY.fullmatch(name)
                if not keep and all((lineage, name) in one.done for one in self.all):
                    os.remove(pgbackrest.in_spool(lineage)[name])
                    for one in self.all:
                        one.done.discard((lineage, name))
            if lineage < current and not pgbackrest.in_spool(lineage):
                shutil.rmtree(pgbackrest.spool(lineage))
                shutil.rmtree(aside(lineage), ignore_errors=True)

    def state(self):
        return {one.repository: one.state() for one in self.all}

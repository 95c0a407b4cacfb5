"""pg_receivewal: one that runs, and what is to be done about one that has ended."""
import os
import shutil
import signal
import subprocess
import threading
import time

import pgbackrest
from common import bin, conninfo, environment, iso, now, one_line, place, prepare, say
from segments import PARTIAL, SIZE, WHOLE, parse, position

SLOT = "keeper"
STATUS_SECONDS = 5
END_SECONDS = 10
# A standby that hangs holds writes up, and is given up after 2 s; this one only waits for a busy disk now and then
PATIENT = "-c wal_sender_timeout=10s"
# What the server says of a position, and what is done about it then
FORKED = "is not in this server's history"
GONE = "has already been removed"
AHEAD = "is ahead of the WAL flush position"
MEANING = (
    (FORKED, "what was received last is in nobody's history any more"),
    (GONE, "the primary has no more of the WAL that comes next"),
    (AHEAD, "the primary has not come as far as what was received"),
    ("invalidated", "the slot is lost: the primary kept WAL no longer (max_slot_wal_keep_size); it is made anew"),
    ("can no longer get changes", "the slot is lost: the primary kept WAL no longer; it is made anew"),
    ("does not exist", "the primary has no slot keeper; Patroni makes it"),
    ("is active for PID", "the slot is in use by a connection before; it ends within seconds"),
    ("No space left on device", "the disk of the backups is full"),
)


class Receiver:
    """One run of pg_receivewal into a folder."""

    def __init__(self, folder):
        words = [
            bin("pg_receivewal"), f"--directory={folder}", f"--slot={SLOT}", "--no-loop", "--verbose",
            "--no-password", f"--status-interval={STATUS_SECONDS}", f"--dbname={conninfo('primary', options=PATIENT)}",
        ]
        self.streaming = False
        self.since = time.monotonic()
        self._said = []
        self._child = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env=environment(), preexec_fn=prepare(None), encoding="utf-8", errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._child.stderr:
            if "starting log streaming" in line:
                self.streaming = True
            elif "finished segment" not in line:
                self._said.append(line)
                del self._said[:-5]

    def runs(self):
        return self._child.poll() is None

    def said(self):
        """What it said at its end."""
        self._reader.join(2)
        return one_line(" ".join(self._said)) or f"pg_receivewal ended with {self._child.returncode}"

    def stop(self):
        if self.runs():
            self._child.send_signal(signal.SIGINT)
            try:
                self._child.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self._child.kill()
                try:
                    self._child.wait(END_SECONDS)
                except subprocess.TimeoutExpired:
                    say(f"{iso(now())} pg_receivewal does not end: it waits for the disk")


def meaning(said):
    """One clear line for what pg_receivewal said."""
    for pattern, line in MEANING:
        if pattern in said:
            return line
    return said.replace("pg_receivewal: error: ", "")


def tidy(folder):
    """Removes what a kill or a full disk has left half made, and what a newer timeline has as well."""
    names = os.listdir(folder)
    found = {name: parse(name) for name in names if WHOLE.fullmatch(name) or PARTIAL.fullmatch(name)}
    for name, (timeline, number) in found.items():
        path = os.path.join(folder, name)
        torn = os.path.getsize(path) not in ((0, SIZE) if PARTIAL.fullmatch(name) else (SIZE,))
        passed = PARTIAL.fullmatch(name) and any(
            other > timeline and beyond > number for other, beyond in found.values()
        )
        if torn or passed:
            os.remove(path)


def set_aside(lineage, branch, why):
    """
    Moves away what is in nobody's history, so that receiving begins again where the slot is. What was set aside
    before goes.
    """
    folder = pgbackrest.spool(lineage)
    left = {timeline: position(where) // SIZE for timeline, where in branch}
    moved = []
    for name in sorted(os.listdir(folder)):
        if not (WHOLE.fullmatch(name) or PARTIAL.fullmatch(name)):
            continue
        timeline, number = parse(name)
        if PARTIAL.fullmatch(name) or number >= left.get(timeline, number + 1):
            moved.append(name)
    away = aside(lineage)
    shutil.rmtree(away, ignore_errors=True)
    os.mkdir(away, 0o700)
    for name in moved:
        os.rename(os.path.join(folder, name), os.path.join(away, name))
    what = ", ".join(moved) or "nothing"
    say(f"{iso(now())} {why}: {what} is set aside in {away}; receiving begins again where the slot is")


def pass_by(lineage, why):
    """
    The same where the primary has no more of what comes next: whole segments wait on for the repositories that lack
    them, and only the last piece is moved away.
    """
    os.makedirs(pgbackrest.passed(lineage), mode=0o700, exist_ok=True)
    for name, path in pgbackrest.in_spool(lineage).items():
        if WHOLE.fullmatch(name):
            os.rename(path, os.path.join(pgbackrest.passed(lineage), name))
    set_aside(lineage, [], why)


def aside(lineage):
    return place("spool", f"aside-{pgbackrest.stanza(lineage)}")


def end_lineage(folder):
    """Makes the last piece of a lineage that has ended a whole segment: what never came is zero in it."""
    pieces = sorted(name for name in os.listdir(folder) if PARTIAL.fullmatch(name))
    for name in pieces[:-1]:
        os.remove(os.path.join(folder, name))
    for name in pieces[-1:]:
        path = os.path.join(folder, name)
        if os.path.getsize(path) == SIZE:
            os.rename(path, path.removesuffix(".partial"))
        else:
            os.remove(path)

"""
Ticks: what time it was at the primary when its log had come to a position. They say which moments WAL
reaches to. Each lineage has two files: all ticks, of which one a minute stays for as long as backups are kept,
and the newest ones.
"""
import datetime
import os
import re

import pgbackrest
from common import iso, now, place, query, read_json, write_json, write_text
from segments import holds, position

KEEP_RECENT = 90
# Ticks that are older are thinned to one a minute
WHOLE_HOURS = 48
MINUTE = len("2026-01-31T12:00")
LINE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\d+) ([0-9A-F]+/[0-9A-F]+)\n")
# The time is asked for before there is a commit, so that recovery to it finds one that is later.
# It waits for no standby: it is told once it is received
TICK = """SET synchronous_commit = local;
SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
SELECT pg_logical_emit_message(true, 'hastack', 'tick');
SELECT pg_current_wal_flush_lsn(), ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::int;"""


def ask():
    """Has the primary commit something. @return {"at", "timeline", "lsn"}"""
    rows = query(TICK, seconds=10)
    return {"at": rows[0][0], "lsn": rows[-1][0], "timeline": int(rows[-1][1])}


def recent_path(lineage):
    return place("ticks", f"{pgbackrest.stanza(lineage)}.json")


def path_of(lineage):
    return place("ticks", pgbackrest.stanza(lineage))


def line(tick):
    return f"{tick['at']} {tick['timeline']} {tick['lsn']}\n"


def add(lineage, tick):
    """Keeps a tick."""
    with open(path_of(lineage), "a+b") as file:
        os.fchmod(file.fileno(), 0o644)
        # A full disk or a loss of power may have left a part of a line, which is none for good
        file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
        end = b"" if file.read(1) in (b"", b"\n") else b"-\n"
        file.write(end + line(tick).encode())
    write_json(recent_path(lineage), [*recent_ticks(lineage), tick][-KEEP_RECENT:])


def recent_ticks(lineage):
    return read_json(recent_path(lineage), []) if lineage else []


def all_ticks(lineage):
    """All ticks of a lineage in the order in which they came."""
    found = []
    try:
        with open(path_of(lineage), encoding="utf-8", errors="replace") as file:
            lines = [LINE.fullmatch(one) for one in file]
        found = [{"at": one[1], "timeline": int(one[2]), "lsn": one[3]} for one in lines if one]
    except FileNotFoundError:
        pass
    return sorted([*found, *recent_ticks(lineage)], key=lambda one: one["at"])


def newest(lineage):
    return (recent_ticks(lineage) or [None])[-1]


def before(lineage, seconds):
    """The newest tick that is at least so old; None where there is none."""
    limit = iso(now() - datetime.timedelta(seconds=seconds))
    older = [one for one in recent_ticks(lineage) if one["at"] <= limit]
    return older[-1] if older else None


def received(lineage, timeline, branch, reached):
    """The newest moment whose WAL lies before a position on a timeline, as text; None where there is none."""
    for source in (recent_ticks, all_ticks):
        moments = [
            one["at"] for one in source(lineage)
            if position(one["lsn"]) <= reached and holds(timeline, branch, one["timeline"], position(one["lsn"]))
        ]
        if moments:
            return max(moments)
    return None


def expire(lineage, oldest):
    """Forgets ticks before a moment, and thins those that are not new."""
    limit, thinned = iso(oldest), iso(now() - datetime.timedelta(hours=WHOLE_HOURS))
    kept = {
        one["at"] if one["at"] >= thinned else one["at"][:MINUTE]: line(one)
        for one in reversed(all_ticks(lineage)) if one["at"] >= limit
    }
    write_text(path_of(lineage), "".join(reversed(kept.values())))

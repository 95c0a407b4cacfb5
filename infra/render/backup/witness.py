"""
The archive's own record of the database: exact counts of rows, tied to one place in its log. A drill restores to
that place and must count the same. One file for each: witness/<time>.json.

A count belongs to a place in the log only where no transaction was in progress before the snapshot was taken (a
commit that waits for the standby is in the log already, and not visible yet), and the log stood still meanwhile. The
snapshot alone does not tell of the newest transaction: that may be in progress although its xmin is its xmax.
"""
import glob
import hashlib
import json
import os
import time

import compare
import pgbackrest
from common import TIMELINE, Failed, conninfo, iso, moment, now, place, read_json, say, write_json
from session import Session

# Larger tables are left out: counting them would burden the primary
TABLE_LIMIT = 1 << 30
TABLE_SECONDS = 30
WHOLE_SECONDS = 300
# How long a still moment is looked for
TRY_SECONDS = 60
# Between drawn moments, hours: at least, and by chance up to so many more
LEAST_HOURS, MORE_HOURS = 2, 8
AGAIN_SECONDS = 900
IN_PROGRESS = (
    "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_xid IS NOT NULL) OR EXISTS (SELECT FROM pg_prepared_xacts)"
)


def record(why="drawn"):
    """
    Counts the rows of all tables, at the primary. Never fails: what hinders it is told in witness/tried.json.
    @return the record's path, or None
    """
    try:
        with Session(conninfo("primary")) as session:
            found = still(session)
            found.update(time=iso(now()), why=why, lineage=pgbackrest.lineage(), counts=count(session))
        path = place("witness", f"{found['time'].replace(':', '-')}.json")
        write_json(path, found, 0o600)
        write_json(place("witness", "tried.json"), {"at": iso(now()), "why": None}, 0o600)
        return path
    except Failed as failure:
        say(f"witness: {failure}")
        write_json(place("witness", "tried.json"), {"at": iso(now()), "why": str(failure)}, 0o600)
        return None


def still(session):
    """Begins a transaction whose snapshot is exactly the log up to one place. @return {"lsn", "timeline"}"""
    end = time.monotonic() + TRY_SECONDS
    while time.monotonic() < end:
        before = session.value("SELECT pg_current_wal_insert_lsn()")
        in_progress = session.value(IN_PROGRESS)
        session.ask("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        [[lsn, timeline]] = session.ask(
            f"SELECT pg_current_wal_insert_lsn(), {TIMELINE}"
        )
        if before == lsn and in_progress == "f":
            return {"lsn": lsn, "timeline": int(timeline)}
        session.ask("ROLLBACK")
        time.sleep(0.02)
    raise Failed(f"the database was not still for one moment of {TRY_SECONDS} s, so that nothing is recorded")


def count(session):
    """{table: rows} in the transaction; tables that are too large or take too long are left out."""
    end, counts = time.monotonic() + WHOLE_SECONDS, {}
    compare.limit(session, TABLE_SECONDS)
    for table, (size, _) in compare.tables(session).items():
        if size > TABLE_LIMIT or time.monotonic() > end:
            continue
        session.ask("SAVEPOINT one")
        try:
            counts[table] = int(session.value(f"SELECT count(*) FROM ONLY {table}"))
        except Failed as failure:
            session.ask("ROLLBACK TO one")
            if "statement timeout" not in str(failure):
                raise
    session.ask("COMMIT")
    return counts


def records():
    """All records, the oldest first."""
    paths = sorted(glob.glob(os.path.join(glob.escape(place("witness")), "2*.json")))
    return [one for one in (read_json(path) for path in paths) if one]


def due():
    """Whether a drawn moment has come: 2 to 10 hours after the last record."""
    tried = read_json(place("witness", "tried.json")) or {}
    # A clock that was ahead must not keep records from being made
    if tried.get("at") and 0 <= age(tried["at"]) < AGAIN_SECONDS:
        return False
    known = records()
    if not known:
        return True
    drawn = int(hashlib.sha256(json.dumps(known[-1]["time"]).encode()).hexdigest()[:8], 16) / 0xFFFFFFFF
    return not 0 <= age(known[-1]["time"]) <= (LEAST_HOURS + drawn * MORE_HOURS) * 3600


def age(text):
    return (now() - moment(text)).total_seconds()


def expire(oldest):
    """Removes records of before a moment."""
    for path in glob.glob(os.path.join(glob.escape(place("witness")), "2*.json")):
        one = read_json(path)
        if one is None or moment(one["time"]) < oldest:
            os.unlink(path)

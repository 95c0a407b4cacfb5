"""
Makes base backups: one copy of the database, taken from the standby where there is one, goes into each
repository in turn. What is not needed any more is removed.
"""
import datetime
import json
import os
import re
import shutil
import time

import common
import identity
import lineage as lineages
import pgbackrest
import ranges
from common import (
    KEPT_LABEL, LABEL, POSTGRES, Failed, assert_room, bin, conninfo, iso, moment, now, place, query, run, say,
)
from segments import SIZE, WHOLE, name_of, parse, position

# How long the first WAL of a lineage is waited for
WAL_SECONDS = 60
# How often a copy is begun whose connection is cut, and how long after that
COPIES, CUT_SECONDS = 3, 5
CUT = re.compile("closed the connection|connection to server was lost|could not read COPY data|EOF detected|SSL connection has been closed")
# Of what `verify` tells
HEADING = re.compile(r"status: ok|^ *stanza: |^ *status: error$")
PRIMARY_CLOCK = """SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');"""


def copy_directory():
    return place("copy", "data")


def remove_copy():
    shutil.rmtree(copy_directory(), ignore_errors=True)


def make(kinds):
    """
    Makes a backup.
    @param kinds {repository: "full" or "diff"}
    @return what is told of it. Fails where no repository has it in the end; `failed` names those that have not
    """
    began = time.monotonic()
    lineage = pgbackrest.lineage()
    if not lineage:
        raise Failed("the primary was not reached yet, so that nothing is known of the database: npm run status tells why")
    failed = {}
    for repository in kinds:
        try:
            pgbackrest.call(None, "repo-ls", repo=repository, seconds=60)
        except Failed as failure:
            failed[repository] = str(failure)
    there = {one: kind for one, kind in kinds.items() if one not in failed}
    if not there:
        raise Failed("; ".join(failed.values()))
    try:
        notes = copy_with_wal(lineage)
        labels = {}
        for repository, kind in there.items():
            common.progress(f"storing the copy in {repository}")
            try:
                store(lineage, repository, kind, notes)
                labels[repository] = newest(lineage, repository)
            except Failed as failure:
                failed[repository] = str(failure)
    finally:
        remove_copy()
    if not labels:
        raise Failed("; ".join(failed.values()))
    first = next(iter(labels.values()))
    return {
        "label": first["label"], "type": first["type"], "bytes": first["bytes"],
        "repositoryBytes": first["stored"], "seconds": round(time.monotonic() - began, 1),
        "labels": {one: of["label"] for one, of in labels.items()}, "failed": failed,
    }


def newest(lineage, repository):
    return pgbackrest.backups_in(repository, lineage)[-1]


def copy_with_wal(lineage):
    """
    Copies the database. A standby's copy begins where the standby came to rest last, which may be before WAL
    that is missing, or that was never received; the primary's begins now.
    @return what is noted with the backup
    """
    notes = copy_database("replicas")
    missing = missing_wal(lineage, notes)
    if missing:
        say(f"the standby's copy needs the WAL segment {missing}, which is missing: the primary is copied")
        notes = copy_database("primary")
    return notes


def missing_wal(lineage, notes):
    """The first WAL segment that a copy needs and that is missing for good; None where there is none."""
    end = time.monotonic() + WAL_SECONDS
    while True:
        present, last = ranges.spooled(lineage)
        for repository in pgbackrest.repositories():
            try:
                present |= ranges.stored(repository, lineage)
            except Failed:
                continue
        if present or last or time.monotonic() > end:
            break
        # A lineage that begins: nothing has come yet
        time.sleep(1)
    path = ranges.path_of(lineages.branches(lineage))
    reached, missing = ranges.walk(position(notes["start-lsn"]), path, present, last)
    whole = reached >= position(notes["stop-lsn"])
    return missing if not whole and ranges.goes_on(reached, path, present, last) else None


def copy_database(where):
    """Copies the database from one of the listeners into `copy`. @return what is noted with the backup"""
    remove_copy()
    look_for_room()
    common.progress("copying the database")
    target = copy_directory()
    start = clock()
    fetch_copy(where, target)
    stop = clock()
    common.progress("checking the copy")
    run([bin("pg_verifybackup"), "--no-parse-wal", "--quiet", target], user=POSTGRES)
    with open(os.path.join(target, "backup_manifest"), encoding="utf-8") as file:
        spans = json.load(file)["WAL-Ranges"]
    os.rename(os.path.join(target, LABEL), os.path.join(target, KEPT_LABEL))
    first, last = spans[0], spans[-1]
    return {
        "copy": iso(now()), "start": start, "stop": stop,
        "start-lsn": first["Start-LSN"], "stop-lsn": last["End-LSN"], "timeline": last["Timeline"],
        "wal-start": name_of(first["Timeline"], position(first["Start-LSN"]) // SIZE),
    }


def fetch_copy(where, target):
    """A connection that is cut, as by a failover or once a load balancer has new settings, has it begin anew."""
    words = [
        bin("pg_basebackup"), f"--pgdata={target}", "--wal-method=none", "--checkpoint=fast",
        "--manifest-checksums=SHA256", "--no-sync", "--no-password", f"--dbname={conninfo(where)}",
    ]
    for left in reversed(range(COPIES)):
        try:
            run(words, user=POSTGRES)
            return
        except Failed as failure:
            if not left or not CUT.search(str(failure)):
                raise
            say(f"the connection was cut while the database was copied; it is copied anew: {failure}")
            remove_copy()
            time.sleep(CUT_SECONDS)


def clock():
    """The primary's time, which commits carry; this machine's where it is not reached."""
    try:
        return query(PRIMARY_CLOCK)[0][0]
    except Failed:
        return iso(now())


def look_for_room():
    size = int(query("SELECT pg_tablespace_size('pg_default') + pg_tablespace_size('pg_global');", seconds=60)[0][0])
    assert_room(size, place("copy"), "a copy of the database", "make room there, or give it a larger disk")


def store(lineage, repository, kind, notes):
    """Puts the copy into one repository; a diff without a full backup before it becomes a full one."""
    words = [f"--annotation={name}={value}" for name, value in notes.items()]

    def backup():
        pgbackrest.call(
            lineage, "backup", "--no-online", f"--type={kind}", "--checksum-page=n", *words,
            pg1=copy_directory(), repo=repository, seconds=None,
        )

    try:
        backup()
    except Failed as failure:
        if "no stanza" not in str(failure):
            raise
        pgbackrest.call(
            lineage, "stanza-create", "--no-online", pg1=copy_directory(), repo=repository
        )
        backup()


def expire():
    """
    Removes backups and WAL that are not needed any more, and lineages that have ended before the time that backups
    are kept for.
    @return what is told of it
    """
    removed, failures, spared = 0, [], spares_former()
    for repository in pgbackrest.repositories():
        try:
            for lineage in pgbackrest.numbers_in(repository):
                common.progress(f"removing what is not needed from {repository}")
                if lineage == pgbackrest.lineage() or not spared:
                    removed += expire_lineage(repository, lineage)
        except Failed as failure:
            failures.append(str(failure))
    if failures:
        say(f"what is not needed stays: {'; '.join(failures)}")
    return {"segments": removed}


def expire_lineage(repository, lineage):
    """@return how many segments were removed"""
    found = pgbackrest.backups_in(repository, lineage)
    if lineage < pgbackrest.lineage() and is_over(lineage, found):
        forget(repository, lineage)
        return 0
    if not found:
        return 0
    # A backup does so, too; there is none while the disk is full
    pgbackrest.call(lineage, "expire", repo=repository, seconds=pgbackrest.ALL_SECONDS)
    return expire_wal(repository, lineage, pgbackrest.backups_in(repository, lineage))


def spares_former():
    """
    Whether nothing of a former lineage is removed: after the loss of everything there is as much time to restore it
    as backups are kept, however long ago the loss was.
    """
    since = identity.anew_since()
    return since is not None and now() - since <= kept_for()


def kept_for():
    return datetime.timedelta(days=common.settings()["retentionDays"])


def is_over(lineage, found):
    """Whether the last moment of a lineage that can be restored is past the time that backups are kept for."""
    ends = [one["to"] for one in pgbackrest.ranges() if one["lineage"] == lineage]
    ends += [one["stop"] for one in found]
    # One that never had a backup ended when this one began, at the latest
    return now() - max(ends or [moment(identity.record()["at"])]) > kept_for()


def forget(repository, lineage):
    say(f"the history {lineage} of the database ended too long ago: it goes from {repository}")
    # The backups tell that there is something of it
    for kind in ("ticks", "archive", "backup"):
        pgbackrest.rm(repository, f"{kind}/{pgbackrest.stanza(lineage)}", recurse=True)


def expire_wal(repository, lineage, found):
    """Removes segments before the start of the oldest backup. @return how many"""
    starts = [one["walStart"] for one in found]
    if not starts or not all(starts):
        return 0
    oldest = min(parse(one)[1] for one in starts)
    folder = f"archive/{pgbackrest.stanza(lineage)}"
    folders = {}
    for path, one in pgbackrest.ls(repository, folder, recurse=True).items():
        if one["type"] == "file":
            folders.setdefault(os.path.dirname(path), []).append(os.path.basename(path))
    is_old = lambda name: bool(WHOLE.fullmatch(name[:24])) and parse(name[:24])[1] < oldest
    removed = 0
    for inner, names in folders.items():
        old = [name for name in names if is_old(name)]
        removed += len(old)
        # Each is a call, over the network mostly. A folder has 256 of them; while newer ones may come into it, it stays
        if len(old) == len(names) and parse(f"{old[0][:16]}000000FF")[1] < oldest:
            pgbackrest.rm(repository, f"{folder}/{inner}", recurse=True)
            continue
        for name in old:
            pgbackrest.rm(repository, f"{folder}/{inner}/{name}")
    return removed


def verify(repository):
    """What pgBackRest finds wrong with what a repository holds: lines for people, none where all is well."""
    problems = []
    for lineage in pgbackrest.numbers(repository):
        try:
            # With another key `verify` would only say that there is no usable file
            pgbackrest.backups_in(repository, lineage)
            said = pgbackrest.call(lineage, "verify", "--output=text", repo=repository, seconds=None)
        except Failed as failure:
            problems.append(str(failure))
            continue
        # It is silent where all is well; its headings are no problems
        problems += [f"{repository}: {line.strip()}" for line in said.splitlines() if line.strip() and not HEADING.search(line)]
    return problems

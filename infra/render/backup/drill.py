"""
A restore that is tried by itself, in a scratch place: the newest backup, and a drawn moment. What was restored is
checked, and removed. State: state/drill.json, which tells of a drill that could not run, too.
"""
import datetime
import hashlib
import random
import time

import choice
import common
import compare
import lineage as lineages
import named
import pgbackrest
import restic
import witness
from common import POSTGRES, Failed, bin, iso, moment, now, place, read_json, say, settings, write_json
from instance import Instance
from segments import on_way
from stored import parts

SAMPLE = 10
# Ticks come every 10 s; the primary may be failing over
RECEIVED_SECONDS = 120
SHOWN = 5


def drill():
    """
    Restores and checks.
    @return what state/drill.json says: its outcome is `passed` or `failed`. Fails only where that cannot be written
    """
    started = time.monotonic()
    state = {"started": iso(now()), "ended": None, "outcome": "failed", "why": None, "moment": None, "backup": None, "checks": []}
    one = Instance("drill")
    try:
        checks(state, one)
        wrong = [f"{check['what']}: {check['detail']}" for check in state["checks"] if not check["ok"]]
        state.update(outcome="failed" if wrong else "passed", why="; ".join(wrong) or None)
        one.remove()
    except Exception as failure:
        # Whatever it is, it is told: a drill that could not run must be seen
        state.update(outcome="failed", why=str(failure) or type(failure).__name__)
        say(f"drill: {failure!r}")
    clear()
    ended = now()
    state.update(ended=iso(ended), seconds=round(time.monotonic() - started), due=next_due(ended))
    write_json(place("state", "drill.json"), state)
    return state


def clear():
    """A drill that failed, or was cut off, leaves nothing; what cannot be removed now goes before the next."""
    try:
        Instance("drill").remove()
    except (Failed, OSError) as failure:
        say(f"drill: {failure}")


def checks(state, one):
    newest, last, drawn = plan()
    state["backup"] = newest["backup"]["label"]
    tell = lambda what, ok, detail: state["checks"].append({"what": what, "ok": ok, "detail": detail})
    for record, chosen, name in ((last, newest, "the newest backup"), (drawn, drawn and backup_before(drawn), "a drawn moment")):
        if chosen is None:
            tell(name, False, "there is no record of counts yet that it could be compared with")
            continue
        one.remove()
        common.progress(f"drill: restores {name}")
        one.bring(chosen["lineage"], chosen["backup"])
        one.recover(chosen["lineage"], target(record), str(record["timeline"]) if record else "latest")
        come = one.wait_until_paused()
        tell(name, True, f"{chosen['backup']['label']} restored to {come['lsn']}")
        state["moment"] = record["time"] if record else state["moment"]
        common.progress(f"drill: checks {name}")
        for what, check in ((f"{name}: rows", count_rows), (f"{name}: files", look_for_files), (f"{name}: pages", check_pages)):
            try:
                check(one, record, name, tell)
            except Failed as failure:
                tell(what, False, str(failure))


def plan():
    """The newest backup, the newest record that it can be restored to, and a drawn one."""
    lineage = pgbackrest.lineage()
    backups = choice.usable(lineage) if lineage else []
    if not backups:
        raise Failed("there is no backup in a repository that answers, so that none could be tried")
    backup = backups[-1]
    known = known_since(lineage, backups[0]["stop"])
    if not known and witness.record("for a drill") and is_received(now()):
        known = known_since(lineage, backups[0]["stop"])
    after = [one for one in known if moment(one["time"]) > backup["stop"]]
    return {"lineage": lineage, "backup": backup}, after[-1] if after else None, random.choice(known) if known else None


def known_since(lineage, stop):
    """Records since a moment. What a failover has cut off of a timeline is in no backup's future."""
    is_on_way = on_way(lineages.branches(lineage))
    return [
        one for one in witness.records() if one["lineage"] == lineage and moment(one["time"]) > stop
        and is_on_way(one["timeline"], one["lsn"])
    ]


def is_received(time_of_record):
    """Waits until WAL up to a moment has come. @return whether it has"""
    common.progress("drill: waits for the log of what was counted")
    end = time.monotonic() + RECEIVED_SECONDS
    while time.monotonic() < end:
        told = (read_json(place("state", "receive.json")) or {}).get("receivedUpTo")
        if told and moment(told) > time_of_record:
            return True
        time.sleep(1)
    return False


def backup_before(record):
    before = [one for one in choice.usable(record["lineage"]) if one["stop"] < moment(record["time"])]
    return {"lineage": record["lineage"], "backup": before[-1]} if before else None


def target(record):
    if record is None:
        return {"recovery_target": "immediate"}
    return {"recovery_target_lsn": record["lsn"], "recovery_target_inclusive": "off"}


def count_rows(one, record, name, tell):
    if record is None:
        tell(f"{name}: rows", True, "no record of counts is newer than the backup")
        return
    wrong = []
    with one.session() as session:
        there = compare.tables(session)
        for table, rows in record["counts"].items():
            found = int(session.value(f"SELECT count(*) FROM ONLY {table}")) if table in there else None
            if found != rows:
                wrong.append(f"{table} has {'no' if found is None else found} rows instead of {rows}")
    detail = "; ".join(wrong[:SHOWN]) or f"{len(record['counts'])} tables as recorded at {record['time']}"
    tell(f"{name}: rows", not wrong, detail)


def check_pages(one, _, name, tell):
    """The checksums of all pages, which PostgreSQL checks in a cluster that is stopped."""
    one.stop("fast")
    said = common.run([bin("pg_checksums"), "--check", "-D", one.data], user=POSTGRES, check=False)
    lines = [line.removeprefix("pg_checksums: error: ") for line in said.err.splitlines() if line.strip()]
    checked = [line for line in said.out.splitlines() if line.startswith("Blocks scanned")]
    tell(f"{name}: pages", said.code == 0, "; ".join((checked if said.code == 0 else lines)[:SHOWN]))


def look_for_files(one, _, name, tell):
    if not settings().get("filesOfRows"):
        return
    found = named.look(one.conninfo())
    lost = found["nowhereCount"]
    detail = f"{found['named']} files, of which {found['inTrash']} in the trash and {found['inBackup']} in the copies alone"
    nowhere = f"{lost} files are nowhere, such as {found['nowhere'][0]!r}" if lost else detail
    tell(f"{name}: files", lost == 0, nowhere)
    read_sample(one, name, tell)


def read_sample(one, name, tell):
    """Some drawn files are read from each repository's newest copy, and are what the shared directory has."""
    sample = drawn_files(named.names(one.conninfo()))
    for repository in settings()["repositories"] if sample else []:
        with restic.alone():
            wrong = wrong_in(repository, sample)
        detail = "; ".join(wrong[:SHOWN]) or f"{len(sample)} drawn files were read"
        tell(f"{name}: copies of files in {repository}", not wrong, detail)


def wrong_in(repository, sample):
    snapshot = next(iter(restic.snapshots(repository)), None)
    if snapshot is None:
        return ["there is no copy of the shared directories"]
    wrong = []
    for shared in settings()["shared"]:
        paths = {path for one_shared, path in sample if one_shared == shared}
        wrong += differing(repository, snapshot, shared, paths)
    return wrong


def drawn_files(names):
    """Some of them, drawn evenly, without keeping all."""
    sample = []
    for number, one in enumerate(names):
        if number < SAMPLE:
            sample.append(one)
        elif random.randrange(number + 1) < SAMPLE:
            sample[random.randrange(SAMPLE)] = one
    return sample


def differing(repository, snapshot, shared, paths):
    """What is wrong with a copy's files. One that is newer than the copy is in none."""
    stored, wrong = named.stores()[shared], []
    found = named.listed(repository, snapshot, shared, paths)
    taken = moment(named.shortened(snapshot["time"])).timestamp()
    for path in paths - found.keys():
        since = stored.changed(path)
        if since is not None and since < taken:
            wrong.append(f"{path!r} is older than the copy, and not in it")
    for path, copy in found.items():
        there = digest(stored.open(path) if parts(path) else None)
        try:
            with restic.stream(repository, "dump", "--no-lock", snapshot["id"], copy.path) as watch:
                copied = digest(watch.content)
        except Failed as failure:
            wrong.append(f"{path!r} cannot be read: {failure}")
            continue
        if there is not None and there != copied:
            wrong.append(f"{path!r} is not what the shared directory has")
    return wrong


def digest(file):
    """SHA-256 of what a reader gives; None of none."""
    if file is None:
        return None
    found = hashlib.sha256()
    for part in iter(lambda: file.read(1 << 20), b""):
        found.update(part)
    return found.digest()


def next_due(ended):
    days = settings()["drill"]["everyDays"]
    return iso(ended + datetime.timedelta(days=days)) if days else None


def due():
    """The moment of the next drill, ISO; None where there is none. The first is due a day after the first backup."""
    if not settings()["drill"]["everyDays"]:
        return None
    last = read_json(place("state", "drill.json"))
    if last:
        due_by_last = last.get("due") or next_due(moment(last["started"]))
        # A clock that was ahead must not keep drills from being made
        return min(due_by_last, next_due(now()))
    backups = (read_json(place("state", "backups.json")) or {}).get("backups", [])
    if not backups:
        return None
    return iso(moment(min(one["stop"] for one in backups)) + datetime.timedelta(days=1))


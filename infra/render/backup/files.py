"""
Copies of the shared directories: incremental, by restic, to each repository. State: state/files.json.

A repository that is away does not hold up the others. A directory that is not mounted is an error and
never an empty snapshot.
"""
import datetime
import json

import answers
import identity
import restic
from common import Failed, iso, moment, now, one_line, place, read_json, run, say, settings, write_json
from named import shortened

# How often old snapshots are forgotten, and how often what nothing needs any more is removed
FORGET_SECONDS = 3600
PRUNE_SECONDS = 86400
# Which snapshots stay: the last ones, some of each hour for so many days, some of each day
LAST_KEPT, HOURLY_DAYS = 5, 2
# Of their names in one command line
AT_ONCE = 100
HOST = "hastack"


def copy():
    """
    Copies all shared directories to each repository.
    @return what state/files.json says. Fails where no repository has a whole copy of now
    """
    before = read_json(place("state", "files.json")) or {}
    state = {"at": before.get("at"), "why": None, "bytes": before.get("bytes"), "files": before.get("files")}
    state["repositories"] = before.get("repositories", {})
    try:
        assert_mounted()
        with restic.alone():
            copy_to_all(state)
    except Failed as failure:
        state["why"] = str(failure)
    write_json(place("state", "files.json"), state)
    if state["why"]:
        raise Failed(state["why"])
    return state


def assert_mounted():
    """Of a directory that is not mounted an empty snapshot would be taken."""
    for name, path in settings()["shared"].items():
        if run(["mountpoint", "-q", "--", path], seconds=20, check=False).code != 0:
            raise Failed(f"the shared directory {name} is not mounted at {path} on {settings()['member']}: nothing is copied")


def copy_to_all(state):
    started, failures, known = now(), [], state["repositories"]
    state["repositories"] = {name: known.get(name, {}) for name in settings()["repositories"]}
    for name, one in state["repositories"].items():
        try:
            summary = copy_to(name)
            one.update(at=iso(started), why=summary["why"])
            state.update(bytes=summary["bytes"], files=summary["files"])
        except Failed as failure:
            one["why"] = str(failure)
        try:
            # Where there is no room for a copy, this makes some
            if not answers.is_away(one["why"] or ""):
                keep(name, one)
        except Failed as failure:
            one["why"] = one["why"] or str(failure)
        if one["why"]:
            failures.append(one["why"])
            say(f"files: {one['why']}")
    whole = [one for one in state["repositories"].values() if not one["why"]]
    if whole:
        state["at"] = iso(started)
    else:
        state["why"] = "; ".join(failures)


def copy_to(name):
    """One snapshot. @return {"bytes", "files", "why": what it lacks, or None}"""
    paths = sorted(settings()["shared"].values())
    words = ["backup", "--json", "--host", HOST, "--tag", restic.TAG, "--one-file-system"]
    # What proving the stack writes there is gone in the end, and must not look like a state worth keeping
    words += ["--exclude", ".hastack-prove", "--", *paths]
    restic.reach(name)
    try:
        return backup(name, words)
    except restic.Locked:
        restic.unlock(name)
        return backup(name, words)


def backup(name, words):
    summary, lacks, first, done = {}, 0, None, None
    with restic.stream(name, *words) as watch:
        for line in watch.out:
            told = parsed(line)
            if told.get("message_type") == "summary":
                summary = told
            come = (told.get("bytes_done"), told.get("files_done"), told.get("total_files"))
            if come != done:
                watch.moved()
            done = come
    for line in said():
        told = parsed(line)
        # A file that went while the directory was read is in none of its states
        if told.get("message_type") == "error" and "no such file" not in str(told.get("error")):
            lacks += 1
            first = first or f"{told.get('item')!r}: {(told.get('error') or {}).get('message')}"
    why = f"{name}: {lacks} files could not be read, such as {one_line(first)}" if lacks else None
    return {"bytes": summary.get("total_bytes_processed"), "files": summary.get("total_files_processed"), "why": why}


def said():
    with open(restic.cache("said"), "rb") as file:
        yield from file


def parsed(line):
    try:
        told = json.loads(line)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def keep(name, one):
    """Forgets old snapshots once an hour, and removes what nothing needs any more once a day."""
    if not passed(one.get("forgotten"), FORGET_SECONDS):
        return
    known = restic.snapshots(name)
    since = identity.anew_since()
    gone = unneeded(known, settings()["filesDays"], now(), since)
    for begin in range(0, len(gone), AT_ONCE):
        restic.call_alone(name, "forget", *gone[begin : begin + AT_ONCE])
    if passed(one.get("pruned"), PRUNE_SECONDS):
        restic.call_alone(name, "prune")
        one["pruned"] = iso(now())
    one.update(forgotten=iso(now()), snapshots=len(known) - len(gone))


def unneeded(snapshots, days_kept, at, anew_since=None):
    """
    Which snapshots may go. Of each hour of two days, and of each day of the retention, two stay: the newest, and
    the one with the most files. Files lie in the trash before they go, so the newest has all that the others have,
    but where the directory itself was lost: then the one before the loss is wanted.
    @param snapshots the newest first
    @param anew_since since when there is a history of the database that began by itself: what is from before is
        perhaps wanted yet, and stays for as long again
    @return their ids
    """
    kept = {one["id"] for one in snapshots[:LAST_KEPT]}
    if anew_since and at - anew_since <= datetime.timedelta(days=days_kept):
        kept |= {one["id"] for one in snapshots if moment(shortened(one["time"])) < anew_since}
    for days, slot in ((HOURLY_DAYS, "%Y-%m-%dT%H"), (days_kept, "%Y-%m-%d")):
        slots = {}
        for one in snapshots:
            time = moment(shortened(one["time"]))
            if at - time <= datetime.timedelta(days=days):
                slots.setdefault(time.strftime(slot), []).append(one)
        for some in slots.values():
            kept |= {some[0]["id"], max(some, key=files_in)["id"]}
    return [one["id"] for one in snapshots if one["id"] not in kept]


def files_in(snapshot):
    return (snapshot.get("summary") or {}).get("total_files_processed", 0)


def passed(since, seconds):
    # A clock that was ahead must not keep it from being done
    return since is None or not 0 <= (now() - moment(since)).total_seconds() < seconds


def check():
    """
    Has restic check each repository, and read all that is stored.
    @return problems, each one line
    """
    problems = []
    for name in settings()["repositories"]:
        try:
            with restic.alone():
                restic.call_alone(name, "check", "--read-data")
        except Failed as failure:
            problems.append(f"files: {failure}")
    return problems

"""
Ticks in the repositories: without them, whoever has nothing but a repository would not know which moments its
WAL reaches to. They are times and positions, and no secret.
"""
import json
import os
import threading

import lineage as lineages
import pgbackrest
import ticks
from common import Failed, write_json, write_text

DAY = len("2026-01-31")
# Ticks of the newest minutes are all stored: the end of what can be restored lies there
WHOLE = 90
BRANCHES = "branches"
# (repository, lineage) whose ticks have been brought
fetched, fetching = set(), threading.Lock()


def folder(lineage):
    return f"ticks/{pgbackrest.stanza(lineage)}"


def share(repository, lineage, last=None):
    """
    Stores the ticks of each day that may not be whole there, and how timelines came to be.
    @param last the newest day that was stored @default what the repository says
    @return the newest day that is stored now
    """
    known = ticks.all_ticks(lineage)
    if not known:
        return last
    if last is None:
        last = max((name for name in pgbackrest.ls(repository, folder(lineage)) if name != BRANCHES), default="")
    days = sorted({one["at"][:DAY] for one in known})
    for day in days:
        if day >= last:
            store_day(repository, lineage, day, known)
    pgbackrest.put(repository, f"{folder(lineage)}/{BRANCHES}", json.dumps(lineages.branches(lineage)))
    return days[-1]


def store_day(repository, lineage, day, known):
    own = list(dict.fromkeys(ticks.line(one) for one in known if one["at"].startswith(day)))
    thinned = {line[: ticks.MINUTE]: line for line in own[:-WHOLE]}
    pgbackrest.put(repository, f"{folder(lineage)}/{day}", "".join([*thinned.values(), *own[-WHOLE:]]))


def is_own(lineage):
    """Whether this machine has recorded a lineage itself, so that it knows all of its ticks."""
    return os.path.exists(ticks.recent_path(lineage))


def fetch(lineage):
    """
    Brings the ticks of a lineage that this machine has not recorded itself: all that any repository has, as each
    may have been away for a while. One that is away now is asked again later.
    """
    if is_own(lineage):
        return
    with fetching:
        for repository in pgbackrest.repositories():
            if (repository, lineage) in fetched:
                continue
            try:
                fetch_from(repository, lineage)
            except Failed:
                continue
            fetched.add((repository, lineage))


def fetch_from(repository, lineage):
    names = sorted(pgbackrest.ls(repository, folder(lineage)))
    if BRANCHES not in names:
        return
    texts = {name: pgbackrest.read(repository, f"{folder(lineage)}/{name}") for name in names}
    branches = {int(timeline): branch for timeline, branch in json.loads(texts.pop(BRANCHES)).items()}
    write_json(lineages.branches_path(lineage), {**branches, **lineages.branches(lineage)})
    known = [ticks.line(one) for one in ticks.all_ticks(lineage)]
    lines = {line for text in texts.values() for line in text.splitlines(keepends=True)}
    write_text(ticks.path_of(lineage), "".join(sorted(lines.union(known))))


def expire(repository, lineage, oldest):
    """Forgets days before a moment; later where the repository is away."""
    try:
        names = pgbackrest.ls(repository, folder(lineage))
    except Failed:
        return
    for name in names:
        if name != BRANCHES and name < oldest.strftime("%Y-%m-%d"):
            pgbackrest.rm(repository, f"{folder(lineage)}/{name}")

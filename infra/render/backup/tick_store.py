"""
Ticks in the repositories: without them, whoever has nothing but a repository would not know which moments its
WAL reaches to. They are times and positions, and no secret.
"""
import json
import os

import lineage as lineages
import pgbackrest
import ticks
from common import Failed, write_json, write_text

DAY = len("2026-01-31")
BRANCHES = "branches"


def folder(lineage):
    return f"ticks/{pgbackrest.stanza(lineage)}"


def share(repository, lineage):
    """Stores the ticks of the newest day, and how timelines came to be."""
    known = ticks.all_ticks(lineage)
    if not known:
        return
    day = known[-1]["at"][:DAY]
    store_day(repository, lineage, day, known)
    # The end of the day before may not have been stored any more
    before = [one["at"][:DAY] for one in known if one["at"][:DAY] < day]
    if before and known[-1]["at"][DAY:] < "T01":
        store_day(repository, lineage, before[-1], known)
    pgbackrest.put(repository, f"{folder(lineage)}/{BRANCHES}", json.dumps(lineages.branches(lineage)))


def store_day(repository, lineage, day, known):
    lines = {ticks.line(one)[: ticks.MINUTE]: ticks.line(one) for one in known if one["at"].startswith(day)}
    pgbackrest.put(repository, f"{folder(lineage)}/{day}", "".join(lines.values()))


def fetch(repository, lineage):
    """Brings the ticks of a lineage that this machine knows nothing of."""
    if os.path.exists(ticks.path_of(lineage)):
        return
    names = sorted(pgbackrest.ls(repository, folder(lineage)))
    if BRANCHES not in names:
        return
    texts = {name: pgbackrest.read(repository, f"{folder(lineage)}/{name}") for name in names}
    write_json(lineages.branches_path(lineage), json.loads(texts.pop(BRANCHES)))
    write_text(ticks.path_of(lineage), "".join(texts.values()))


def expire(repository, lineage, oldest):
    """Forgets days before a moment; later where the repository is away."""
    try:
        names = pgbackrest.ls(repository, folder(lineage))
    except Failed:
        return
    for name in names:
        if name != BRANCHES and name < oldest.strftime("%Y-%m-%d"):
            pgbackrest.rm(repository, f"{folder(lineage)}/{name}")

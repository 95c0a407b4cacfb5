"""
Which moments can be restored. A backup reaches as far as WAL comes after it without a gap, along the newest
timeline of its lineage; ticks say what time it was there.
"""
import os

import lineage as lineages
import pgbackrest
import tick_store
import ticks
from common import Failed, iso
from segments import PARTIAL, SIZE, WHOLE, filled, name_of, on_way, parse, position

ENDLESS = 1 << 64


def path_of(branches):
    """The way to the newest timeline, newest part first: [(timeline, position where it begins, where it ends)]."""
    newest = max(branches, default=1)
    parts, begin = [], 0
    for timeline, left in branches.get(newest, []):
        parts.append((timeline, begin, position(left)))
        begin = position(left)
    return [(newest, begin, ENDLESS), *reversed(parts)]


def walk(start, path, present, last=None):
    """
    How far WAL comes from a position on.
    @param present (timeline, number) of whole segments
    @param last timeline and position up to which a segment has come that is not whole @default none
    @return that position, and the name of the segment that is missing there
    """
    number = start // SIZE
    while True:
        parts = [one for one in path if one[1] // SIZE <= number and one[2] > number * SIZE]
        # A segment in which a timeline begins holds what came before as well
        timeline, begin, _ = parts[0]
        if (timeline, number) in present:
            number += 1
        elif last and last[0] == timeline and last[1] // SIZE == number:
            return last[1], name_of(timeline, number)
        elif any((one[0], number) in present for one in parts[1:]):
            return begin, name_of(timeline, number)
        else:
            return number * SIZE, name_of(timeline, number)


def pieces_of(backups, branches, present, last=None):
    """What can be restored, as pieces of the log: [{"from", "start", "reached", "missing"}], and the way to them."""
    path = path_of(branches)
    is_on_way = on_way(branches)
    pieces = []
    for one in sorted((one for one in backups if one["startLsn"]), key=lambda one: position(one["startLsn"])):
        start = position(one["startLsn"])
        if not is_on_way(one["timeline"], one["startLsn"]):
            continue
        if pieces and start < pieces[-1]["reached"]:
            continue
        reached, missing = walk(start, path, present, last)
        if reached >= position(one["stopLsn"]):
            pieces.append({"from": one["stop"], "start": start, "reached": reached, "missing": missing})
    return pieces, path


def compute(lineage, backups, branches, present, last, seen):
    """
    Ranges and gaps of a lineage.
    @param seen its ticks
    @return ({"lineage", "from", "to"} …, {"lineage", "from", "to", "why"} …), with moments as text
    """
    pieces, path = pieces_of(backups, branches, present, last)
    is_on_way = on_way(branches)
    there = [(position(one["lsn"]), one["at"]) for one in seen if is_on_way(one["timeline"], one["lsn"])]
    ends = [max((at for lsn, at in there if lsn <= one["reached"]), default=iso(one["from"])) for one in pieces]
    found = [
        {"lineage": lineage, "from": iso(one["from"]), "to": max(iso(one["from"]), end)}
        for one, end in zip(pieces, ends)
    ]
    gaps = unusable(lineage, backups, pieces, path, present, last)
    for index, (piece, end) in enumerate(zip(pieces, ends)):
        following = pieces[index + 1] if index + 1 < len(pieces) else None
        if following or goes_on(piece["reached"], path, present, last):
            gaps.append({
                "lineage": lineage, "from": end, "to": iso(following["from"]) if following else None,
                "why": f"the WAL segment {piece['missing']} is missing; moments after it need a backup made after it",
            })
    return found, gaps


def unusable(lineage, backups, pieces, path, present, last):
    """The gap that backups leave which lack WAL of their own, where nothing before them can be restored."""
    first = pieces[0] if pieces else None
    for one in backups:
        if not one["startLsn"] or (first and one["stop"] >= first["from"]):
            continue
        reached, missing = walk(position(one["startLsn"]), path, present, last)
        if reached < position(one["stopLsn"]) and goes_on(reached, path, present, last):
            return [{
                "lineage": lineage, "from": iso(one["stop"]), "to": iso(first["from"]) if first else None,
                "why": f"the WAL segment {missing} is missing, which the backup {one['label']} needs",
            }]
    return []


def goes_on(reached, path, present, last):
    """Whether there is WAL beyond a position."""
    timelines = {one[0] for one in path}
    beyond = any(timeline in timelines and number * SIZE > reached for timeline, number in present)
    return beyond or bool(last and last[0] in timelines and last[1] // SIZE * SIZE > reached)


def stored(repository, lineage):
    """The whole segments of a lineage in a repository, as timeline and number."""
    listed = pgbackrest.ls(repository, f"archive/{pgbackrest.stanza(lineage)}", recurse=True)
    names = (os.path.basename(path)[:24] for path, one in listed.items() if one["type"] == "file")
    return {parse(name) for name in names if WHOLE.fullmatch(name)}


def spooled(lineage):
    """Whole segments in the spool, and how far the last one has come that is not whole."""
    present, last = set(), None
    for name, path in pgbackrest.in_spool(lineage).items():
        if WHOLE.fullmatch(name):
            present.add(parse(name))
        elif PARTIAL.fullmatch(name):
            timeline, number = parse(name)
            try:
                reached = (timeline, number * SIZE + filled(path))
            except FileNotFoundError:
                continue
            last = max(last or reached, reached)
    return present, last


def survey():
    """
    Looks through all repositories.
    @return {"backups", "ranges", "gaps", "repositories": {name: {"why", "gaps", "ranges": what it can give when this
    machine is lost}}, "of": {name: backups of the current lineage}}
    """
    told = {name: {"why": None, "gaps": [], "ranges": []} for name in pgbackrest.repositories()}
    result = {"backups": [], "ranges": [], "gaps": [], "repositories": told, "of": {}}
    for number in pgbackrest.lineages():
        survey_lineage(number, result)
    for name in told:
        if name not in result["of"]:
            try:
                result["of"][name] = pgbackrest.backups_in(name, pgbackrest.lineage())
            except Failed as failure:
                told[name]["why"] = str(failure)
    return result


def survey_lineage(number, result):
    # The spool first: what leaves it meanwhile is seen in the repositories
    spool, last = spooled(number)
    if number != pgbackrest.lineage():
        tick_store.fetch(number)
    branches, seen = lineages.branches(number), ticks.all_ticks(number)
    everywhere, copies = set(spool), {}
    for name, told in result["repositories"].items():
        try:
            found = pgbackrest.backups_in(name, number)
            segments = stored(name, number)
        except Failed as failure:
            told["why"] = str(failure)
            continue
        if number == pgbackrest.lineage():
            result["of"][name] = found
        everywhere |= segments
        told["gaps"] += compute(number, found, branches, segments | spool, last, seen)[1]
        # What waits in the spool is lost with this machine, and so is the repository that is on it
        own = (segments | spool, last) if name == "local" else (segments, None)
        told["ranges"] += compute(number, found, branches, *own, seen)[0]
        for one in found:
            copy = copies.setdefault(one["copy"], {**one, "labels": {}, "stored": {}})
            copy["labels"][name], copy["stored"][name] = one["label"], one["stored"]
    backups = sorted(copies.values(), key=lambda one: one["stop"])
    ranges, gaps = compute(number, backups, branches, everywhere, last, seen)
    result["ranges"] += ranges
    result["gaps"] += gaps
    result["backups"] += [shown(number, one) for one in backups]


def shown(number, one):
    return {
        "lineage": number, "label": one["label"], "labels": one["labels"], "type": one["type"],
        "start": iso(one["start"]), "stop": iso(one["stop"]), "bytes": one["bytes"],
        "repositories": one["stored"], "startLsn": one["startLsn"], "stopLsn": one["stopLsn"],
        "timeline": one["timeline"], "walStart": one["walStart"],
    }

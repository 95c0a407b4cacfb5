"""Who the primary is: the cluster's identifier, its timeline, and the way that led there."""
import os

import pgbackrest
from common import TIMELINE, moment, place, query, read_json
from segments import branch_of, passes

WHO = f"""SELECT system_identifier, {TIMELINE},
 encode(pg_read_binary_file('global/pg_control'), 'hex') FROM pg_control_system();"""


def ask():
    """What the primary says of itself. Fails where there is none."""
    system, timeline, control = query(WHO, database="postgres", seconds=15)[0]
    return {
        "system": system, "timeline": int(timeline), "branch": branch(int(timeline)),
        "control": bytes.fromhex(control),
    }


def branch(timeline):
    """The branch that led to the primary's timeline."""
    if timeline == 1:
        return []
    file = f"pg_wal/{timeline:08X}.history"
    return branch_of(query_text(f"SELECT replace(encode(pg_read_binary_file('{file}'), 'hex'), E'\\n', '');"))


def query_text(sql):
    return bytes.fromhex(query(sql, database="postgres", seconds=15)[0][0]).decode()


def record():
    """What is known of the lineage that is recorded now; nothing before the first."""
    return read_json(place("state", "lineage.json")) or {}


def anew_since():
    """
    Since when a history is recorded that nobody asked for, as where all machines were lost and are new: perhaps
    nothing has been restored yet. None where the one before was left on purpose.
    """
    known = record()
    return moment(known["at"]) if known.get("by") in ("first", "seen") else None


def branches_path(lineage):
    return place("ticks", f"{pgbackrest.stanza(lineage)}.branches")


def branches(lineage):
    """The timelines of a lineage: {timeline: branch}."""
    return {int(timeline): branch for timeline, branch in (read_json(branches_path(lineage)) or {}).items()}


def stranger(who, lineage):
    """Why what the primary has is no part of a lineage; None where it is."""
    if who["system"] != lineage["system"]:
        return "the primary is another database cluster"
    if not passes(who["timeline"], who["branch"], lineage["timeline"], lineage["branch"]):
        return "the primary's history is another one"
    if branches(lineage["lineage"]).get(who["timeline"], who["branch"]) != who["branch"]:
        return "the primary's timeline came to be in another way"
    for one in lineage.get("promoted", []):
        if passes(who["timeline"], who["branch"], one["timeline"], one["branch"]):
            return "the primary has what was restored"
    return None


def keep_control(number, content):
    """Keeps the control file of a lineage's database, which archive-push wants to see. Run as PostgreSQL's user."""
    folder = os.path.join(pgbackrest.control(number), "global")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    path = os.path.join(folder, "pg_control")
    with open(f"{path}.new", "wb") as file:
        file.write(content)
    os.rename(f"{path}.new", path)

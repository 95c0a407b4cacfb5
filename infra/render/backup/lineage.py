"""Which history of the database is recorded, and when the next one begins."""
import time

import identity
import pgbackrest
from common import Failed, iso, moment, now, place, read_json, say, write_json

# A cluster that is another one is seen so often before it is believed
SEEN_ENOUGH = 2
# Without a record of before, every repository is asked which lineages it has, for so long
PATIENCE_SECONDS = 120
# A lineage that was seen to begin is what a request for one means that comes within this time
CLAIM_SECONDS = 6 * 3600


class Lineages:
    def __init__(self):
        self.seen = 0
        self.since = time.monotonic()

    def follow(self, who):
        """Begins the next lineage where the primary is none of this one's. @return the lineage; None if it is in doubt"""
        known = identity.record()
        if not known:
            return self.first(who)
        why = identity.stranger(who, known)
        if why is None:
            self.seen = 0
            self.note_branch(who)
            return known["lineage"]
        self.seen += 1
        if self.seen < SEEN_ENOUGH:
            return None
        self.seen = 0
        return begin(who, known["lineage"] + 1, "seen", why)

    def first(self, who):
        """The first lineage, or the next one of repositories that are known from before."""
        numbers = []
        for repository in pgbackrest.repositories():
            try:
                numbers += [int(name.split("-")[1]) for name in pgbackrest.ls(repository, "archive")]
            except (Failed, ValueError) as failure:
                if time.monotonic() - self.since < PATIENCE_SECONDS:
                    say(f"waiting to see which backups there are: {failure}")
                    return None
        return begin(who, max(numbers, default=0) + 1, "first", "nothing is recorded yet")

    def note_branch(self, who):
        """Keeps how each timeline came to be: which positions belong to which."""
        known = branches(identity.record()["lineage"])
        if known.get(who["timeline"]) != who["branch"]:
            known[who["timeline"]] = who["branch"]
            write_json(branches_path(identity.record()["lineage"]), known)


def branches_path(lineage):
    return place("ticks", f"{pgbackrest.stanza(lineage)}.branches")


def branches(lineage):
    """The timelines of a lineage: {timeline: branch}."""
    return {int(timeline): branch for timeline, branch in (read_json(branches_path(lineage)) or {}).items()}


def begin(who, number, by, why):
    say(f"the database's history is recorded as {number} from now on: {why}")
    write_json(branches_path(number), {who["timeline"]: who["branch"]})
    write_json(place("state", "lineage.json"), {
        "lineage": number, "system": who["system"], "timeline": who["timeline"], "branch": who["branch"],
        "at": iso(now()), "by": by,
    })
    return number


def note_promoted(timeline, branch):
    """Keeps which history was restored from this lineage: where it serves, the next lineage begins."""
    known = identity.record()
    one = {"timeline": timeline, "branch": branch}
    if known and one not in known.get("promoted", []):
        write_json(place("state", "lineage.json"), {**known, "promoted": [*known.get("promoted", []), one]})


def asked():
    """A request for the next lineage. One that began by itself just now is the one that is meant."""
    known = identity.record()
    who = identity.ask()
    if known and known["by"] == "seen" and identity.stranger(who, known) is None:
        if (now() - moment(known["at"])).total_seconds() < CLAIM_SECONDS:
            write_json(place("state", "lineage.json"), {**known, "by": "asked"})
            return {"lineage": known["lineage"]}
    number = begin(who, known.get("lineage", 0) + 1, "asked", "it was asked for")
    return {"lineage": number}

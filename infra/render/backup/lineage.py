"""Which history of the database is recorded, and when the next one begins."""
import identity
import pgbackrest
from common import Failed, iso, moment, now, place, read_json, say, write_json
from identity import branches, branches_path

# A cluster that is another one is seen so often before it is believed
SEEN_ENOUGH = 2
# A lineage that has begun is what a request for one means that comes within this time
CLAIM_SECONDS = {"seen": 6 * 3600, "asked": 600}


# In the directory of states: why no lineage has begun
WAITS = "waits.json"


class Lineages:
    def __init__(self):
        self.seen = 0

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
        """
        The first lineage, or the next one of repositories that are known from before. All must have said what they
        have: a number that one of them has already would be another history there.
        """
        numbers, waits = [], []
        for repository in pgbackrest.repositories():
            try:
                numbers += readable(repository)
            except Failed as failure:
                waits.append(str(failure))
        self.wait("; ".join(waits) or None)
        return None if waits else begin(who, max(numbers, default=0) + 1, "first", "nothing is recorded yet")

    def wait(self, why):
        """Has it told why nothing is recorded."""
        if why and why != (read_json(place("state", WAITS)) or {}).get("why"):
            say(f"nothing is recorded before it is known which backups there are: {why}")
        write_json(place("state", WAITS), {"at": iso(now()), "why": why})

    def note_branch(self, who):
        """Keeps how each timeline came to be: which positions belong to which."""
        known = branches(identity.record()["lineage"])
        if known.get(who["timeline"]) != who["branch"]:
            known[who["timeline"]] = who["branch"]
            write_json(branches_path(identity.record()["lineage"]), known)


def readable(repository):
    """The lineages that a repository has. Fails where it does not answer, or they cannot be read with the key."""
    found = pgbackrest.numbers_in(repository)
    for number in found[-1:]:
        try:
            pgbackrest.backups_in(repository, number)
        except Failed as failure:
            if "another key" not in str(failure):
                raise
            raise Failed(
                f"{failure}: set hastack:backupRepositoryKey to that of the recovery kit, or give it another place"
            ) from None
    return found


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
    """A request for the next lineage. One that began just now, by itself or as this is repeated, is the one that is meant."""
    known = identity.record()
    who = identity.ask()
    if known and known["by"] in CLAIM_SECONDS and identity.stranger(who, known) is None:
        if (now() - moment(known["at"])).total_seconds() < CLAIM_SECONDS[known["by"]]:
            write_json(place("state", "lineage.json"), {**known, "by": "asked"})
            return {"lineage": known["lineage"]}
    number = begin(who, known.get("lineage", 0) + 1, "asked", "it was asked for")
    return {"lineage": number}

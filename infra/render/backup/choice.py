"""Which backup a moment is restored from."""
import pgbackrest
from common import Failed, iso, moment


def choose(to):
    """
    @param to a moment as text with its zone, or `newest`
    @return {"lineage", "backup" (as pgbackrest.info has it), "moment"}. Fails outside of what can be restored
    """
    ranges = pgbackrest.ranges()
    if not ranges:
        raise Failed("nothing can be restored yet: no backup is known; `npm run backup -- --list` shows why")
    wanted = newest(ranges) if to == "newest" else moment(to)
    held = [one for one in ranges if one["from"] <= wanted <= one["to"]]
    if not held:
        raise Failed(f"{iso(wanted)} cannot be restored: one can restore {spoken(ranges)}")
    lineage = max(one["lineage"] for one in held)
    before = [one for one in pgbackrest.info(lineage)["backups"] if one["stop"] <= wanted]
    if not before:
        raise Failed(f"no repository gives a backup from before {iso(wanted)}{'; '.join(['', *reasons(lineage)])}")
    return {"lineage": lineage, "backup": before[-1], "moment": wanted}


def newest(ranges):
    last = max(one["lineage"] for one in ranges)
    return max(one["to"] for one in ranges if one["lineage"] == last)


def spoken(ranges):
    return " and ".join(f"{iso(one['from'])} to {iso(one['to'])}" for one in sorted(ranges, key=lambda one: one["from"]))


def reasons(lineage):
    """Why repositories give no backup, each one line."""
    found = []
    for repository in pgbackrest.repositories():
        try:
            pgbackrest.backups_in(repository, lineage)
        except Failed as failure:
            found.append(str(failure))
    return found

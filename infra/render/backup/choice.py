"""Which backup a moment is restored from."""
import identity
import pgbackrest
from common import Failed, iso, moment
from segments import on_way


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
    before = [one for one in usable(lineage) if one["stop"] <= wanted]
    if not before:
        raise Failed(f"no repository gives a backup from before {iso(wanted)}{'; '.join(['', *reasons(lineage)])}")
    return {"lineage": lineage, "backup": before[-1], "moment": wanted}


def usable(lineage):
    """The backups of a lineage that no failover has cut off, the oldest first."""
    is_on_way = on_way(identity.branches(lineage))
    return [
        one for one in pgbackrest.info(lineage)["backups"]
        if not one["startLsn"] or is_on_way(one["timeline"], one["startLsn"])
    ]


def newest(ranges):
    """The newest moment. Fails where the database began anew by itself: that may not be what is meant."""
    anew = began_anew(ranges)
    if anew:
        now = [one["to"] for one in ranges if one["lineage"] == anew["lineage"]]
        own = f"; the newest since then is {iso(max(now))}" if now else ""
        raise Failed(
            f"the database began anew at {anew['at']}, and `newest` could be of before or of after that: say"
            f" --to {iso(anew['before'])}, which is the newest before it{own}"
        )
    last = max(one["lineage"] for one in ranges)
    return max(one["to"] for one in ranges if one["lineage"] == last)


def began_anew(ranges):
    """
    Whether the history that is recorded began by itself after others, as where all machines were lost and are new:
    nobody has restored anything yet.
    @return {"lineage", "at": when it began, as text, "before": the newest moment before it}; None where it did not
    """
    known = identity.record()
    before = [one["to"] for one in ranges if one["lineage"] < known.get("lineage", 0)]
    if not identity.anew_since() or not before:
        return None
    return {"lineage": known["lineage"], "at": known["at"], "before": max(before)}


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

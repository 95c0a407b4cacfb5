"""When backups are due. Nothing but times comes in and goes out."""
import datetime

DAY = datetime.timedelta(days=1)
# One backup an hour at most is made because WAL is missing
MEND = datetime.timedelta(hours=1)


def next_at(time, clock):
    """The first moment from `time` on at which it is `clock` (such as "02:30"), in UTC."""
    hour, minute = (int(word) for word in clock.split(":"))
    moment = time.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return moment if moment >= time else moment + DAY


def due(last, every, clock, now):
    """
    When the next backup of a kind is due.
    @param last when the last one began; None: there is none
    @param every how long one is good for
    @param clock when backups are made, where it is a day or more
    """
    if last is None:
        return now
    # A clock that was put back must not keep backups from being made
    last = min(last, now)
    if every < DAY:
        return last + every
    return next_at(last + every - DAY / 2, clock)


def dues(backups, settings, now):
    """
    When a full and a differential backup are due, for the backups of one repository.
    @return {"full", "differential"}
    """
    fulls = [one["start"] for one in backups if one["type"] == "full"]
    latest = [one["start"] for one in backups]
    return {
        "full": due(max(fulls, default=None), DAY * settings["fullEveryDays"], settings["backupAt"], now),
        "differential": due(
            max(latest, default=None),
            datetime.timedelta(hours=settings["differentialEveryHours"]), settings["backupAt"], now,
        ),
    }


def mends(backups, gap, now):
    """"diff" where WAL is missing after the newest backup, once that is an hour old; else None."""
    latest = max((one["start"] for one in backups), default=None)
    return "diff" if gap and latest and now - latest > MEND else None


def kind_due(backups, settings, now):
    """"full" or "diff" where one is due now, else None."""
    when = dues(backups, settings, now)
    if when["full"] <= now:
        return "full"
    return "diff" if when["differential"] <= now else None

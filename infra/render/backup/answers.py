"""
Which repositories do not answer. What one program has found out by waiting, no other waits for: each question to
a store that is away takes a minute or two. Only whoever has log for it tries all the same.
"""
import json
import os
import re
import time

from common import POSTGRES, place, read_json, write_text

# So long it is left alone
AWAY_SECONDS = 120
NO_ANSWER = re.compile("does not answer|did not end within|cannot be resolved")


def path_of(repository):
    return place("control", f"{repository}.away")


def away(repository):
    """Why a repository did not answer just now; None where it did."""
    known = read_json(path_of(repository)) or {}
    return known.get("why") if time.time() < known.get("until", 0) <= time.time() + AWAY_SECONDS else None


def is_away(why):
    """Whether a reason tells that a repository has not answered."""
    return bool(NO_ANSWER.search(why))


def failed(repository, why):
    """Something failed there; whether it is away, the reason tells. Where that cannot be kept, others find out themselves."""
    if not is_away(why):
        came(repository)
        return
    text = json.dumps({"until": time.time() + AWAY_SECONDS, "why": why})
    try:
        write_text(path_of(repository), text, 0o600, POSTGRES)
    except OSError:
        pass


def came(repository):
    """It has answered."""
    try:
        os.unlink(path_of(repository))
    except OSError:
        pass

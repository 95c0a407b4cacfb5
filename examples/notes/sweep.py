"""Puts pictures away that no note has: left by an upload whose note could not be stored, or by one
that was cut off; and empties the trash of what no backup needs. hastack runs this every hour, on one
instance."""

import contextlib
import os
import sys
import time

import psycopg

from trash import KEEP_DAYS, TRASH, UPLOADS, is_held, move, put_away

# Its note follows a picture within a minute, or never
OLD_SECONDS = 3600


def is_old(file):
    with contextlib.suppress(FileNotFoundError):
        return file.is_file() and file.stat().st_mtime < time.time() - OLD_SECONDS
    return False


def is_due(file):
    with contextlib.suppress(FileNotFoundError):
        return file.stat().st_ctime <= time.time() - KEEP_DAYS * 86400
    return False


old = [file.name for file in UPLOADS.iterdir() if is_old(file)]
trash = [file.name for file in TRASH.iterdir()] if TRASH.exists() else []
# The primary: a standby may not know a note yet
with psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=10) as connection:
    query = "SELECT picture FROM note WHERE picture = ANY(%s)"
    used = {name for (name,) in connection.execute(query, [old + trash])}
# After the query: another database may have taken the place of the one that was asked
if is_held():
    print("nothing is removed: the stack is being restored")
    sys.exit()
removed = 0
for name in set(old) - used:
    # Unless the same upload was sent again meanwhile
    if is_old(UPLOADS / name):
        put_away(name)
        removed += 1
for name in trash:
    # An earlier moment was restored, and the note is back
    if name in used and not (UPLOADS / name).exists():
        move(TRASH / name, UPLOADS / name)
    elif is_due(TRASH / name):
        (TRASH / name).unlink(missing_ok=True)
print(f"{removed} pictures removed that no note has")

"""Removes pictures that no note has: left by an upload whose note could not be stored, or by one
that was cut off. hastack runs this every hour, on one instance."""

import contextlib
import os
import time
from pathlib import Path

import psycopg

UPLOADS = Path(os.environ["UPLOADS_DIRECTORY"])
# Its note follows a picture within a minute, or never
OLD_SECONDS = 3600


def is_old(file):
    with contextlib.suppress(FileNotFoundError):
        return file.is_file() and file.stat().st_mtime < time.time() - OLD_SECONDS
    return False


old = [file.name for file in UPLOADS.iterdir() if is_old(file)]
# The primary: a standby may not know a note yet
with psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=10) as connection:
    query = "SELECT picture FROM note WHERE picture = ANY(%s)"
    used = {name for (name,) in connection.execute(query, [old])}
removed = 0
for name in set(old) - used:
    # Unless the same upload was sent again meanwhile
    if is_old(UPLOADS / name):
        (UPLOADS / name).unlink(missing_ok=True)
        removed += 1
print(f"{removed} pictures removed that no note has")

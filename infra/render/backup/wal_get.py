"""
PostgreSQL's restore_command: brings one file of the log, from a repository, or from what is received and not stored yet.

Arguments: the file's name, where it is to lie, the lineage, and the place of the restored database
(`restored` or `drill`). Exit code 1: it is nowhere, and the log shows why.
"""
import os
import shutil
import sys

import answers
import common
import pgbackrest
from common import Failed

PATIENCE_SECONDS = 120


def fetch(name, target, lineage, separate):
    """Whether the file lies at `target` now."""
    data = common.place(separate, "data")
    path = os.path.join(data, target)
    whole = os.path.join(pgbackrest.spool(lineage), name)
    if copied(whole, path):
        return True
    why = "no repository has it"
    for repository in pgbackrest.repositories():
        got = stored(repository, lineage, name, target, separate)
        if got is None:
            return True
        why = got or why
    # As far as it was received
    if copied(f"{whole}.partial", path):
        return True
    if not name.endswith(".history"):
        print(f"wal-get: {name} was not received, and {why}", file=sys.stderr)
    return False


def stored(repository, lineage, name, target, separate):
    """Brings the file from a repository. @return None where it came; else why it did not, which may be empty"""
    why = answers.away(repository)
    if why:
        return why
    data = common.place(separate, "data")
    words = pgbackrest.command(lineage, "archive-get", name, target, pg1=data, repo=repository, separate=separate)
    try:
        got = common.run(words, cwd=data, check=False, seconds=PATIENCE_SECONDS)
    except Failed as failure:
        got = common.Ran(1, "", str(failure))
    if got.code == 0 and os.path.exists(os.path.join(data, target)):
        return None
    why = f"{repository}: {pgbackrest.reason(got.err)}" if got.err.strip() else ""
    if why:
        answers.failed(repository, why)
    return why


def copied(source, path):
    """Copies a file that is there, whole or not at all."""
    try:
        shutil.copyfile(source, f"{path}.part")
    except FileNotFoundError:
        return False
    os.rename(f"{path}.part", path)
    return True


if __name__ == "__main__":
    sys.exit(0 if fetch(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]) else 1)

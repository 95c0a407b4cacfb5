"""
PostgreSQL's restore_command: brings one file of the log, from a repository, or from what is received and not stored yet.

Arguments: the file's name, where it is to lie, the lineage, and the place of the restored database
(`restored` or `drill`). Exit code 1: it is nowhere, and the log shows why.
"""
import os
import shutil
import sys

import common
import pgbackrest


def fetch(name, target, lineage, separate):
    """Whether the file lies at `target` now."""
    data = common.place(separate, "data")
    words = pgbackrest.command(lineage, "archive-get", name, target, pg1=data, separate=separate)
    got = common.run(words, cwd=data, check=False)
    if got.code == 0 and os.path.exists(os.path.join(data, target)):
        return True
    received = from_spool(lineage, name)
    if received:
        part = os.path.join(data, target + ".part")
        shutil.copyfile(received, part)
        os.rename(part, os.path.join(data, target))
        return True
    if not name.endswith(".history"):
        why = pgbackrest.reason(got.err) if got.err.strip() else "no repository has it"
        print(f"wal-get: {name} was not received, and {why}", file=sys.stderr)
    return False


def from_spool(lineage, name):
    """Where the file lies whole, or as far as it was received; None where it does not."""
    whole = os.path.join(pgbackrest.spool(lineage), name)
    return next((one for one in (whole, f"{whole}.partial") if os.path.exists(one)), None)


if __name__ == "__main__":
    sys.exit(0 if fetch(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]) else 1)

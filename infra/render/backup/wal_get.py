"""
PostgreSQL's restore_command: brings one file of the log, from a repository, or from what is received and not stored yet.

Arguments: the file's name, where it is to lie, the lineage, and the place of the restored database
(`restored` or `drill`). Exit code 1: it is nowhere, and the log shows why. A repository that does not answer is
tried for a quarter of an hour; exit code 200 has PostgreSQL end then, as it would take any below 126 for the log's end.
"""
import os
import shutil
import sys
import time

import answers
import common
import identity
import pgbackrest
from common import Failed

PATIENCE_SECONDS = 120
TRY_SECONDS, REST_SECONDS = 900, 10
NOWHERE, UNKNOWN = 1, 200


def fetch_patiently(name, target, lineage, separate):
    """@return the exit code"""
    end, tries = time.monotonic() + TRY_SECONDS, False
    while True:
        why = fetch(name, target, lineage, separate, tries)
        if why is None:
            return 0
        is_known = name.removesuffix(".history") == name or int(name[:8], 16) in identity.branches(lineage)
        if not is_known or not answers.is_away(why):
            break
        if time.monotonic() > end:
            tell(name, why)
            return UNKNOWN
        tries = True
        time.sleep(REST_SECONDS)
    if not name.endswith(".history"):
        tell(name, why)
    return NOWHERE


def tell(name, why):
    print(f"wal-get: {name} was not received, and {why}", file=sys.stderr)


def fetch(name, target, lineage, separate, tries):
    """
    Brings the file to `target`.
    @param tries whether a repository is asked that did not answer just now
    @return None; else why it did not come
    """
    path = os.path.join(common.place(separate, "data"), target)
    spool = pgbackrest.in_spool(lineage)
    if name in spool and copied(spool[name], path):
        return None
    reasons = []
    for repository in pgbackrest.repositories():
        why = stored(repository, lineage, name, target, separate, tries)
        if why is None:
            return None
        reasons.append(why)
    # As far as it was received
    if copied(os.path.join(pgbackrest.spool(lineage), f"{name}.partial"), path):
        return None
    return "; ".join(filter(None, reasons)) or "no repository has it"


def stored(repository, lineage, name, target, separate, tries):
    """Brings the file from a repository. @return None where it came; else why it did not, which may be empty"""
    why = None if tries else answers.away(repository)
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
    sys.exit(fetch_patiently(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))

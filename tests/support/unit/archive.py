"""
Stands in for what records the database: base backups, log and ranges. Run in the folder of the keeper's programs.

Arguments: `store` (all whole files of the log), `backup full|diff`, or `range` (what can be restored until now).
"""
import glob
import json
import os
import re
import shutil
import sys
import time

import common
import pgbackrest
from common import POSTGRES, at, bin, iso, place, run

LINEAGE = 1
LOCAL = ["local"]


def sql(text):
    return common.query(text)


def tick():
    """A moment, and a commit after it: recovery to a moment ends at the first commit after it."""
    [[epoch]] = sql("SELECT extract(epoch FROM clock_timestamp())")
    sql("SELECT pg_logical_emit_message(true, 'hastack', 'tick')")
    return epoch, sql("SELECT pg_current_wal_insert_lsn()")[0][0]


def prepare():
    folder = os.path.join(pgbackrest.control(LINEAGE), "global")
    for path in (pgbackrest.control(LINEAGE), folder, pgbackrest.spool(LINEAGE)):
        os.makedirs(path, mode=0o700, exist_ok=True)
        shutil.chown(path, POSTGRES, POSTGRES)
    control = sql("SELECT encode(pg_read_binary_file('global/pg_control'), 'hex')")[0][0]
    with open(os.path.join(folder, "pg_control"), "wb") as file:
        file.write(bytes.fromhex(control.replace("\\n", "")))
    shutil.chown(os.path.join(folder, "pg_control"), POSTGRES, POSTGRES)
    common.write_json(place("state", "lineage.json"), {"lineage": LINEAGE})
    for repository in LOCAL:
        pgbackrest.create(repository, LINEAGE)


def store():
    """Stores the log's whole files, and removes them from where they were received."""
    for file in sorted(glob.glob(os.path.join(pgbackrest.spool(LINEAGE), "*"))):
        if re.fullmatch(r"[0-9A-F]{24}|[0-9A-F]{8}\.history", os.path.basename(file)):
            for repository in LOCAL:
                pgbackrest.push(repository, LINEAGE, file)
            os.unlink(file)


def backup(kind):
    copy = place("copy")
    for name in os.listdir(copy):
        path = os.path.join(copy, name)
        shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    start = time.time()
    run([bin("pg_basebackup"), "-d", common.conninfo("replicas"), "-D", copy, "-X", "none", "--checkpoint=fast", "--no-verify-checksums"], user=POSTGRES)
    stop, lsn = tick()
    os.rename(os.path.join(copy, "backup_label"), os.path.join(copy, "hastack_backup_label"))
    notes = {"copy": str(int(start)), "start": iso(at(start)), "stop": iso(at(float(stop))), "stop-lsn": lsn, "timeline": "1"}
    annotations = [f"--annotation={name}={value}" for name, value in notes.items()]
    for repository in LOCAL:
        words = ["--no-online", f"--type={kind}", "--checksum-page=n", "--repo1-bundle=y", "--repo1-block=y", "--compress-type=zst"]
        pgbackrest.call(LINEAGE, "backup", *words, *annotations, pg1=copy, repo=repository, seconds=None)


def wait_for(lsn):
    """Until the log up to there was received."""
    for _ in range(200):
        if sql(f"SELECT flush_lsn >= '{lsn}' FROM pg_stat_replication WHERE application_name = 'pg_receivewal'") == [["t"]]:
            return
        time.sleep(0.1)
    sys.exit(f"the log up to {lsn} was not received")


def state_range():
    until, lsn = tick()
    wait_for(lsn)
    known = pgbackrest.info(LINEAGE)["backups"]
    backups = [{"lineage": LINEAGE, "label": one["label"], "stop": iso(one["stop"])} for one in known]
    ranges = [{"lineage": LINEAGE, "from": iso(known[0]["stop"]), "to": iso(at(float(until)))}]
    common.write_json(place("state", "backups.json"), {"backups": backups, "ranges": ranges})
    print(json.dumps(ranges[0]))


if __name__ == "__main__":
    {"prepare": prepare, "store": store, "backup": backup, "range": state_range}[sys.argv[1]](*sys.argv[2:])

"""
A database restored beside the running stack, to a moment: made, compared with the live one, promoted so that it
can take the stack's place, and removed. State: state/restored.json. Each verb may be interrupted and repeated.
"""
import os
from time import monotonic, sleep

import choice
import common
import compare
import lineage
import named
from common import FOLDER, TIMELINE, Failed, conninfo, iso, moment, now, place, read_json, settings, write_json
from instance import Instance
from segments import branch_of
from session import Session

FILE = "restored.json"


def instance():
    return Instance("restored", settings()["restoredPort"])


def state():
    return read_json(place("state", FILE)) or {}


def note(known, **more):
    known.update(more)
    write_json(place("state", FILE), known)
    return known


def restore(to="newest"):
    """
    Restores to a moment; recovery is paused there. What was restored before goes.
    @param to a moment as text with its zone, or `newest`
    @return what state/restored.json says. Fails where the moment cannot be restored
    """
    if state().get("phase") == "promoted":
        raise Failed("a restored database is ready to take the stack's place: npm run restore -- --in-place goes on, --discard removes it")
    chosen = choice.choose(to)
    begun, one = monotonic(), instance()
    discard()
    known = note(
        {}, to=iso(chosen["moment"]), target=chosen["moment"].isoformat(), reached=None, phase="restoring", since=iso(now()), lineage=chosen["lineage"],
        backup=chosen["backup"]["label"], seconds=None, why=None, tables=[], files=None,
    )
    try:
        common.progress(f"brings the backup {chosen['backup']['label']}")
        one.bring(chosen["lineage"], chosen["backup"])
        common.progress(f"recovers to {known['to']}")
        one.recover(chosen["lineage"], until(chosen["moment"]))
        come = one.wait_until_paused()
        note(known, reached=come["reached"] and iso(come["reached"]), lsn=come["lsn"])
        with one.session() as restored:
            note(known, tables=compared(restored, known))
        note(known, files=files_of(one, known))
    except Exception as failure:
        one.remove()
        note(known, phase="failed", why=str(failure) or type(failure).__name__)
        raise
    return note(known, phase="beside", seconds=round(monotonic() - begun))


def until(time):
    return {"recovery_target_time": time.isoformat(), "recovery_target_inclusive": "on"}


def compared(restored, known):
    """The tables beside the live ones; beside nothing where there is no live database."""
    try:
        with Session(conninfo("replicas")) as live:
            return compare.compare(restored, live)
    except Failed as failure:
        note(known, why=f"the live database could not be asked: {failure}")
    compare.limit(restored)
    found = []
    for table, (_, column) in compare.tables(restored).items():
        rows, newest = compare.counted(restored, table, column)
        found.append({"table": table, "live": None, "restored": rows, "newestLive": None, "newestRestored": newest, "onlyIn": None})
    return found


def files_of(one, known):
    if not settings().get("filesOfRows"):
        return None
    common.progress("looks for the files of the rows")
    try:
        return named.look(one.conninfo())
    except Failed as failure:
        why = [known["why"], f"the files could not be looked for: {failure}"]
        note(known, why="; ".join(filter(None, why)))
        return None


def promote():
    """
    Promotes the restored database, and has it listen for the database members, which copy it by replication.
    Repeated, it starts what is promoted already.
    """
    known, one = state(), instance()
    if known.get("phase") not in ("beside", "promoted"):
        raise Failed("there is no restored database; restore one first")
    note(known, promoting=True)
    if os.path.exists(os.path.join(one.data, "recovery.signal")):
        if not one.runs():
            resume_recovery(one, known)
        common.progress("promotes the restored database")
        with one.session("postgres") as session:
            if session.value("SELECT pg_promote(true, 600)") != "t":
                raise Failed(f"the restored database was not promoted within 600 s; its log is in {place('restored', 'log')} of {settings()['member']}")
    if not (known.get("phase") == "promoted" and one.runs()):
        serve(one)
    note_history(one)
    return note(known, phase="promoted", promoting=False, address=f"{settings()['address']}:{one.port}")


def note_history(one):
    """Has the lineage that is recorded know what is not its own, before that serves anywhere."""
    with one.session("postgres") as session:
        timeline = int(session.value(f"SELECT {TIMELINE}"))
    with open(os.path.join(one.data, "pg_wal", f"{timeline:08X}.history"), encoding="utf-8") as file:
        lineage.note_promoted(timeline, branch_of(file.read()))


def serve(one):
    config, tls = settings(), os.path.join(FOLDER, "tls")
    rules = [
        f"hostssl replication replicator {member['address']}/32 cert" for member in config["databaseMembers"]
    ]
    more = {
        "listen_addresses": config["address"], "ssl": "on",
        "ssl_cert_file": f"{tls}/restored.pem", "ssl_key_file": f"{tls}/restored.pem",
        "ssl_ca_file": f"{tls}/database-ca.crt", "ssl_min_protocol_version": "TLSv1.3",
        "wal_keep_size": "256MB", "max_wal_senders": 10,
    }
    one.serve(more, rules)
    wait_until_serving(one)


def wait_until_serving(one):
    end = monotonic() + 300
    while monotonic() < end:
        try:
            with one.session("postgres") as session:
                if session.value("SELECT pg_is_in_recovery()") == "f":
                    return
        except Failed:
            if not one.runs():
                raise
        sleep(0.5)
    raise Failed(f"the promoted database did not start within 300 s; its log is in {place('restored', 'log')} of {settings()['member']}")


def bring_files():
    """
    Brings back every file that the restored database's rows name and the shared directories lack. Once the
    restored database is gone, the live one is asked, which has taken its place.
    @return {"brought", "missing": some that are nowhere}
    """
    one = instance()
    source = one.conninfo() if one.runs() else conninfo("primary")
    return named.bring(source)


def discard():
    """Stops and removes the restored database. Harmless where there is none."""
    instance().remove()
    try:
        os.unlink(place("state", FILE))
    except FileNotFoundError:
        pass
    return {}


def resume():
    """At the keeper's start: goes on with what the one before left."""
    known, one = state(), instance()
    if known.get("phase") == "restoring":
        one.remove()
        note(known, phase="failed", why="interrupted: the keeper of backups started anew; restore again")
    elif known.get("promoting"):
        promote()
    elif known.get("phase") == "beside" and not one.runs():
        resume_recovery(one, known)
    elif known.get("phase") == "promoted" and not one.runs():
        serve(one)


def resume_recovery(one, known):
    one.recover(known["lineage"], until(moment(known["target"])))
    one.wait_until_paused()

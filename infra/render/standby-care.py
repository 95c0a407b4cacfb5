#!/usr/bin/python3
"""
What a database member does for its own data beside Patroni; run in the folder of patroni.yml, as
PostgreSQL's user.

  standby-care rewind …  Patroni's pg_rewind. Data that it cannot bring back to the primary's is set
                         aside; Patroni finds none then, and has the primary copied.
  standby-care copy …    Patroni's way to make a standby: the primary is copied once there is room.
                         Data that is there is set aside if it may hold what the primary lacks.
  standby-care watch     Has a standby copied anew that cannot get on, because the primary has no
                         more of the log that it needs. At the primary, drops slots that are lost.

At most one directory is kept aside: a newer one takes the place of the older.
"""
import glob
import os
import select
import shutil
import signal
import subprocess
import sys
import time

import psycopg2
from patroni.config import Config
from patroni.dcs import Member
from patroni.request import PatroniRequest
from psycopg2.extras import PhysicalReplicationConnection

ROUND_SECONDS = 10
# A standby is given this time to find its way back by itself
PATIENCE_SECONDS = 30
# After a copy was asked for, none is asked for again for this time
REST_SECONDS = 300
# Besides a tenth of the data: the log that is written while it is copied
ROOM_FOR_LOG = 512 << 20
# Recovery before pg_rewind, and the log that it fetches: 16 files
ROOM_FOR_REWIND = 256 << 20
# How often room is looked for
LOOK_SECONDS = 5

GONE = "has already been removed"
DIVERGED = "is not in this server's history"
MEANING = {
    GONE: "the primary has no more of the log that it needs",
    DIVERGED: "its data has diverged from the primary's",
}


def say(text):
    print(f"standby-care: {text}", file=sys.stderr, flush=True)


class Ended(Exception):
    """Patroni wants this program to end."""


def run(words):
    """Runs a program, which ends when this one is to. Returns its exit code."""
    child = subprocess.Popen(words)
    ended = []

    def end(*_):
        ended.append(True)
        child.terminate()

    signal.signal(signal.SIGTERM, end)
    code = child.wait()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if ended:
        raise Ended
    return code


def program(config, name):
    return os.path.join(config["postgresql"]["bin_dir"], name)


def control(config, directory):
    """What PostgreSQL's control file says of a data directory; nothing where it cannot be read."""
    seen = subprocess.run(
        [program(config, "pg_controldata"), directory],
        env={"LC_ALL": "C"}, capture_output=True, text=True,
    )
    lines = seen.stdout.splitlines() if seen.returncode == 0 else []
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def login(config, who, host, port):
    """How one of Patroni's roles connects to a member, as Patroni itself does."""
    member = Member(0, "primary", None, {"conn_url": f"postgres://{host}:{port}/postgres"})
    role = config["postgresql"]["authentication"][who]
    return psycopg2.extensions.make_dsn(**member.conn_kwargs(role))


def ask_for_log(source, timeline, location):
    """Why the primary cannot send its log from there on; None if it can."""
    connection = psycopg2.connect(
        source, connection_factory=PhysicalReplicationConnection, connect_timeout=5
    )
    try:
        cursor = connection.cursor()
        cursor.start_replication(start_lsn=location, timeline=timeline)
        # A file that is missing is told once it is read. No answer: the primary has no more to send
        for _ in range(3):
            select.select([cursor], [], [], 1)
            if cursor.read_message():
                return None
        return None
    except psycopg2.DatabaseError as error:
        return str(error).strip()
    finally:
        connection.close()


def room_wanted(config, host, port):
    """Bytes that a copy of the primary needs. Fails where that is not the primary."""
    connection = psycopg2.connect(login(config, "rewind", host, port), connect_timeout=5)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_is_in_recovery(), pg_tablespace_size('pg_default')")
            standby, size = cursor.fetchone()
            if standby:
                raise RuntimeError(f"{host}:{port} is not the primary")
            return size * 11 // 10 + ROOM_FOR_LOG
    finally:
        connection.close()


def room(directory):
    there = os.statvfs(os.path.dirname(directory))
    return there.f_bavail * there.f_frsize


def megabytes(size):
    return f"{size >> 20} MB"


def before_copy(directory):
    """Where data lies that the primary has, too, until the copy of the primary is there."""
    return f"{directory}.before-copy"


def kept_aside(directory):
    return sorted(glob.glob(glob.escape(directory) + ".set-aside-*"))


def aside_hint(directory):
    return "".join(f"; move {one} elsewhere, or delete it" for one in kept_aside(directory))


def set_aside(directory, why):
    older = kept_aside(directory)
    place = f"{directory}.set-aside-{time.strftime('%Y-%m-%dT%H-%M-%SZ', time.gmtime())}"
    os.rename(directory, place)
    say(
        f"{why}: it is set aside at {place}. It may hold transactions that no other member has. "
        "docs/operate.md says how to look into it; delete it when you need it no more"
    )
    for one in older:
        shutil.rmtree(one)
        say(f"{one}, which was set aside earlier, made place for it and is deleted")


def rewind(words):
    config = Config("patroni.yml")
    command = [program(config, "pg_rewind"), *words]
    if "-D" not in words:
        os.execv(command[0], command)
    directory = words[words.index("-D") + 1]
    source = words[words.index("--source-server") + 1]
    wait_for_room_to_rewind(directory)
    # Most of what can go wrong shows before anything is changed, so that whole data is set aside.
    # What was not shut down well cannot be tried
    clean = control(config, directory).get("Database cluster state", "").startswith("shut down")
    code = (clean and run([*command, "--dry-run"])) or run(command)
    if code != 0 and is_primary(source):
        set_aside(directory, "this member's data has diverged, and pg_rewind could not mend it")
    return code


def wait_for_room_to_rewind(directory):
    """A full disk may be why this member lost its place. pg_rewind would fail, and whole data be set aside."""
    if room(directory) < ROOM_FOR_REWIND:
        say(f"no room: pg_rewind waits until {megabytes(ROOM_FOR_REWIND)} are free{aside_hint(directory)}")
    while room(directory) < ROOM_FOR_REWIND:
        time.sleep(LOOK_SECONDS)


def is_primary(source):
    try:
        connection = psycopg2.connect(source, connect_timeout=3)
    except psycopg2.Error:
        return False
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT NOT pg_is_in_recovery()")
            return cursor.fetchone()[0]
    finally:
        connection.close()


def copy(words):
    options = dict(word.lstrip("-").split("=", 1) for word in words)
    directory, source = options["datadir"], options["connstring"]
    before = before_copy(directory)
    while True:
        try:
            clear_the_way(directory, before, source)
            break
        except OSError as error:
            # Patroni deletes what is there when this program fails
            say(f"{directory} cannot be moved, so that the primary is not copied: {error}")
            time.sleep(10)
    config = Config("patroni.yml")
    primary = psycopg2.extensions.parse_dsn(source)
    host, port = primary["host"], primary["port"]
    if not wait_for_room(config, directory, before, host, port):
        return 1
    say(f"copying the primary at {host}:{port}")
    # It would wait for the primary's next checkpoint, which took 95 s
    code = run([
        program(config, "pg_basebackup"), f"--pgdata={directory}", "--wal-method=stream",
        "--checkpoint=fast", f"--dbname={source}",
    ])
    if code == 0:
        shutil.rmtree(before, ignore_errors=True)
        for one in kept_aside(directory):
            say(f"the primary is copied; {one} is still there")
    else:
        # Patroni begins anew within a second
        time.sleep(5)
    return code


def clear_the_way(directory, before, source):
    """Moves away what is there: to `before` if the primary has all of it; that goes in the end."""
    if not os.path.isdir(directory) or not os.listdir(directory):
        return
    if os.path.exists(os.path.join(directory, "backup_label")):
        # A copy that never came so far as to stream
        shutil.rmtree(directory)
    elif has_no_more_than(source, directory):
        shutil.rmtree(before, ignore_errors=True)
        os.rename(directory, before)
    else:
        set_aside(directory, "this member's data is to be copied anew, and the primary may not have all of it")


def has_no_more_than(source, directory):
    """Whether the data is a standby's, and lies behind the primary on the primary's own history."""
    try:
        there = position(Config("patroni.yml"), directory)
        refusal = ask_for_log(source, *there) if there else DIVERGED
    except Exception as error:
        say(f"whether the primary has all of the data cannot be told: {error}")
        return False
    return refusal is None or GONE in refusal


def position(config, directory):
    """Timeline and place in the log that a standby has come to at least; None where it is none."""
    state = control(config, directory)
    if state.get("Database cluster state") not in ("in archive recovery", "shut down in recovery"):
        return None
    timeline = int(state["Min recovery ending loc's timeline"])
    return (timeline, state["Minimum recovery ending location"]) if timeline else None


def wait_for_room(config, directory, before, host, port):
    """Whether there is room for a copy. Without, waits a minute for it: Patroni asks again."""
    try:
        wanted = room_wanted(config, host, port)
    except psycopg2.Error as error:
        say(f"how large the primary is could not be asked, so that it is copied all the same: {error}")
        return True
    if room(directory) < wanted and os.path.exists(before):
        say("there is no room for a copy beside the data before, which the primary has too: that goes")
        shutil.rmtree(before)
    there = room(directory)
    if there >= wanted:
        return True
    need = f"a copy needs {megabytes(wanted)}, and {megabytes(there)} are free"
    say(f"no room: {need}{aside_hint(directory)}")
    end = time.monotonic() + 60
    while time.monotonic() < end and room(directory) < wanted:
        time.sleep(LOOK_SECONDS)
    return room(directory) >= wanted


class Patroni:
    """Patroni's REST API, with the member's own name and password."""

    def __init__(self, config):
        scheme = "https" if config["restapi"].get("certfile") else "http"
        self.own = f"{scheme}://{config['restapi']['connect_address']}"
        self._request = PatroniRequest(config)

    def call(self, method, url):
        return self._request.request(method, url, timeout=5, retries=False)

    def get(self, path):
        return self.call("GET", f"{self.own}/{path}").json()


def watch():
    since = told = None
    while True:
        time.sleep(ROUND_SECONDS)
        config = Config("patroni.yml")
        patroni = Patroni(config)
        try:
            state = patroni.get("patroni")
            if state.get("replication_state") == "streaming":
                # Of a copy that was cut off at its very end
                shutil.rmtree(before_copy(config["postgresql"]["data_dir"]), ignore_errors=True)
            if is_running_primary(state):
                drop_lost_slots(config)
            if not stands_still(state):
                since = told = None
                continue
        except Exception:
            # Patroni starts, or its supervisor says why it does not
            since = None
            continue
        since = since or time.monotonic()
        if time.monotonic() - since < PATIENCE_SECONDS:
            continue
        try:
            seen, asked = heal(config, patroni)
        except Exception as error:
            seen, asked = f"the standby stands still: {error}".strip(), False
        if seen != told:
            say(seen)
        told = seen
        if asked:
            since = told = None
            time.sleep(REST_SECONDS)


def is_running_primary(state):
    """Whether this member is the primary, while Patroni decides by itself."""
    return (
        state.get("role") in ("primary", "master")
        and state.get("state") == "running"
        and not state.get("pause")
    )


def drop_lost_slots(config):
    """
    A standby that was away for too long has lost its slot. It could stream by it again, and yet no log
    would ever be kept for it. Patroni makes the slot anew once it is gone. Where the standby is back already
    its stream is cut first, since a slot in use cannot go; it comes back within seconds.
    """
    connection = psycopg2.connect(
        dbname="postgres", user="postgres", connect_timeout=5,
        host=config["postgresql"]["parameters"]["unix_socket_directories"],
        port=config["postgresql"]["connect_address"].rsplit(":", 1)[1],
    )
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT slot_name, pg_terminate_backend(active_pid) FROM pg_replication_slots"
                " WHERE slot_type = 'physical' AND invalidation_reason = 'wal_removed'"
            )
            for name, _ in cursor.fetchall():
                if drop_slot(cursor, name):
                    say(f"the slot {name} is dropped: its standby was away for longer than log is kept for it")
    finally:
        connection.close()


def drop_slot(cursor, name):
    """Whether it is gone. Asked without a pause: a stream that was cut is back within some 20 ms."""
    end = time.monotonic() + 1
    while time.monotonic() < end:
        cursor.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
            " WHERE slot_name = %s AND NOT active", (name,)
        )
        if cursor.rowcount > 0:
            return True
    return False


def stands_still(state):
    """Whether this member is a standby that nothing comes to, while Patroni decides by itself."""
    return (
        state.get("role") == "replica"
        and state.get("state") == "running"
        and state.get("replication_state") != "streaming"
        and not any(state.get(key) for key in ("pause", "cluster_unlocked", "failsafe_mode_is_active"))
    )


def heal(config, patroni):
    """Has this standby copied anew if it cannot get on. Returns what is to be told, and whether."""
    leaders = [one for one in patroni.get("cluster")["members"] if one["role"] == "leader"]
    healthy = leaders and leaders[0]["state"] == "running"
    if not healthy or not is_leader(patroni, leaders[0]["api_url"]):
        return "the standby stands still, and there is no healthy primary to copy", False
    host, port = leaders[0]["host"], leaders[0]["port"]
    directory = config["postgresql"]["data_dir"]
    wanted = room_wanted(config, host, port)
    there = position(config, directory)
    source = login(config, "replication", host, port)
    refusal = (there and ask_for_log(source, *there)) or ""
    why = next((meaning for words, meaning in MEANING.items() if words in refusal), None)
    if why is None:
        return f"the standby stands still, and no copy would help: {refusal or 'it can go on'}", False
    if room(directory) < wanted:
        need = f"{megabytes(wanted)} are wanted, {megabytes(room(directory))} are free"
        return f"the standby stands still: {why}. There is no room for a copy: {need}", False
    answer = patroni.call("POST", f"{patroni.own}/reinitialize")
    text = answer.data.decode()
    if answer.status != 200:
        return f"the standby stands still: {why}. Patroni does not copy it anew: {text}", False
    return f"the standby is copied anew: {why} ({refusal.splitlines()[0]})", True


def is_leader(patroni, url):
    return patroni.call("GET", url.rsplit("/", 1)[0] + "/primary").status == 200


def main(verb, words):
    try:
        return {"rewind": rewind, "copy": copy, "watch": lambda _: watch()}[verb](words)
    except Ended:
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))

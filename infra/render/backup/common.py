"""
What every part of the machine with the role backup stands on: its settings, its directories, state that
survives a kill at any moment, programs that end with the one that ran them, and SQL.
"""
import collections
import ctypes
import datetime
import functools
import json
import os
import pwd
import re
import signal
import subprocess
import sys

# Where backup.json lies; programs lie in a folder of it
FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
POSTGRES = "postgres"
# Name: owner, group, and mode. In `state` nobody can put a file in the place of root's (sticky bit)
DIRECTORIES = {
    "repository": (POSTGRES, POSTGRES, 0o700),
    "files-repository": ("root", "root", 0o700),
    "spool": (POSTGRES, POSTGRES, 0o700),
    "control": (POSTGRES, POSTGRES, 0o700),
    "copy": (POSTGRES, POSTGRES, 0o700),
    "restored": (POSTGRES, POSTGRES, 0o700),
    "drill": (POSTGRES, POSTGRES, 0o700),
    "requests": ("root", "root", 0o700),
    "state": ("root", POSTGRES, 0o1775),
    "state/requests": ("root", "root", 0o755),
    "ticks": ("root", POSTGRES, 0o750),
    "witness": ("root", "root", 0o700),
}
# Between columns, and for NULL, in what psql prints
COLUMN, NULL = "\x1f", "\x1e"
SAID_LIMIT = 300
# SQL: the timeline of what is written now. That of the last checkpoint is older for a while after a failover
TIMELINE = "('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int"
# pgBackRest leaves out a file of the first name: in a backup it has the second
LABEL, KEPT_LABEL = "backup_label", "hastack_backup_label"
# Besides a tenth of a database, for the log that comes with it
ROOM_FOR_LOG = 512 << 20

Ran = collections.namedtuple("Ran", "code out err")


class Failed(Exception):
    """Something did not work; the text is one line for people."""


def say(text):
    print(text, file=sys.stderr, flush=True)


@functools.cache
def settings():
    """What backup.json says."""
    with open(os.path.join(FOLDER, "backup.json"), encoding="utf-8") as file:
        return json.load(file)


def place(*names):
    """A path in the directory of the backups."""
    return os.path.join(os.environ.get("HASTACK_BACKUP_STATE", "/var/lib/hastack-backup"), *names)


def make_directories():
    """For root: makes what is missing, and sets owners and modes."""
    os.makedirs(place(), exist_ok=True)
    os.chmod(place(), 0o755)
    for name, (user, group, mode) in DIRECTORIES.items():
        path = place(name)
        os.makedirs(path, exist_ok=True)
        os.chown(path, pwd.getpwnam(user).pw_uid, pwd.getpwnam(group).pw_gid)
        os.chmod(path, mode)


def read_json(path, default=None):
    """What a file holds; `default` where there is none, or no JSON in it."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return default


def write_json(path, value, mode=0o644):
    """Writes a file whole or not at all, whatever happens meanwhile."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n", mode)


def write_text(path, text, mode=0o644, owner=None):
    """
    The same for text.
    @param owner a user that gets the file, where root writes it @default who writes it
    """
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.new")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        os.fchmod(handle, mode)
        if owner and os.geteuid() == 0:
            os.fchown(handle, pwd.getpwnam(owner).pw_uid, pwd.getpwnam(owner).pw_gid)
        file.write(text)
        file.flush()
        os.fsync(handle)
    os.rename(temporary, path)
    sync(folder)


def sync(path):
    """Has a file or directory survive a loss of power."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def now():
    """Now, with its zone."""
    return datetime.datetime.now(datetime.UTC)


def at(seconds):
    """The moment that is this many seconds after 1970."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def iso(time):
    """A moment as text, in UTC."""
    return time.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def moment(text):
    """The moment that a text means. Fails where it has no zone."""
    try:
        time = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise Failed(f"'{text}' is no time: write it like 2026-01-31T12:00:00Z") from None
    if time.tzinfo is None:
        raise Failed(f"'{text}' has no zone: write it like 2026-01-31T12:00:00Z")
    return time.astimezone(datetime.UTC)


def one_line(text, limit=SAID_LIMIT):
    """The text without line breaks, cut to a length."""
    line = re.sub(r"\s+", " ", text).strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"


def prepare(user):
    """
    What a program's process does before it begins: becomes the user, and has itself killed once the one
    that ran it is gone, so that a process that starts anew finds none of its predecessor's at work.
    """
    entry = pwd.getpwnam(user) if user and os.geteuid() == 0 else None
    groups = os.getgrouplist(user, entry.pw_gid) if entry else []
    library = ctypes.CDLL(None)

    def become():
        # It is still this program, and has its handlers
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        if entry:
            os.setgroups(groups)
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
        library.prctl(1, signal.SIGKILL)

    return become


def environment(env=None):
    """All that a program is given of this process's environment, and more."""
    own = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": "/",
    }
    given = {name: os.environ[name] for name in ("HASTACK_BACKUP_STATE",) if name in os.environ}
    return {**own, **given, **(env or {})}


def run(words, *, user=None, env=None, input=None, seconds=None, cwd=None, check=True):
    """
    Runs a program to its end.
    @param user whom it runs as, where this is root @default the user that this runs as
    @param env further variables of its environment @default none
    @param input text for its standard input @default none
    @param seconds after which it is killed @default it may take as long as it wants
    @param check whether an exit code other than 0 fails, with one line of what it said
    @return exit code, and what it printed on both outputs
    """
    name = os.path.basename(words[0])
    given = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
    try:
        done = subprocess.run(
            words, env=environment(env), capture_output=True, timeout=seconds, cwd=cwd or "/",
            preexec_fn=prepare(user), encoding="utf-8", errors="surrogateescape", **given,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"{name} did not end within {seconds} s") from None
    if check and done.returncode != 0:
        said = one_line(done.stderr or done.stdout) or f"ended with {done.returncode}"
        raise Failed(said if said.startswith(f"{name}:") else f"{name}: {said}")
    return Ran(done.returncode, done.stdout, done.stderr)


def bin(name):
    """The path of one of PostgreSQL's programs."""
    return f"/usr/lib/postgresql/17/bin/{name}"


def free(path):
    """Bytes that are free on the disk of a path."""
    there = os.statvfs(path)
    return there.f_bavail * there.f_frsize


def assert_room(size, path, what, advice):
    """Fails where the disk of a path has no room for a database of this many bytes, as `what needs so much in path`."""
    wanted, there = size * 11 // 10 + ROOM_FOR_LOG, free(path)
    if there < wanted:
        raise Failed(f"no room: {what} needs {wanted >> 20} MB in {path}, and {there >> 20} MB are free; {advice}")


def conninfo(where="primary", database=None, **more):
    """
    How libpq reaches the database.
    @param where `primary` or `replicas`: the load balancers' listeners
    @param database @default the application's
    """
    given = settings()
    host, _, port = given[where].rpartition(":")
    words = {
        "host": host.strip("[]"), "port": port, "user": "keeper", "dbname": database or given["database"],
        "connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
        "tcp_user_timeout": 30000, **given.get("connection", {}), **more,
    }
    return " ".join(f"{name}={quoted(value)}" for name, value in words.items())


def quoted(value):
    text = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"


def query(sql, *, where="primary", database=None, seconds=30):
    """
    Runs SQL as keeper; several statements are several transactions.
    @return rows, each a list of texts, None for NULL
    """
    words = [
        bin("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-F", COLUMN, "-P", f"null={NULL}",
        "-d", conninfo(where, database),
    ]
    said = run(words, user=POSTGRES, seconds=seconds, input=sql).out
    rows = [line.split(COLUMN) for line in said.split("\n") if line]
    return [[None if one == NULL else one for one in row] for row in rows]


def progress(text):
    """What is being done now; the keeper shows it in its own way."""
    say(text)

"""
What every part of the machine with the role backup stands on: its settings, its directories, state that
survives a kill at any moment, and programs that run as PostgreSQL's user and end with the one that ran them.
"""
import datetime
import json
import os
import pwd
import re
import subprocess
import sys
import time

DIRECTORY = "/var/lib/hastack-backup"
POSTGRES = "postgres"
PROGRAMS = "/usr/lib/postgresql/17/bin"
# Name: owner and mode. Root's own files in `state` are safe from others by its sticky bit
DIRECTORIES = {
    "repository": (POSTGRES, 0o700),
    "files-repository": ("root", 0o700),
    "spool": (POSTGRES, 0o700),
    "control": (POSTGRES, 0o700),
    "copy": (POSTGRES, 0o700),
    "restored": (POSTGRES, 0o700),
    "drill": (POSTGRES, 0o700),
    "requests": ("root", 0o700),
    "state": ("root:postgres", 0o1775),
    "state/requests": ("root", 0o755),
    "ticks": ("root:postgres", 0o750),
    "witness": ("root", 0o700),
}


class Failed(Exception):
    """Something did not work; its text is one line for people."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def settings(path="backup.json"):
    """What backup.json says, in the folder that the process runs in."""
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def place(*names):
    """A path in the directory of the backups."""
    return os.path.join(DIRECTORY, *names)


def make_directories():
    """For root: makes what is missing, and sets owners and modes."""
    os.makedirs(DIRECTORY, mode=0o755, exist_ok=True)
    for name, (owners, mode) in DIRECTORIES.items():
        user, _, group = owners.partition(":")
        path = place(name)
        os.makedirs(path, exist_ok=True)
        os.chown(path, pwd.getpwnam(user).pw_uid, pwd.getpwnam(group or user).pw_gid)
        os.chmod(path, mode)


def read_json(path, otherwise=None):
    """What a file holds; `otherwise` where there is none, or a torn one."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return otherwise


def write_json(path, value, mode=0o644):
    """Writes a file whole or not at all, whatever happens meanwhile."""
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{os.getpid()}")
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)
        file.write("\n")
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    os.rename(temporary, path)
    sync_directory(folder)


def sync_directory(path):
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def iso(seconds=None):
    """A time of the clock as text, in UTC. @default now"""
    moment = datetime.datetime.fromtimestamp(time.time() if seconds is None else seconds, datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def seconds_of(text):
    """The seconds since 1970 of an ISO time with a zone. Fails where the zone is missing."""
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise Failed(f"'{text}' is no time; write one like 2026-01-31T12:00:00Z") from None
    if moment.tzinfo is None:
        raise Failed(f"'{text}' has no zone; write one like 2026-01-31T12:00:00Z")
    return moment.timestamp()


def one_line(text, limit=300):
    """The text without line breaks, cut to a length."""
    line = re.sub(r"\s+", " ", text).strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"


def as_user(words, user=POSTGRES):
    """
    The words of a program that runs as this user. It is killed when the one that runs it dies, so that a
    process that starts anew finds none of its predecessor's programs at work.
    """
    change = []
    if os.geteuid() != pwd.getpwnam(user).pw_uid:
        change = [f"--reuid={user}", f"--regid={user}", "--init-groups"]
    return ["setpriv", "--pdeathsig=KILL", *change, "--", *words]


def environment(more=None):
    """What programs are given: nothing of the process's own but this."""
    return {
        "PATH": f"{PROGRAMS}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "HOME": "/var/lib/postgresql",
        **(more or {}),
    }


def run(words, user=POSTGRES, timeout=60, text=None, more=None, cwd=None, name=None):
    """
    Runs a program to its end.
    @param timeout seconds; None: it may take as long as it wants
    @param text its standard input @default none
    @param more further variables of its environment
    @param name what errors call it @default the program's name
    @return what it printed
    Fails with one line that says what it said.
    """
    name = name or os.path.basename(words[0])
    with subprocess.Popen(
        as_user(words, user), stdin=subprocess.PIPE if text is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", errors="replace",
        env=environment(more), cwd=cwd or "/",
    ) as child:
        try:
            printed, said = child.communicate(text, timeout)
        except subprocess.TimeoutExpired:
            child.kill()
            raise Failed(f"{name} did not end within {timeout} s") from None
        except BaseException:
            child.kill()
            raise
    if child.returncode != 0:
        raise Failed(f"{name}: {one_line(said or printed) or f'ended with {child.returncode}'}")
    return printed


def conninfo(config, where, **more):
    """
    How libpq reaches the database.
    @param where `primary` or `replicas`: the load balancers' listeners
    """
    host, _, port = config[where].rpartition(":")
    words = {
        "host": host.strip("[]"), "port": port, "user": "keeper", "dbname": config["database"],
        "connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
        "tcp_user_timeout": 30000, **config.get("connection", {}), **more,
    }
    return " ".join(f"{name}={quoted(value)}" for name, value in words.items())


def quoted(value):
    text = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"


def sql(config, statements, where="primary", timeout=15, **more):
    """
    Runs SQL as keeper.
    @return rows, each a list of texts
    """
    words = ["psql", "-XAtq", "-F", "\x1f", "-v", "ON_ERROR_STOP=1", "-d", conninfo(config, where, **more)]
    printed = run(words, text=statements, timeout=timeout)
    return [line.split("\x1f") for line in printed.splitlines()]

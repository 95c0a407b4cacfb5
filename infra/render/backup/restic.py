"""restic, called for one repository of files at a time. Root runs it: it reads what others own."""
import contextlib
import fcntl
import json
import os
import subprocess
import threading
import time

import answers
from common import FOLDER, Failed, environment, one_line, place, prepare, read_json, run

# restic's own words for why it ended
NO_REPOSITORY, LOCKED, WRONG_PASSWORD = 10, 11, 12
INCOMPLETE = 3
# What ssh says before restic says that it could not begin
OF_SSH = (
    ("Host key verification failed", "the server has another host key than hastack:backup.sftp.hostKey"),
    ("Permission denied (publickey", "the server refuses the login: see hastack:backup.sftp.user and hastack:backupSftpKey"),
)
TAG = "hastack"
HUNG_SECONDS = 600
# restic itself tries for a quarter of an hour
REACH_SECONDS = 30


def repositories():
    """{name: what repositories.json says of it}. Fails where there are none."""
    known = read_json(os.path.join(FOLDER, "repositories.json"))
    if not known:
        raise Failed("repositories.json cannot be read, so that no repository of files is known")
    return {one["name"]: one for one in known}


def cache(*names):
    """A path in the directory of what restic can make anew; it may hold names of files."""
    os.makedirs(place("files-cache"), mode=0o700, exist_ok=True)
    return place("files-cache", *names)


def words(repository, *more):
    known = repositories()[repository]
    return ["restic", *known.get("options", []), "--repo", known["repository"], *more]


def secrets(repository):
    known = repositories()[repository]
    return {
        **known.get("environment", {}), "RESTIC_PASSWORD": known["password"], "RESTIC_CACHE_DIR": cache(),
        # How often it tells how far it is
        "RESTIC_PROGRESS_FPS": "0.1",
    }


@contextlib.contextmanager
def alone():
    """While this is held nobody else on this machine reads or writes a repository of files."""
    with open(cache("lock"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def call(repository, *more, seconds=None):
    """Runs restic to its end. @return what it printed. Fails with one line, which begins with the repository's name"""
    try:
        done = run(words(repository, *more), env=secrets(repository), seconds=seconds, check=False)
    except Failed as failure:
        why = f"{repository}: it does not answer: {failure}"
        answers.failed(repository, why)
        raise Failed(why) from None
    if done.code != 0:
        raise failed(repository, done.code, done.err)
    return done.out


class NoRepository(Failed):
    """There is nothing of restic's in the place."""


class Locked(Failed):
    """Another process has the repository, or had it when it was killed."""


def failed(repository, code, said):
    kind = {NO_REPOSITORY: NoRepository, LOCKED: Locked}.get(code, Failed)
    return kind(f"{repository}: {reason(code, said)}")


def reason(code, said):
    if code == NO_REPOSITORY:
        return "there is no repository of files in it"
    if code == WRONG_PASSWORD:
        return "the repository of files cannot be opened with this encryption key"
    if code == LOCKED:
        return f"the repository of files is locked: {one_line(said, 200)}"
    for pattern, meaning in OF_SSH:
        if pattern in said:
            return meaning
    lines = [plain(line) for line in said.splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith("Fatal:")]
    return one_line((fatal or lines or [f"restic ended with {code}"])[-1].removeprefix("Fatal: "), 250)


def plain(line):
    """With --json restic tells why it ended in JSON, too."""
    try:
        return str(json.loads(line).get("message", line))
    except (ValueError, AttributeError):
        return line


def reach(repository):
    """Makes the repository where there is none. Fails where it is away or has another key."""
    try:
        call(repository, "cat", "config", "--no-lock", seconds=REACH_SECONDS)
    except NoRepository:
        call(repository, "init", seconds=60)


def call_alone(repository, *more):
    """The same as `call` for whoever is alone here: locks of processes that were killed are removed where they hinder."""
    try:
        return call(repository, *more)
    except Locked:
        unlock(repository)
        return call(repository, *more)


def unlock(repository):
    """
    Removes locks that are stale, and all of this machine: whoever calls this is alone here.
    Others' locks stay, and are told by what comes next.
    """
    call(repository, "unlock", seconds=120)
    locks = call(repository, "list", "locks", "--no-lock", seconds=120).split()
    owners = {json.loads(call(repository, "cat", "lock", one, "--no-lock", seconds=60)).get("hostname") for one in locks}
    if owners == {os.uname().nodename}:
        call(repository, "unlock", "--remove-all", seconds=120)


def snapshots(repository):
    """The snapshots of the shared directories, the newest first."""
    found = json.loads(call(repository, "snapshots", "--tag", TAG, "--no-lock", "--json", seconds=300)) or []
    return sorted(found, key=lambda one: one["time"], reverse=True)


@contextlib.contextmanager
def stream(repository, *more):
    """What restic prints, as bytes, while it runs. Fails where it does not end well, unless the reader left before."""
    with open(cache("said"), "w+b") as said:
        restic = subprocess.Popen(
            ["nice", "-n", "10", *words(repository, *more)], env=environment(secrets(repository)), cwd="/",
            preexec_fn=prepare(None), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said,
        )
        watch = Watch(restic)
        try:
            yield watch
            if restic.stdout.read(1) == b"":
                code = restic.wait()
                if watch.hung:
                    raise Failed(f"{repository}: restic got no further for {HUNG_SECONDS} s, and was ended")
                if code not in (0, INCOMPLETE):
                    said.seek(0)
                    raise failed(repository, code, said.read().decode(errors="replace"))
        finally:
            watch.end()
            restic.kill()
            restic.wait()
            restic.stdout.close()


class Reader:
    """What a program prints, each piece of which is told."""

    def __init__(self, out, moved):
        self._out, self._moved = out, moved

    def read(self, size=-1):
        found = self._out.read(size)
        self._moved()
        return found

    def __iter__(self):
        for line in self._out:
            self._moved()
            yield line


class Watch:
    """
    Ends a program that gets no further: a repository or a store may hang for good. What comes of `content` is
    progress; of `out` only what `moved` is called for.
    """

    def __init__(self, process):
        self.out = process.stdout
        self.content = Reader(process.stdout, self.moved)
        self.hung = False
        self._process = process
        self._moved = time.monotonic()
        self._ended = threading.Event()
        threading.Thread(target=self._look, daemon=True).start()

    def moved(self):
        self._moved = time.monotonic()

    def end(self):
        self._ended.set()

    def _look(self):
        while not self._ended.wait(5):
            if time.monotonic() - self._moved > HUNG_SECONDS:
                self.hung = True
                self._process.kill()
                return

"""
pgBackRest, called for one repository at a time, so that one that is away holds up none of the others.
A lineage is one history of the database; it has a stanza of its own.
"""
import configparser
import json
import os
import re
import time

import answers
from common import (
    FOLDER, POSTGRES, Failed, at, moment, one_line, place, read_json, run, settings, write_text,
)

PASSED = "passed"
STANZA = re.compile(r"hastack-(\d+)")
# Another command of pgBackRest at the same stanza
LOCKED, LOCK_SECONDS = "unable to acquire lock", 60
PATIENCE_SECONDS = 120
# Every file below a path: over SFTP each is a call of its own. pgBackRest itself ends where nothing comes any more
ALL_SECONDS = 3600
# A small text, or the names in one folder, take no time at all
SMALL_SECONDS = 30
# What `info` calls a stanza that it could not read
UNREADABLE = 99
# One-line reasons for what pgBackRest says in its own words; the first that is found counts
MEANING = (
    (r"did not end within (\d+) s", r"it does not answer (for \1 s)"),
    (r"unable to get address for '([^']+)'", r"the name \1 cannot be resolved"),
    (r"timeout connecting to '([^']+)'", r"\1 does not answer"),
    (r"unable to connect to '([^']+)'", r"\1 does not answer"),
    (r"No space left on device", "the disk is full"),
    (r"timeout after \d+ms waiting for (?:read|write)|TLS error|remote end closed", "the server does not answer"),
    # What is decrypted with another key is no text, mostly without an error of the cipher
    (r"CryptoError|FormatError: key/value found outside of section", "what is in it is encrypted with another key"),
    (r"mismatch in known hosts", "the server has another host key than hastack:backup.sftp.hostKey"),
    (r"public key authentication failed", "the server refuses the login: see hastack:backup.sftp.user and hastack:backupSftpKey"),
    (r"AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch", "the store refuses the key: see hastack:backup.s3.keyId and hastack:backupS3Secret"),
    (r"unable to load info file", "there is no stanza in it"),
)


def stanza(lineage):
    """The stanza of a lineage, which is a number from 1 on."""
    return f"hastack-{lineage}"


def spool(lineage):
    """Where WAL of a lineage lies until every repository has it."""
    return place("spool", stanza(lineage))


def in_spool(lineage):
    """{name: path} of the files of a lineage in the spool, those included that nothing comes after any more."""
    found = {}
    # Files move from the first to the second
    for folder in (spool(lineage), passed(lineage)):
        try:
            found.update({name: os.path.join(folder, name) for name in os.listdir(folder)})
        except FileNotFoundError:
            continue
    found.pop(PASSED, None)
    return found


def passed(lineage):
    """Where whole segments wait for a repository, behind which WAL is gone: pg_receivewal must not see them."""
    return os.path.join(spool(lineage), PASSED)


def control(lineage):
    """A directory with the control file of a lineage's database: what archive-push wants to see."""
    return place("control", stanza(lineage))


def lineage():
    """The lineage that is recorded now; 0 before the first."""
    return (read_json(place("state", "lineage.json")) or {}).get("lineage", 0)


def repositories():
    """The names of the repositories, in the order of pgBackRest's numbers."""
    return settings()["repositories"]


def alone(repository):
    """
    Writes a configuration that knows one repository alone, as its first.
    @return its path; it holds secrets, and only PostgreSQL's user may read it
    """
    number = repositories().index(repository) + 1
    given = configparser.RawConfigParser(delimiters=("=",), interpolation=None, strict=False)
    given.optionxform = str
    with open(os.path.join(FOLDER, "pgbackrest.conf"), encoding="utf-8") as file:
        given.read_file(file)
    lines = []
    for section in given.sections():
        lines.append(f"[{section}]")
        for name, value in given.items(section):
            if name.startswith(f"repo{number}-"):
                lines.append(f"repo1-{name.partition('-')[2]}={value}")
            elif not re.match(r"repo\d+-", name):
                lines.append(f"{name}={value}")
    text = "\n".join(lines) + "\n"
    path = place("control", f"{repository}.conf")
    try:
        with open(path, encoding="utf-8") as file:
            if file.read() == text:
                return path
    except OSError:
        pass
    write_text(path, text, 0o600, POSTGRES)
    return path


def command(lineage, name, *words, pg1=None, repo=None, separate=None):
    """
    The words of a command of pgBackRest.
    @param lineage whose stanza is meant; None: of none
    @param name the command
    @param pg1 the data directory @default none
    @param repo a repository's name @default all of them
    @param separate a name for locks of its own, so that it waits for nothing else @default the common locks
    """
    path = alone(repo) if repo else os.path.join(FOLDER, "pgbackrest.conf")
    own = [
        f"--config={path}", "--io-timeout=20", "--log-level-file=off", "--log-level-console=off",
        "--log-level-stderr=error",
    ]
    if lineage is not None:
        own.append(f"--stanza={stanza(lineage)}")
    if pg1:
        own.append(f"--pg1-path={pg1}")
    if name not in ("repo-ls", "repo-rm", "repo-put", "repo-get", "info", "verify"):
        own.append(f"--lock-path={place('control', separate or 'lock')}")
    return ["pgbackrest", *own, name, *words]


def call(lineage, name, *words, pg1=None, repo=None, seconds=PATIENCE_SECONDS, input=None, tries=False):
    """
    Runs a command of pgBackRest for one repository, as `command` says.
    @param seconds after which it is killed @default two minutes; None: never
    @param input text for its standard input @default none
    @param tries whether a repository is asked that did not answer just now @default it is not
    @return what it printed. Fails with one line, which begins with the repository's name
    """
    why = None if tries else answers.away(repo)
    if why:
        raise Failed(why)
    whole = command(lineage, name, *words, pg1=pg1, repo=repo)
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            said = run(whole, user=POSTGRES, seconds=seconds, input=input).out
            answers.came(repo)
            return said
        except Failed as failure:
            # WAL that comes first makes the stanza, just when a backup begins
            if LOCKED not in str(failure) or time.monotonic() > end:
                why = f"{repo}: {reason(str(failure))}"
                answers.failed(repo, why)
                raise Failed(why) from None
        time.sleep(1)


def reason(text):
    """One clear line for what pgBackRest said."""
    for pattern, meaning in MEANING:
        found = re.search(pattern, text, re.IGNORECASE)
        if found:
            return found.expand(meaning)
    error = re.search(r"ERROR: (.*)", text)
    line = error.group(1) if error else re.sub(r"^pgbackrest: ", "", text)
    return one_line(re.split(r" HINT:| \[RETRY| ASSERT:", line)[0], 200)


def ls(repository, path="", recurse=False):
    """What lies in a repository: {name: {"type", "size", "time"}}; empty where there is no such path."""
    words = ["--output=json", *(["--recurse"] if recurse else []), *([path] if path else [])]
    seconds = ALL_SECONDS if recurse else SMALL_SECONDS
    found = json.loads(call(None, "repo-ls", *words, repo=repository, seconds=seconds) or "{}")
    return {name: one for name, one in found.items() if name != "."}


def rm(repository, path, recurse=False):
    """Removes a file, or with `recurse` a path and all below it, from a repository."""
    seconds = ALL_SECONDS if recurse else PATIENCE_SECONDS
    call(None, "repo-rm", *(["--recurse"] if recurse else []), path, repo=repository, seconds=seconds)


def put(repository, path, text):
    """Stores a small text that is no secret."""
    call(None, "repo-put", "--raw", path, repo=repository, input=text, seconds=SMALL_SECONDS)


def read(repository, path):
    """A text that `put` stored."""
    return call(None, "repo-get", "--raw", path, repo=repository)


def create(repository, lineage):
    """Makes the stanza of a lineage in a repository; harmless where it is there."""
    call(lineage, "stanza-create", "--no-online", pg1=control(lineage), repo=repository)


def push(repository, lineage, file):
    """Stores one WAL segment or history file in a repository; harmless where it is there."""
    call(lineage, "archive-push", file, pg1=control(lineage), repo=repository, tries=True)


def lineages():
    """The lineages that there are in any repository that answers, the oldest first."""
    found = {one for repository in repositories() for one in numbers(repository)}
    return sorted(found)


def numbers(repository):
    """The lineages of one repository; none where it is away."""
    try:
        return numbers_in(repository)
    except Failed:
        return []


def numbers_in(repository):
    """The same. Fails where it is away."""
    names = [name for kind in ("archive", "backup") for name in ls(repository, kind)]
    return sorted({int(one.group(1)) for one in map(STANZA.fullmatch, names) if one})


def backups_in(repository, lineage):
    """The backups of a lineage in one repository, the oldest first. Fails where it is away."""
    # With another key it ends well, and prints a line break inside of a text
    said = json.loads(call(lineage, "info", "--output=json", repo=repository), strict=False)
    for one in said:
        if one["status"]["code"] == UNREADABLE:
            why = " ".join(each["status"]["message"] for each in one.get("repo", []))
            raise Failed(f"{repository}: {reason(why or one['status']['message'])}")
    return [entry(one) for stanza in said for one in stanza.get("backup", []) if not one.get("error")]


def entry(one):
    """What is told of a backup: times, positions and sizes; those of the copy that it was made of."""
    notes = one.get("annotation") or {}
    stamps = one["timestamp"]
    return {
        "label": one["label"],
        "type": one["type"],
        "copy": notes.get("copy", one["label"]),
        "start": moment(notes["start"]) if "start" in notes else at(stamps["start"]),
        "stop": moment(notes["stop"]) if "stop" in notes else at(stamps["stop"]),
        "startLsn": notes.get("start-lsn"),
        "stopLsn": notes.get("stop-lsn"),
        "walStart": notes.get("wal-start"),
        "timeline": int(notes.get("timeline", 1)),
        "bytes": one["info"]["size"],
        "stored": one["info"]["repository"].get("delta", 0),
    }


def info(lineage):
    """
    The backups of a lineage, the oldest first: one for each copy, with `labels` {repository: label} and
    `repositories` {repository: bytes that it added there}. Repositories that are away are left out.
    """
    copies = {}
    for repository in repositories():
        try:
            found = backups_in(repository, lineage)
        except Failed:
            continue
        for one in found:
            stored = one.pop("stored")
            copy = copies.setdefault(one["copy"], {**one, "labels": {}, "repositories": {}})
            copy["labels"][repository] = one["label"]
            copy["repositories"][repository] = stored
    return {"backups": sorted(copies.values(), key=lambda one: one["stop"])}


def ranges():
    """The ranges of moments that can be restored, as the keeper has found them last."""
    known = (read_json(place("state", "backups.json")) or {}).get("ranges", [])
    return [{**one, "from": moment(one["from"]), "to": moment(one["to"])} for one in known]

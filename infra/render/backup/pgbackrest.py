"""
pgBackRest, called for one repository at a time, so that one that is away holds up none of the others.
A lineage is one history of the database; it has a stanza of its own.
"""
import configparser
import json
import os
import pwd
import re

from common import POSTGRES, Failed, one_line, place, read_json, run

PATIENCE_SECONDS = 120
# One-line reasons for what pgBackRest says in its own words; the first that is found counts
MEANING = (
    (r"unable to get address for '([^']+)'", r"the name \1 cannot be resolved"),
    (r"timeout connecting to '([^']+)'", r"\1 does not answer"),
    (r"unable to connect to '([^']+)'[^\n]*", r"\1 does not answer"),
    (r"No space left on device", "the disk is full"),
    (r"(?:Access ?Denied|InvalidAccessKeyId|SignatureDoesNotMatch)", "the store refuses the key"),
    (r"unable to load info file", "there is no stanza in it, or the encryption key is another"),
)


def stanza(lineage):
    """The stanza of a lineage, which is a number from 1 on."""
    return f"hastack-{lineage}"


def spool(lineage):
    """Where WAL of a lineage lies until every repository has it."""
    return place("spool", stanza(lineage))


def control(lineage):
    """A directory with the control file of a lineage's database: what archive-push wants to see."""
    return place("control", stanza(lineage))


def current():
    """The lineage that is recorded now; 0 before the first."""
    return (read_json(place("state", "lineage.json")) or {}).get("lineage", 0)


def one_repository(config, repository, path=None):
    """
    Writes a configuration that knows one repository alone, as its first.
    @return its path; it holds secrets, and only PostgreSQL's user may read it
    """
    number = config["repositories"].index(repository) + 1
    source = configparser.RawConfigParser(delimiters=("=",), interpolation=None)
    source.optionxform = str
    with open(path or os.path.abspath("pgbackrest.conf"), encoding="utf-8") as file:
        source.read_file(file)
    lines = []
    for section in source.sections():
        lines.append(f"[{section}]")
        for name, value in source.items(section):
            if name.startswith(f"repo{number}-"):
                lines.append(f"repo1-{name.partition('-')[2]}={value}")
            elif not re.match(r"repo\d+-", name):
                lines.append(f"{name}={value}")
    text = "\n".join(lines) + "\n"
    target = place("control", f"{repository}.conf")
    write_secret(target, text)
    return target


def write_secret(target, text):
    try:
        with open(target, encoding="utf-8") as file:
            if file.read() == text:
                return
    except OSError:
        pass
    temporary = f"{target}.{os.getpid()}"
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        if os.geteuid() == 0:
            user = pwd.getpwnam(POSTGRES)
            os.fchown(handle, user.pw_uid, user.pw_gid)
        file.write(text)
    os.rename(temporary, target)


def call(config, repository, command, *words, lineage=None, timeout=PATIENCE_SECONDS, level="warn"):
    """
    Runs one command of pgBackRest on one repository.
    @param words further options and arguments
    @param lineage whose stanza is meant @default none
    @return what it printed. Fails with one line
    """
    options = [
        f"--config={one_repository(config, repository)}", "--log-level-file=off",
        "--log-level-console=off", f"--log-level-stderr={level}", f"--lock-path={place('control', 'lock')}",
    ]
    if lineage is not None:
        options.append(f"--stanza={stanza(lineage)}")
    try:
        return run(["pgbackrest", *options, command, *words], timeout=timeout)
    except Failed as failure:
        raise Failed(f"{repository}: {reason(str(failure))}") from None


def reason(text):
    """One clear line for what pgBackRest said."""
    for pattern, meaning in MEANING:
        found = re.search(pattern, text, re.IGNORECASE)
        if found:
            return found.expand(meaning)
    text = re.sub(r"^pgbackrest: ", "", text)
    error = re.search(r"ERROR: (.*)", text)
    line = error.group(1) if error else text
    return one_line(re.split(r" HINT:| \[RETRY| ASSERT: ", line)[0], 200)


def info(config, repository):
    """What `info` says of a repository: a list, one entry for each stanza."""
    return json.loads(call(config, repository, "info", "--output=json"))


def ls(config, repository, path="", recurse=False):
    """What lies in a repository: {name: {"type", "size", "time"}}; empty where there is no such path."""
    words = ["--output=json", *(["--recurse"] if recurse else []), *([path] if path else [])]
    found = json.loads(call(config, repository, "repo-ls", *words) or "{}")
    return {name: one for name, one in found.items() if name != "."}


def rm(config, repository, path, recurse=False):
    """Removes a file, or with `recurse` a path and all below it, from a repository."""
    call(config, repository, "repo-rm", *(["--recurse"] if recurse else []), path)


def create(config, repository, lineage):
    """Makes the stanza of a lineage in a repository; harmless where it is there."""
    call(config, repository, "stanza-create", "--no-online", f"--pg1-path={control(lineage)}", lineage=lineage)


def push(config, repository, lineage, file):
    """Stores one WAL segment or history file in a repository; harmless where it is there."""
    call(
        config, repository, "archive-push", f"--pg1-path={control(lineage)}", file,
        lineage=lineage, level="error",
    )


def get(config, repository, lineage, name, target):
    """Brings one WAL segment or history file back. @return whether the repository has it"""
    try:
        call(
            config, repository, "archive-get", f"--pg1-path={control(lineage)}", name, target,
            lineage=lineage,
        )
    except Failed:
        if os.path.exists(target):
            raise
        return False
    return os.path.exists(target)

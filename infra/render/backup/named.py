"""
Files that rows of a database name: whether the shared directories have them, and where they are otherwise: in
the trash, or in a copy by restic.
"""
import collections
import json
import re
import tarfile

import common
import restic
from common import Failed, moment, say, settings
from session import copy_out
from stored import TRASH, InTheWay, Stored, parts

SHOWN = 20
# Up to so many files are read one by one; for more, the copy of the whole directory is read once
ONE_BY_ONE = 20

# Where a copy has a file: its path there, and what it is
Copy = collections.namedtuple("Copy", "path size mode uid gid mtime")
Entry = collections.namedtuple("Entry", "size mode uid gid mtime")


def names(conninfo):
    """(shared directory, path) of each file that a row names, as they come."""
    for shared, sql in settings().get("filesOfRows", {}).items():
        for path in copy_out(conninfo, sql):
            yield shared, path


def look(conninfo):
    """
    Looks for each row's file.
    @return {"named", "missing", "inTrash", "inBackup", "nowhere": some of them}, as state/restored.json has it
    """
    stored = stores()
    count, in_trash, missing = 0, 0, collections.defaultdict(set)
    for shared, path in names(conninfo):
        count += 1
        if stored[shared].has(path):
            continue
        if stored[shared].in_trash(path):
            in_trash += 1
        else:
            missing[shared].add(path)
    lost = sum(len(paths) for paths in missing.values())
    nowhere = sorted(f"{shared}/{path}" for shared, path in search(missing, lambda *_: None))
    return {
        "named": count, "missing": lost + in_trash, "inTrash": in_trash, "inBackup": lost - len(nowhere),
        "nowhere": nowhere[:SHOWN], "nowhereCount": len(nowhere),
    }


def stores():
    return {name: Stored(path) for name, path in settings()["shared"].items()}


def bring(conninfo):
    """
    Brings every row's file back that is not in its place, from the trash or else from the newest copy that has it.
    What is there already is left as it is. Safe to repeat.
    @return {"brought", "missing": some that are nowhere}
    """
    stored = stores()
    for one in stored.values():
        one.clean()
    brought, missing, hindered = 0, collections.defaultdict(set), []
    for shared, path in names(conninfo):
        if stored[shared].has(path):
            continue
        if came_from_trash(stored[shared], path):
            brought += 1
        else:
            missing[shared].add(path)
    lost = sum(len(paths) for paths in missing.values())
    common.progress(f"{brought} files came back from the trash; {lost} are looked for in the copies")

    def take(repository, snapshot, shared, found):
        for path in fetch(repository, snapshot, shared, found, stored[shared]):
            hindered.append((shared, path))
        common.progress(f"{len(found)} files were found in the copy of {snapshot['time']}")

    nowhere = sorted(f"{shared}/{path}" for shared, path in [*search(missing, take), *hindered])
    for one in stored.values():
        one.clean()
    return {"brought": brought + lost - len(nowhere), "missing": nowhere[:SHOWN], "missingCount": len(nowhere)}


def came_from_trash(stored, path):
    try:
        return stored.in_trash(path) and stored.from_trash(path)
    except InTheWay as failure:
        say(f"files: {path!r} cannot come back: {failure}")
        return False


def search(missing, take):
    """
    Looks for files in all copies, the newest first, until all are found.
    @param missing {shared directory: set of paths}
    @param take is called with what one copy has: repository, snapshot, shared directory, {path: Copy}
    @return (shared directory, path) of what no copy has. Fails where no repository can be read
    """
    left = {shared: set(paths) for shared, paths in missing.items() if paths}
    failures = []
    for repository in settings()["repositories"] if left else []:
        try:
            with restic.alone():
                search_in(repository, left, take)
            if not any(left.values()):
                return []
        except Failed as failure:
            say(f"files: {failure}")
            failures.append(str(failure))
    if failures:
        count = sum(len(paths) for paths in left.values())
        raise Failed(f"{count} files are not in their place, and not all copies can be read: {'; '.join(failures)}")
    return [(shared, path) for shared, paths in left.items() for path in paths]


def search_in(repository, left, take):
    """Looks in the copies of one repository, and takes what it finds from `left`."""
    for snapshot in restic.snapshots(repository):
        for shared in [one for one, paths in left.items() if paths]:
            found = listed(repository, snapshot, shared, left[shared])
            if found:
                take(repository, snapshot, shared, found)
                left[shared] -= found.keys()
        if not any(left.values()):
            return


def listed(repository, snapshot, shared, paths):
    """{path: Copy} of those files that a copy has, in their place or else in the trash."""
    root = settings()["shared"][shared]
    wanted = collections.defaultdict(list)
    for path in paths:
        names = parts(path)
        if names:
            wanted["/".join([root, *names])].append((path, True))
            wanted["/".join([root, TRASH, *names])].append((path, False))
    found = {}
    if root not in snapshot["paths"]:
        return found
    with restic.stream(repository, "ls", "--json", "--no-lock", "--recursive", snapshot["id"], root) as watch:
        for line in watch.content:
            node = json.loads(line)
            if node.get("type") != "file":
                continue
            for path, in_place in wanted.get(node["path"], ()):
                if in_place or path not in found:
                    found[path] = Copy(
                        node["path"], node.get("size", 0), node["mode"], node["uid"], node["gid"], moment(shortened(node["mtime"])).timestamp()
                    )
    return found


def shortened(text):
    """restic's time, whose fraction has nine digits, with six."""
    return re.sub(r"(\.\d{6})\d+", r"\1", text)


def fetch(repository, snapshot, shared, found, stored):
    """Puts the files that a copy has in their places. @return those that cannot get there"""
    hindered = []

    def put(path, content, entry):
        try:
            stored.put(path, content, entry)
        except InTheWay as failure:
            say(f"files: {path!r} cannot come back: {failure}")
            hindered.append(path)

    if len(found) <= ONE_BY_ONE:
        for path, one in found.items():
            with restic.stream(repository, "dump", "--no-lock", snapshot["id"], one.path) as watch:
                put(path, watch.content, Entry(*one[1:]))
        return hindered
    root = settings()["shared"][shared]
    places = collections.defaultdict(list)
    for path, one in found.items():
        places[one.path.lstrip("/")].append(path)
    with restic.stream(repository, "dump", "--no-lock", "--archive", "tar", snapshot["id"], root) as watch:
        with tarfile.open(fileobj=watch.content, mode="r|", errors="surrogateescape") as archive:
            for member in archive:
                for path in places.pop(member.name.lstrip("/"), ()) if member.isreg() else ():
                    put(path, archive.extractfile(member), member)
                # It would keep all that it has read
                archive.members = []
    if places:
        raise Failed(f"{repository}: {len(places)} files of the copy could not be read")
    return hindered

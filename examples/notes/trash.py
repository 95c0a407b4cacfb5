"""Pictures whose notes have gone. They are kept in .trash for as long as a backup may need them: a restore
to an earlier moment finds them there. An application of your own can take this file as it is."""

import contextlib
import os
from pathlib import Path

UPLOADS = Path(os.environ["UPLOADS_DIRECTORY"])
TRASH = UPLOADS / ".trash"
# 0: there are no backups
KEEP_DAYS = int(os.environ.get("HASTACK_KEEP_FILES_DAYS") or 0)


def is_held():
    """Whether the stack is being restored: until that is done, nothing may be moved or removed."""
    return (UPLOADS / ".hastack-restore").exists()


def put_away(name):
    """Moves a picture to the trash. One that is gone already is no error."""
    with contextlib.suppress(FileNotFoundError):
        # What is still being written never was a note's
        if KEEP_DAYS and not name.startswith("."):
            TRASH.mkdir(exist_ok=True)
            move(UPLOADS / name, TRASH / name)
        else:
            (UPLOADS / name).unlink()


def move(old, new):
    """Renames a file, durably. This changes its ctime, which says since when it is where it is."""
    os.rename(old, new)
    for folder in (new.parent, old.parent):
        directory = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

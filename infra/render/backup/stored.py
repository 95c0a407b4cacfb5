"""
A shared directory as applications see it, by paths that rows of the database name. Root looks and writes there,
and others may write, too: no symbolic link is followed.
"""
import contextlib
import os
import secrets
import shutil
import stat

from common import Failed

TRASH = ".trash"
# Where a file is made before it gets its name
MAKING = ".hastack-bring"


class InTheWay(Failed):
    """Something that is no directory has the name of one, such as a symbolic link, or a directory that of a file."""


def parts(path):
    """The names of a path below the directory; None where it is no such path."""
    names = [one for one in path.split("/") if one not in ("", ".")]
    return names if names and not path.startswith("/") and ".." not in names and "\0" not in path else None


class Stored:
    """@param root the shared directory"""

    def __init__(self, root):
        self.root = root

    @contextlib.contextmanager
    def _folder(self, names, make=False):
        """An open directory; None where there is none. @param make it and all above it, like the nearest that is there"""
        handle = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name in names:
                following = self._step(handle, name, make)
                os.close(handle)
                handle = following
                if handle is None:
                    break
            yield handle
        finally:
            if handle is not None:
                os.close(handle)

    def _step(self, handle, name, make):
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
        try:
            return os.open(name, flags, dir_fd=handle)
        except FileNotFoundError:
            if not make:
                return None
        except OSError:
            if not make:
                return None
            raise InTheWay(f"{name!r} is in the way: it is no directory") from None
        like = os.fstat(handle)
        os.mkdir(name, stat.S_IMODE(like.st_mode), dir_fd=handle)
        made = os.open(name, flags, dir_fd=handle)
        os.fchown(made, like.st_uid, like.st_gid)
        os.fchmod(made, stat.S_IMODE(like.st_mode))
        return made

    def has(self, path):
        return self._has(parts(path))

    def in_trash(self, path):
        names = parts(path)
        return self._has(names and [TRASH, *names])

    def changed(self, path):
        """When the file last changed, or came here, in seconds after 1970; None where there is none."""
        seen = self._seen(parts(path))
        return seen and seen.st_ctime

    def _has(self, names):
        return self._seen(names) is not None

    def _seen(self, names):
        if not names:
            return None
        with self._folder(names[:-1]) as folder:
            try:
                seen = folder is not None and os.lstat(names[-1], dir_fd=folder)
            except OSError:
                return None
            return seen if seen and stat.S_ISREG(seen.st_mode) else None

    def open(self, path):
        """The file's content, to be read as bytes; None where there is none."""
        names = parts(path)
        with self._folder(names[:-1]) as folder:
            try:
                handle = folder is not None and os.open(names[-1], os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
            except OSError:
                return None
            return os.fdopen(handle, "rb") if handle is not False else None

    def from_trash(self, path):
        """Moves a file from the trash back to its place, where there is none. @return whether it is there now"""
        names = parts(path)
        with self._folder([TRASH, *names[:-1]]) as trash, self._folder(names[:-1], make=True) as folder:
            if trash is None:
                return False
            try:
                os.rename(names[-1], names[-1], src_dir_fd=trash, dst_dir_fd=folder)
            except FileNotFoundError:
                return False
            except OSError as error:
                raise InTheWay(f"{names[-1]!r} is in the way: {error.strerror}") from None
        return True

    def put(self, path, content, entry):
        """
        Makes a file, whole or not at all.
        @param content a reader of bytes
        @param entry what tar says of it: owner, mode and time
        """
        names, name = parts(path), secrets.token_hex(8)
        with self._folder([MAKING], make=True) as making, self._folder(names[:-1], make=True) as folder:
            handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=making)
            with os.fdopen(handle, "wb") as file:
                shutil.copyfileobj(content, file)
                if file.tell() != entry.size:
                    raise Failed(f"{path!r} came with {file.tell()} bytes instead of {entry.size}")
                file.flush()
                os.fchown(handle, entry.uid, entry.gid)
                os.fchmod(handle, entry.mode & 0o777)
                os.utime(handle, (entry.mtime, entry.mtime))
                os.fsync(handle)
            try:
                os.rename(name, names[-1], src_dir_fd=making, dst_dir_fd=folder)
            except OSError as error:
                os.unlink(name, dir_fd=making)
                raise InTheWay(f"{names[-1]!r} is in the way: {error.strerror}") from None

    def clean(self):
        """Removes what a `put` that was cut off has left."""
        with self._folder([MAKING]) as making:
            if making is None:
                return
        shutil.rmtree(os.path.join(self.root, MAKING), ignore_errors=True)

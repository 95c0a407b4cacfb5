"""A session of psql that answers one statement after the other, as a transaction needs."""
import subprocess
import tempfile

from common import COLUMN, NULL, POSTGRES, Failed, bin, environment, one_line, prepare

END = "\x1dend"
AS_POSTGRES = {"cwd": "/", "encoding": "utf-8", "errors": "surrogateescape"}


class Session:
    """Statements of one connection. A statement that fails raises Failed; the session goes on."""

    def __init__(self, conninfo):
        self._errors = tempfile.TemporaryFile("w+", errors="surrogateescape")
        self._psql = subprocess.Popen(
            [bin("psql"), "-XAtq", "-F", COLUMN, "-P", f"null={NULL}", "-d", conninfo],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
            env=environment(), preexec_fn=prepare(POSTGRES), **AS_POSTGRES,
        )

    def ask(self, sql):
        """Rows as lists of text or None. No value may hold a line's end."""
        before = self._errors.seek(0, 2)
        try:
            self._psql.stdin.write(f"{sql};\n\\echo {END}\n")
            self._psql.stdin.flush()
        except BrokenPipeError:
            pass
        rows = []
        for line in self._psql.stdout:
            if line.rstrip("\n") == END:
                self._raise_new(before)
                return rows
            rows.append([None if one == NULL else one for one in line.rstrip("\n").split(COLUMN)])
        self._raise_new(before)
        raise Failed("PostgreSQL ended the connection")

    def value(self, sql):
        return self.ask(sql)[0][0]

    def _raise_new(self, before):
        self._errors.seek(before)
        said = self._errors.read()
        if said:
            raise Failed(one_line(said).removeprefix("psql: error: "))

    def close(self):
        try:
            self._psql.stdin.close()
        except BrokenPipeError:
            pass
        self._psql.stdout.close()
        self._psql.wait()
        self._errors.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._psql.kill()
        self.close()


def copy_out(conninfo, sql):
    """The one text column of a query's rows, as they come; a value may hold anything."""
    psql = subprocess.Popen(
        [bin("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", conninfo, "-c", f"COPY ({sql.rstrip().rstrip(';')}) TO STDOUT"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(),
        preexec_fn=prepare(POSTGRES), **AS_POSTGRES,
    )
    try:
        for line in psql.stdout:
            value = line[:-1]
            if value != "\\N":
                yield unescaped(value)
        said = psql.stderr.read()
        if psql.wait() != 0:
            raise Failed(one_line(said).removeprefix("ERROR: "))
    finally:
        psql.kill()
        psql.wait()
        psql.stdout.close()
        psql.stderr.close()


ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def unescaped(value):
    """A value of COPY's text format."""
    if "\\" not in value:
        return value
    parts, rest = [], iter(value)
    for one in rest:
        if one == "\\":
            following = next(rest, "\\")
            parts.append(ESCAPES.get(following, following))
        else:
            parts.append(one)
    return "".join(parts)

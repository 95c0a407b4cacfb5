"""Notes with pictures: a small web application that hastack serves. README.md says how."""

import hashlib
import hmac
import itertools
import math
import os
import re
import secrets
import signal
import tempfile
import threading
import time
from collections import deque
from pathlib import Path

import psycopg
import waitress
from flask import Flask, abort, redirect, render_template, request, send_from_directory, url_for
from werkzeug.exceptions import ServiceUnavailable

RELEASE = os.environ["HASTACK_RELEASE"]
POOL_SIZE = int(os.environ["DATABASE_POOL_SIZE"])
UPLOADS = Path(os.environ["UPLOADS_DIRECTORY"])
# The same for all instances, so that each takes the links that another one made
LINK_KEY = Path(os.environ["LINK_KEY_FILE"]).read_bytes()

MIB = 1024 * 1024
BIGGEST_ID = 2**63 - 1
NOTES_PER_PAGE = 50
THREADS = 48
WRITE_SECONDS = 30  # a failover takes up to 23 s
READ_SECONDS = 5
# A broken network ends a connection after about 5 s
CONNECTING = dict(
    autocommit=True, connect_timeout=2, tcp_user_timeout=5000,
    keepalives_idle=2, keepalives_interval=1, keepalives_count=3,
)  # fmt: skip
# What a failover looks like: no connection, a broken one, or one to a member that is standby now
LOST = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction)
PICTURES = {
    "png": rb"\x89PNG\r\n\x1a\n", "jpg": rb"\xff\xd8\xff", "gif": rb"GIF8[79]a", "webp": rb"RIFF....WEBP",
}  # fmt: skip

app = Flask(__name__)
app.config.update(
    MAX_CONTENT_LENGTH=5 * MIB, TITLE=os.environ["TITLE"], INSTANCE=os.environ["HASTACK_INSTANCE"]
)
draining = threading.Event()
stop_at = math.inf


class Database:
    """A few connections to one address. Each statement is a transaction of its own."""

    def __init__(self, url):
        self.url = url
        self.free = threading.BoundedSemaphore(POOL_SIZE)
        self.idle = deque()

    def run(self, statement, values):
        if not self.free.acquire(timeout=2):
            raise psycopg.OperationalError("all connections are busy")
        try:
            try:
                connection = self.idle.pop()
            except IndexError:
                connection = psycopg.connect(self.url, **CONNECTING)
            try:
                rows = connection.execute(statement, values).fetchall()
            except BaseException:
                # The others go to the same server: they are as broken as this one
                broken, self.idle = self.idle, deque()
                for one in [connection, *broken]:
                    one.close()
                raise
            self.idle.append(connection)
            return rows
        finally:
            self.free.release()


writer = Database(os.environ["DATABASE_URL"])
reader = Database(os.environ["DATABASE_READER_URL"])
# Writes that wait for a new primary must leave threads to reads and to the health check
writes = threading.BoundedSemaphore(THREADS // 2)


def insist(databases, seconds, statement, values):
    """Tries one address after the other until one answers, or the time is up."""
    end = time.monotonic() + seconds
    for database in itertools.cycle(databases):
        try:
            return database.run(statement, values)
        except LOST as error:
            app.logger.warning("trying again: %s", str(error).strip())
            if time.monotonic() > min(end, stop_at):
                raise ServiceUnavailable("The database does not answer.", retry_after=2)
            time.sleep(0.1)


def read(statement, *values):
    """Reads from the standby, or from the primary if there is none. The first of them is asked
    twice, because its connections may have been broken while they were idle."""
    # The standby may be a moment behind: who has just written reads at the primary
    order = [writer, writer, reader] if "written" in request.cookies else [reader, reader, writer]
    return insist(order, READ_SECONDS, statement, values)


def write(statement, *values):
    """Every statement given here may run twice, so it is also tried again when its commit was
    sent and got no answer."""
    if not writes.acquire(blocking=False):
        raise ServiceUnavailable("Too many requests wait for the database.", retry_after=2)
    try:
        return insist([writer], WRITE_SECONDS, statement, values)
    finally:
        writes.release()


def token(number):
    """Proves that somebody may delete a note: only who added it is told."""
    return hmac.new(LINK_KEY, b"delete %d" % number, hashlib.sha256).hexdigest()


def text_field(name, longest):
    text = request.form.get(name, "").strip()
    if not any(letter.isprintable() and not letter.isspace() for letter in text):
        abort(400, f"{name} is missing.")
    if len(text) > longest:
        abort(400, f"{name} has {len(text)} characters; {longest} are allowed.")
    if "\0" in text:
        abort(400, f"{name} must not contain NUL, which PostgreSQL cannot store.")
    return text


def keep_picture(key):
    """Stores the picture before its note, so that no note lacks its picture. The name follows
    from key and content: who sends the same again overwrites nothing else."""
    upload = request.files.get("picture")
    content = upload.read() if upload else b""
    if not content:
        return None
    kinds = [kind for kind, start in PICTURES.items() if re.match(start, content, re.DOTALL)]
    if not kinds:
        abort(415, "The picture is not PNG, JPEG, GIF or WebP.")
    name = f"{hashlib.sha256(key.encode() + content).hexdigest()[:32]}.{kinds[0]}"
    with tempfile.NamedTemporaryFile(dir=UPLOADS, prefix=".upload-") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        try:
            os.link(file.name, UPLOADS / name)
        except FileExistsError:
            pass
    directory = os.open(UPLOADS, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)
    return name


@app.get("/")
def list_notes():
    before = min(max(request.args.get("before", BIGGEST_ID, type=int), 0), BIGGEST_ID)
    notes = read(
        "SELECT id, title, text, picture FROM note WHERE id < %s ORDER BY id DESC LIMIT %s",
        before, NOTES_PER_PAGE,
    )  # fmt: skip
    more = notes[-1][0] if len(notes) == NOTES_PER_PAGE else None
    return render_template("notes.html", notes=notes, more=more, key=secrets.token_hex(16))


@app.get(f"/notes/<int(max={BIGGEST_ID}):number>")
def show_note(number):
    notes = read("SELECT id, title, text, picture FROM note WHERE id = %s", number)
    if not notes:
        abort(404, "There is no such note.")
    return render_template("notes.html", notes=notes, token=request.args.get("token"))


@app.post("/notes")
def add_note():
    title, text = text_field("title", 200), text_field("text", 5000)
    # Whoever gets no answer sends the same key again, and there is still one note
    key = request.headers.get("Idempotency-Key") or request.form.get("key") or secrets.token_hex(16)
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", key):
        abort(400, "The idempotency key must be 1 to 64 letters, digits, _ or -.")
    picture = keep_picture(key)
    [(number, *stored)] = write(
        """INSERT INTO note (key, title, text, picture) VALUES (%s, %s, %s, %s)
           ON CONFLICT (key) DO UPDATE SET key = excluded.key RETURNING id, title, text, picture""",
        key, title, text, picture,
    )  # fmt: skip
    if stored != [title, text, picture]:
        abort(409, "Another note was added under this idempotency key.")
    answer = redirect(url_for("show_note", number=number, token=token(number)), 303)
    answer.set_cookie("written", "1", max_age=5, httponly=True, samesite="Lax")
    return answer


@app.post(f"/notes/<int(max={BIGGEST_ID}):number>/delete")
def delete_note(number):
    given = request.form.get("token", "").encode()
    if not hmac.compare_digest(given, token(number).encode()):
        abort(403, "This is not the link of who added the note.")
    for (picture,) in write("DELETE FROM note WHERE id = %s RETURNING picture", number):
        if picture:
            (UPLOADS / picture).unlink(missing_ok=True)
    answer = redirect("/", 303)
    answer.set_cookie("written", "1", max_age=5, httponly=True, samesite="Lax")
    return answer


@app.get("/pictures/<name>")
def picture(name):
    if not re.fullmatch(r"[0-9a-f]{32}\.[a-z]+", name):
        abort(404)
    return send_from_directory(UPLOADS, name, max_age=86400)


@app.get("/health")
def health():
    """Only of this process: if it asked the database too, all instances would leave at once."""
    state, status = ("draining", 503) if draining.is_set() else ("ok", 200)
    return f"{state} {RELEASE}\n", status, {"Content-Type": "text/plain"}


@app.errorhandler(OSError)
def storage_lost(error):
    app.logger.error("pictures cannot be stored: %s", error)
    return ServiceUnavailable("Pictures cannot be stored at the moment.", retry_after=10)


@app.after_request
def protect(answer):
    answer.headers["Content-Security-Policy"] = "default-src 'self'; style-src 'unsafe-inline'"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Referrer-Policy"] = "no-referrer"  # the address may hold a token
    answer.headers["X-Served-By"] = app.config["INSTANCE"]
    return answer


def drain(server):
    """Serves on until HAProxy has seen that this instance leaves, then finishes its requests."""
    time.sleep(int(os.environ["DRAIN_SECONDS"]))
    while time.monotonic() < stop_at and any(
        # A request that is being received, one that is worked on, an answer that is being sent
        client.request or client.requests or client.total_outbufs_len
        for client in list(server.active_channels.values())
    ):
        time.sleep(0.1)
    os._exit(0)


def stop(server):
    global stop_at
    if draining.is_set():
        return
    stop_at = time.monotonic() + int(os.environ["STOP_GRACE_SECONDS"]) - 1
    draining.set()
    threading.Thread(target=drain, args=[server]).start()


if __name__ == "__main__":
    # Waitress receives whole requests before a thread works on them: slow clients hold up nobody
    server = waitress.create_server(
        app, host=os.environ["HOST"], port=int(os.environ["PORT"]), threads=THREADS,
        connection_limit=1000, asyncore_use_poll=True, channel_timeout=300,
        max_request_body_size=6 * MIB, ident=None,
    )  # fmt: skip
    signal.signal(signal.SIGTERM, lambda *_: stop(server))
    server.run()

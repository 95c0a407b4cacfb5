"""Notes with pictures: the pages, and what they do."""

import hashlib
import hmac
import os
import re
import secrets
import threading
from pathlib import Path

from flask import Flask, abort, redirect, render_template, request, send_from_directory
from werkzeug.exceptions import ServiceUnavailable

from database import read, write
from trash import UPLOADS, is_held, put_away

# The same for all instances: each takes the links that another one made
LINK_KEY = Path(os.environ["LINK_KEY_FILE"]).read_bytes()
PICTURES = {
    "png": rb"\x89PNG\r\n\x1a\n",
    "jpg": rb"\xff\xd8\xff",
    "gif": rb"GIF8[79]a",
    "webp": rb"RIFF....WEBP",
}
BIGGEST_ID = 2**63 - 1
PER_PAGE = 50
NOTE = f"/notes/<int(max={BIGGEST_ID}):number>"

app = Flask(__name__)
app.config.update(
    MAX_CONTENT_LENGTH=5 * 1024 * 1024,
    TITLE=os.environ["TITLE"],
    INSTANCE=os.environ["HASTACK_INSTANCE"],
)
draining = threading.Event()


@app.get("/health")
def health():
    """Only of this process: if it asked the database too, all instances would leave at once."""
    state, status = ("draining", 503) if draining.is_set() else ("ok", 200)
    return f"{state} {os.environ['HASTACK_RELEASE']}\n", status, {"Content-Type": "text/plain"}


@app.get("/")
def list_notes():
    before = min(max(request.args.get("before", BIGGEST_ID, type=int), 0), BIGGEST_ID)
    query = "SELECT id, title, text, picture FROM note WHERE id < %s ORDER BY id DESC LIMIT %s"
    notes = read(query, before, PER_PAGE, latest="written" in request.cookies)
    more = notes[-1][0] if len(notes) == PER_PAGE else None
    return render_template("notes.html", notes=notes, more=more, key=secrets.token_hex(16))


@app.get(NOTE)
def show_note(number):
    query = "SELECT id, title, text, picture FROM note WHERE id = %s"
    notes = read(query, number, latest="written" in request.cookies)
    if not notes:
        abort(404, "There is no such note.")
    return render_template("notes.html", notes=notes, token=request.args.get("token"))


@app.post("/notes")
def add_note():
    title, text = field("title", 200), field("text", 5000)
    # Whoever got no answer sends the same key again, and there is still one note
    key = request.headers.get("Idempotency-Key") or request.form.get("key") or secrets.token_hex(16)
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", key):
        abort(400, "The idempotency key must be 1 to 64 letters, digits, _ or -.")
    # Before the note: there must never be a note without its picture
    picture = keep_picture(key)
    statement = """INSERT INTO note (key, title, text, picture) VALUES (%s, %s, %s, %s)
        ON CONFLICT (key) DO UPDATE SET key = excluded.key RETURNING id, title, text, picture"""
    [(number, *stored)] = write(statement, key, title, text, picture)
    if stored != [title, text, picture]:
        abort(409, "Another note was added with this idempotency key.")
    return written(f"/notes/{number}?token={token(number)}")


@app.post(f"{NOTE}/delete")
def delete_note(number):
    if not hmac.compare_digest(request.form.get("token", "").encode(), token(number).encode()):
        abort(403, "This is not the link of whoever added the note.")
    for (picture,) in write("DELETE FROM note WHERE id = %s RETURNING picture", number):
        # While the stack is being restored it stays, for sweep.py to put away later
        if picture and not is_held():
            put_away(picture)
    return written("/")


@app.get("/pictures/<name>")
def show_picture(name):
    # Not the hidden files of uploads under way
    if name.startswith("."):
        abort(404)
    return send_from_directory(UPLOADS, name, max_age=86400)


def written(location):
    """Leads to another page. The cookie has it read at the primary, which knows what was written."""
    answer = redirect(location, 303)
    answer.set_cookie("written", "1", max_age=5, httponly=True, samesite="Lax")
    return answer


def token(number):
    """By it one may delete a note: only who added the note is told."""
    return hmac.new(LINK_KEY, b"delete %d" % number, hashlib.sha256).hexdigest()


def field(name, longest):
    text = request.form.get(name, "").strip()
    if not any(letter.isprintable() and not letter.isspace() for letter in text):
        abort(400, f"{name} is missing.")
    if len(text) > longest:
        abort(400, f"{name} has {len(text)} characters, use at most {longest}.")
    if "\0" in text:
        abort(400, f"{name} has a NUL character, which PostgreSQL cannot store.")
    return text


def keep_picture(key):
    """Stores the picture under a name that follows from key and content, so that the same request
    sent again stores the same file."""
    upload = request.files.get("picture")
    content = upload.read() if upload else b""
    if not content:
        return None
    kinds = [kind for kind, start in PICTURES.items() if re.match(start, content, re.DOTALL)]
    if not kinds:
        abort(415, "The picture is not PNG, JPEG, GIF or WebP.")
    name = f"{hashlib.sha256(key.encode() + content).hexdigest()[:32]}.{kinds[0]}"
    # It gets its name when it is whole and on the disk
    temporary = UPLOADS / f".upload-{secrets.token_hex(8)}"
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, UPLOADS / name)
    finally:
        temporary.unlink(missing_ok=True)
    directory = os.open(UPLOADS, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)
    return name


@app.errorhandler(OSError)
def storage_lost(error):
    app.logger.error("pictures cannot be stored or read: %s", error)
    return ServiceUnavailable("Pictures are not available at the moment.", retry_after=10)


@app.after_request
def protect(answer):
    answer.headers["Content-Security-Policy"] = "default-src 'self'; style-src 'unsafe-inline'"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    # The address may hold a token
    answer.headers["Referrer-Policy"] = "no-referrer"
    answer.headers["X-Served-By"] = app.config["INSTANCE"]
    return answer

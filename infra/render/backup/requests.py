"""Requests that commands leave for the keeper, and what becomes of them."""
import json
import os
import re

from common import iso, now, place, read_json, say, write_json

NAME = re.compile(r"([0-9a-z-]+)\.json")
KEEP = 20


def answer_path(name):
    return place("state", "requests", f"{name}.json")


class Request:
    """One request; its answer is written whenever it changes."""

    def __init__(self, name, content):
        self.name = name
        self.content = content
        self.answer = {
            "id": name, "do": content.get("do"), "since": iso(now()), "phase": "waiting",
            "progress": "", "why": None, "result": None,
        }
        write_json(answer_path(name), self.answer)
        self.is_written = True

    def write(self, **changes):
        """Where a full disk hinders that, `rewrite` is to be called until it does not."""
        self.answer.update(changes)
        self.is_written = False
        self.rewrite()

    def rewrite(self):
        """@return whether the answer is written"""
        if not self.is_written:
            try:
                write_json(answer_path(self.name), printable(self.answer))
                self.is_written = True
            except OSError as error:
                say(f"the answer to {self.name} cannot be written: {error}")
        return self.is_written

    def fail(self, why):
        self.write(phase="failed", why=why, progress="")

    def finish(self, result):
        self.write(phase="done", result=result, progress="")


def printable(answer):
    """The same, where names of files in it are no text."""
    return json.loads(json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace").decode())


def take():
    """Takes the requests that have come, one by one, the oldest first. What is no request is answered at once."""
    folder = place("requests")
    names = [name for name in os.listdir(folder) if NAME.fullmatch(name)]
    for name in sorted(names, key=lambda one: os.path.getmtime(os.path.join(folder, one))):
        path = os.path.join(folder, name)
        content = read_json(path)
        is_one = isinstance(content, dict) and isinstance(content.get("do"), str) and content["do"].isascii()
        # The answer is there before the request is gone, whenever this process is killed
        request = Request(name.removesuffix(".json"), content if is_one else {})
        os.remove(path)
        if is_one:
            yield request
        else:
            request.fail("this is no request")


def end_interrupted():
    """Fails what was under way, or waited, when this process ended; forgets old answers."""
    folder = place("state", "requests")
    waiting = set(os.listdir(place("requests")))
    paths = [os.path.join(folder, name) for name in os.listdir(folder) if NAME.fullmatch(name)]
    for path in paths:
        answer = read_json(path) or {}
        if answer.get("phase") in ("waiting", "running") and os.path.basename(path) not in waiting:
            why = "interrupted: the process keeper started anew; ask for it again"
            write_json(path, {**answer, "phase": "failed", "why": why, "progress": ""})
    forget()


def forget():
    folder = place("state", "requests")
    paths = [os.path.join(folder, name) for name in os.listdir(folder) if NAME.fullmatch(name)]
    for path in sorted(paths, key=os.path.getmtime)[:-KEEP]:
        if (read_json(path) or {}).get("phase") not in ("waiting", "running"):
            os.remove(path)

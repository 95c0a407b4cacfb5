"""
Names of WAL segments, positions in the log, and timelines. A branch is the way that leads to a timeline:
a list of [timeline, the position where it was left], the oldest first; its end is the timeline itself.
"""
import os
import re

SIZE = 16 << 20
PAGE = 8192
SEGMENTS_IN_FILE_NAME = 0x100000000 // SIZE
WHOLE = re.compile(r"[0-9A-F]{24}")
PARTIAL = re.compile(r"([0-9A-F]{24})\.partial")
HISTORY = re.compile(r"[0-9A-F]{8}\.history")


def position(text):
    """The number of bytes that a position such as 0/3000028 stands for."""
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def text_of(number):
    """The other way round."""
    return f"{number >> 32:X}/{number & 0xFFFFFFFF:X}"


def name_of(timeline, number):
    """The name of the segment with this number; the first is 0."""
    return f"{timeline:08X}{number // SEGMENTS_IN_FILE_NAME:08X}{number % SEGMENTS_IN_FILE_NAME:08X}"


def parse(name):
    """Timeline and number of the segment with this name."""
    return int(name[:8], 16), int(name[8:16], 16) * SEGMENTS_IN_FILE_NAME + int(name[16:24], 16)


def branch_of(history):
    """The branch that the text of a history file describes."""
    lines = [line.split() for line in history.splitlines() if line.strip() and not line.startswith("#")]
    return [[int(words[0]), words[1]] for words in lines if len(words) >= 2]


def passes(timeline, branch, through, through_branch):
    """Whether the history of a timeline goes through another timeline, which has a branch of its own."""
    if timeline == through:
        return branch == through_branch
    place = len(through_branch)
    return branch[:place] == through_branch and len(branch) > place and branch[place][0] == through


def holds(timeline, branch, on, where):
    """Whether a position on a timeline is part of the history of another."""
    if on == timeline:
        return True
    return any(one == on and where <= position(left) for one, left in branch)


def on_way(branches):
    """
    What lies on the way to the newest timeline; the rest a failover has cut off.
    @param branches {timeline: branch}
    @return tells it of a timeline and a position as text
    """
    newest = max(branches, default=1)
    way = branches.get(newest, [])
    return lambda timeline, lsn: holds(newest, way, timeline, position(lsn))


def filled(path):
    """
    How many bytes of a segment that is being received have come. What has not is zero.
    Good to 8 bytes, which is how records are aligned.
    """
    with open(path, "rb") as file:
        low, high = 0, os.fstat(file.fileno()).st_size // PAGE
        while low < high:
            middle = (low + high) // 2
            file.seek(middle * PAGE)
            if file.read(24).strip(b"\0"):
                low = middle + 1
            else:
                high = middle
        if low == 0:
            return 0
        file.seek((low - 1) * PAGE)
        length = len(file.read(PAGE).rstrip(b"\0"))
    return (low - 1) * PAGE + (length + 7) // 8 * 8

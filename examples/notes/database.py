"""The database through a failover: connections that are given up in time, and statements that are
tried again. An application of your own can take this file as it is."""

import itertools
import logging
import math
import os
import threading
import time
from collections import deque

import psycopg
from werkzeug.exceptions import ServiceUnavailable

WRITE_SECONDS = 30  # a failover takes up to 23 s
READ_SECONDS = 5
POOL_SIZE = int(os.environ["DATABASE_POOL_SIZE"])
# A connection whose other end is gone is given up after about 5 s
CONNECTING = {
    "autocommit": True,
    "connect_timeout": 2,
    "tcp_user_timeout": 5000,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
}
# What a failover looks like: no connection, a broken one, or one to a member that is standby now
LOST = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction)
# When this process must have ended; nothing is tried again after that
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
            connection = self.connect()
            try:
                rows = connection.execute(statement, values).fetchall()
            except BaseException:
                connection.close()
                # The others go to the same server, and are as broken as this one
                broken, self.idle = self.idle, deque()
                for one in broken:
                    one.close()
                raise
            self.idle.append(connection)
            return rows
        finally:
            self.free.release()

    def connect(self):
        try:
            return self.idle.pop()
        except IndexError:
            return psycopg.connect(self.url, **CONNECTING)


writer = Database(os.environ["DATABASE_URL"])
reader = Database(os.environ["DATABASE_READER_URL"])
# Writes that wait for a new primary leave threads to reads and to the health check
waiting = threading.BoundedSemaphore(24)


def read(statement, *values, latest=False):
    """Reads from the standby, or from the primary if there is none.
    latest: the other way round, for whoever has just written: a standby may be a moment behind."""
    first, second = (writer, reader) if latest else (reader, writer)
    # The first is asked twice: connections may have been broken while they were idle
    return insist([first, first, second], READ_SECONDS, statement, values)


def write(statement, *values):
    """Writes at the primary. The statement must do no harm when it runs twice: it is tried again
    even if its commit was sent and got no answer."""
    if not waiting.acquire(blocking=False):
        raise ServiceUnavailable("Too many writes wait for the database.", retry_after=2)
    try:
        return insist([writer], WRITE_SECONDS, statement, values)
    finally:
        waiting.release()


def insist(databases, seconds, statement, values):
    end = time.monotonic() + seconds
    for database in itertools.cycle(databases):
        try:
            return database.run(statement, values)
        except LOST as error:
            logging.warning("trying again: %s", str(error).strip())
            if time.monotonic() > min(end, stop_at):
                raise ServiceUnavailable("The database does not answer.", retry_after=2) from error
            time.sleep(0.1)

"""
What a member of the database does, asked on its own machine, so that no fault of a network hides it: when it says that
it is no standby, and when it acknowledges a write. A line for each: "primary" or "write", and the time.

python3 -c PROGRAM DATABASE MEMBER SECONDS
"""
import sys
import threading
import time

import psycopg2

PAUSE_SECONDS = 0.04
# That a standby takes no writes is no news for PostgreSQL's log
QUIET = "-c log_min_messages=panic -c log_min_duration_statement=-1"


def ask(database, text, values, says, until):
    """Asks again and again; what waits for an answer waits for as long as it takes."""
    connection = None
    while time.time() < until:
        try:
            if connection is None:
                connection = psycopg2.connect(
                    host="/run/postgresql", user="postgres", dbname=database, connect_timeout=2, options=QUIET,
                )
                connection.autocommit = True
            # An answer may be waited for while the machine hangs, and say what was so before
            asked = time.time()
            with connection.cursor() as cursor:
                cursor.execute(text, values)
                if says(cursor):
                    print(says.__name__, f"{asked:.4f}", flush=True)
        except psycopg2.errors.ReadOnlySqlTransaction:
            pass
        except psycopg2.Error:
            if connection is not None:
                connection.close()
            connection = None
        time.sleep(PAUSE_SECONDS)


def primary(cursor):
    return not cursor.fetchone()[0]


def write(_cursor):
    return True


BEAT = """INSERT INTO heartbeat VALUES (%s, 1)
  ON CONFLICT (member) DO UPDATE SET beat = heartbeat.beat + 1"""


def main(database, member, seconds):
    until = time.time() + float(seconds)
    threads = [
        threading.Thread(target=ask, args=(database, "SELECT pg_is_in_recovery()", (), primary, until), daemon=True),
        threading.Thread(target=ask, args=(database, BEAT, (member,), write, until), daemon=True),
    ]
    for one in threads:
        one.start()
    time.sleep(float(seconds))


main(*sys.argv[1:])

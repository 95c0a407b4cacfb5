"""Starts the application, and ends it so that no request fails. An application of your own can
take this file as it is."""

import os
import signal
import threading
import time

import waitress

import database
from notes import app, draining

BIGGEST_BODY = 6 * 1024 * 1024  # as bodyLimitMegabytes of hastack.yaml


def stop(server):
    """On SIGTERM: serves on until HAProxy has seen that this instance leaves, then finishes."""
    if draining.is_set():
        return
    end = time.monotonic() + int(os.environ["STOP_GRACE_SECONDS"]) - 1
    database.stop_at = end - 1
    draining.set()
    threading.Thread(target=finish, args=[server, end]).start()


def finish(server, end):
    time.sleep(int(os.environ["DRAIN_SECONDS"]))
    while time.monotonic() < end and any(
        # A request that comes in, one that is worked on, an answer that goes out
        client.request or client.requests or client.total_outbufs_len
        for client in list(server.active_channels.values())
    ):
        time.sleep(0.1)
    os._exit(0)


if __name__ == "__main__":
    # Waitress receives whole requests before a thread works on them: slow clients hold up nobody
    server = waitress.create_server(
        app,
        host=os.environ["HOST"],
        port=int(os.environ["PORT"]),
        threads=48,
        connection_limit=1000,
        asyncore_use_poll=True,
        channel_timeout=300,
        max_request_body_size=BIGGEST_BODY,
        ident=None,
    )
    signal.signal(signal.SIGTERM, lambda *_: stop(server))
    server.run()

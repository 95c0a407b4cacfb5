"""Brings the database up to date: schema.sql, in one transaction."""

import os
from pathlib import Path

import psycopg

with psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=10) as connection:
    # Two that run at once would both make the table
    connection.execute("SELECT pg_advisory_xact_lock(1)")
    connection.execute(Path(__file__).with_name("schema.sql").read_text())

"""The rows of tables, counted: in a restored database and in the live one."""
import common
from common import Failed

# A table that takes longer is told as not counted
TABLE_SECONDS = 60
TABLES = """
SELECT format('%I.%I', n.nspname, c.relname), pg_table_size(c.oid),
  (SELECT quote_ident(a.attname) FROM pg_attribute a
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     AND a.atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype)
   ORDER BY a.attname !~ '^(created|inserted|added|at$|time$|updated)', a.attnum LIMIT 1)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY 1"""


def tables(session):
    """{table: (bytes, a column of times or None)}; a partition is a table, and what has only partitions is none."""
    return {table: (int(size), column) for table, size, column in session.ask(TABLES)}


def limit(session, seconds=TABLE_SECONDS):
    session.ask(f"SET statement_timeout = '{seconds}s'")
    session.ask("SET timezone = 'UTC'")


def counted(session, table, column=None):
    """(rows, the newest one's time or None); rows is None where it took too long."""
    newest = f"to_char(max({column}) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')" if column else "NULL"
    try:
        rows, time = session.ask(f"SELECT count(*), {newest} FROM ONLY {table}")[0]
        return int(rows), time
    except Failed as failure:
        if "statement timeout" in str(failure) or "conflict with recovery" in str(failure):
            return None, None
        raise


def compare(restored, live):
    """
    What the tables hold, as state/restored.json has it. A table that one of both lacks has null there.
    @param restored @param live sessions
    """
    here, there = tables(restored), tables(live)
    for session in (restored, live):
        limit(session)
    found = []
    for table in sorted({*here, *there}):
        common.progress(f"counts the rows of {table}")
        rows, newest = counted(restored, table, here[table][1]) if table in here else (None, None)
        others, newest_live = counted(live, table, there[table][1]) if table in there else (None, None)
        found.append({
            "table": table, "live": others, "restored": rows, "newestLive": newest_live, "newestRestored": newest,
            "onlyIn": None if table in here and table in there else "restored" if table in here else "live",
        })
    return found

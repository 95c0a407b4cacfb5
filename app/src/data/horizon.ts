/**
 * How much of the database's history somebody has seen: timeline (8 hexadecimal digits) and
 * transaction id (16), so that texts compare as history does.
 *
 * The horizon of a write is taken after its commit: the first transaction id that was not yet given
 * out to anybody who had finished, so the write's own id is below it. The horizon of a read is taken
 * before it: the oldest transaction id that was still running (on a standby: not yet replayed), so
 * the read holds everything below it. A read at or above a write's horizon therefore holds that
 * write, on whichever member it was made; and where they are equal too.
 *
 * Ids that the old primary gave out and never sent are given out again after a failover. The
 * timeline, which every promotion raises, puts everything read before it below every write after it.
 */
export type Horizon = string;

/**
 * What a later read must have seen, opaque to everybody else: a horizon for the cache, and a place in
 * the write-ahead log, which tells whether a standby has got there. Two writes at once may share a
 * horizon, and then the place says which was later: as a whole, texts compare as history does. The
 * horizon is missing where an older release wrote the position, and where nobody could be asked.
 */
export type Position = string;

/** Later than any position: only a primary has got there, and nothing that is cached. */
export const unknownPosition: Position = "FFFFFFFF/FFFFFFFF";

/** The place in the write-ahead log, as PostgreSQL reads it: `00000016/B374D848`. */
export function logPlace(position: Position): string {
  return position.slice(position.indexOf("@") + 1);
}

/** The horizon, where the position has one. */
export function horizonOf(position: Position): Horizon | undefined {
  return position.includes("@") ? position.slice(0, horizonLength) : undefined;
}

export const horizonLength = 24;
const timelineLength = 8;

export function timelineOf(horizon: Horizon): string {
  return horizon.slice(0, timelineLength);
}

const timelineSql = `lower(left(pg_walfile_name(pg_current_wal_insert_lsn()), ${timelineLength}))`;
const idSql = (id: string) => `lpad(to_hex(${id}::text::bigint), 16, '0')`;
const placeHalfSql = (half: 1 | 2) => `lpad(split_part(place::text, '/', ${half}), 8, '0')`;
const positionSql = (id: string) =>
  `SELECT ${timelineSql} || ${idSql(id)} || '@' || ${placeHalfSql(1)} || '/' || ${placeHalfSql(2)} AS position
   FROM pg_current_wal_insert_lsn() AS place`;

/** Asks a primary, right after a commit, for the position of that write. */
export const committedSql = positionSql("pg_snapshot_xmax(pg_current_snapshot())");

/**
 * Asks a primary for a position that no transaction begun so far is beyond, whether it has ended or
 * not. It takes an id for itself, and is done with it at once.
 */
export const latestSql = positionSql("pg_current_xact_id()");

/**
 * Of a standby: whether it has replayed the place $1, in the log of the primary that gave that place out. A standby
 * does not know its timeline; but an old primary with a log of its own has more than it received.
 */
const hasReplayedSql = `pg_last_wal_replay_lsn() >= $1::pg_lsn
     AND pg_last_wal_receive_lsn() >= pg_last_wal_replay_lsn()`;

/** Asks any member whether it has all up to the place $1. */
export const hasAllSql = `SELECT NOT pg_is_in_recovery() OR coalesce(${hasReplayedSql}, false) AS has`;

/**
 * Asks any member, just before a read, for the horizon of that read; $1 is a place in the log and $2
 * the timeline it is on. It is null where a standby has not got there.
 */
export const readHorizonSql = `SELECT CASE
    WHEN NOT pg_is_in_recovery() THEN ${timelineSql}
    WHEN ${hasReplayedSql} THEN $2::text
  END || ${idSql("pg_snapshot_xmin(pg_current_snapshot())")} AS horizon`;

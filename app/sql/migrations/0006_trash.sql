-- Pictures whose rows have gone lie in the trash for as long as backups reach, outside the budget of uploads.
-- What the trash may hold has a limit of its own, or who uploads and removes again and again would fill the
-- disk: while it is full, files stay where they are, and count in the budget until there is room.
ALTER TABLE upload_budget
  ADD COLUMN IF NOT EXISTS trash_total_bytes bigint NOT NULL DEFAULT 0, -- written by each run of the migrations
  ADD COLUMN IF NOT EXISTS trash_bytes bigint NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS trash_files bigint NOT NULL DEFAULT 0;

-- A file in the trash. After a restore these rows are those of an earlier moment: the sweeper compares them
-- with the files, which are right.
CREATE TABLE IF NOT EXISTS upload_trash (
  -- The same in the shared directory and in its trash
  path       text PRIMARY KEY CHECK (path ~ '^(trips/)?[0-9a-f]{32}\.(png|jpg|gif|webp)$'),
  account_id integer, -- NULL: the gallery's, or nobody knows
  bytes      bigint NOT NULL CHECK (bytes >= 0),
  moved_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS upload_trash_moved_at ON upload_trash (moved_at);
CREATE INDEX IF NOT EXISTS upload_trash_account_id ON upload_trash (account_id)
WHERE account_id IS NOT NULL;

-- The smallest file takes a block of the disk.
CREATE OR REPLACE FUNCTION count_trash() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
  bytes bigint := CASE TG_OP WHEN 'DELETE' THEN 0 ELSE greatest(NEW.bytes, 4096) END
    - CASE TG_OP WHEN 'INSERT' THEN 0 ELSE greatest(OLD.bytes, 4096) END;
  files integer := CASE TG_OP WHEN 'INSERT' THEN 1 WHEN 'DELETE' THEN -1 ELSE 0 END;
BEGIN
  IF bytes <> 0 OR files <> 0 THEN
    UPDATE public.upload_budget
    SET trash_bytes = trash_bytes + bytes, trash_files = trash_files + files;
  END IF;
  RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER upload_trash_counted AFTER INSERT OR UPDATE OR DELETE ON upload_trash
FOR EACH ROW EXECUTE FUNCTION count_trash();

-- Gives room back, once a file is in the trash. What a row names stays.
CREATE OR REPLACE FUNCTION trash_upload(the_path text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
  gone public.upload;
BEGIN
  DELETE FROM public.upload
  WHERE name = substring(the_path FROM '[0-9a-f]{32}') AND until IS NOT NULL
  RETURNING * INTO gone;
  IF gone.name IS NULL THEN
    RETURN;
  END IF;
  INSERT INTO public.upload_trash (path, account_id, bytes)
  VALUES (the_path, gone.account_id, coalesce(gone.bytes, 0))
  ON CONFLICT (path) DO UPDATE
  SET account_id = excluded.account_id, bytes = excluded.bytes, moved_at = excluded.moved_at;
END
$$;

-- Files that are to go from their place; with_kept: also those that a row has named, which need room in
-- the trash. A transaction that keeps one now has it locked, and a later one cannot.
CREATE OR REPLACE FUNCTION uploads_to_drop(most integer, with_kept boolean)
RETURNS TABLE (name text, account_id integer, file text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
  SELECT name, account_id, file FROM public.upload
  WHERE until <= clock_timestamp() AND (with_kept OR file IS NULL)
  ORDER BY until LIMIT most FOR UPDATE SKIP LOCKED
$$;

-- Forgets what is in the trash no more, and says which of these files are not known yet. One that was moved
-- while they were listed is young.
CREATE OR REPLACE FUNCTION match_trash(paths text[]) RETURNS SETOF text
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
  DELETE FROM public.upload_trash
  WHERE moved_at < clock_timestamp() - interval '10 minutes'
    AND NOT EXISTS (SELECT FROM unnest(paths) AS found WHERE found = path);
  SELECT found FROM unnest(paths) AS found
  WHERE NOT EXISTS (SELECT FROM public.upload_trash WHERE path = found)
$$;

-- Writes down a file that is in the trash, and since when.
CREATE OR REPLACE FUNCTION note_trash(the_path text, the_bytes bigint, since timestamptz) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
  INSERT INTO public.upload_trash (path, bytes, moved_at) VALUES (the_path, the_bytes, since)
  ON CONFLICT (path) DO UPDATE SET bytes = excluded.bytes, moved_at = excluded.moved_at
$$;

-- A file is in the trash no more.
CREATE OR REPLACE FUNCTION forget_trash(the_path text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
  DELETE FROM public.upload_trash WHERE path = the_path
$$;

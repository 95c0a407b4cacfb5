-- What pictures may take of the store, and what they take. Each file that there is, or may be, is a row
-- of upload: from before its first byte is written until after it is removed. Both sums change with it.
CREATE TABLE upload_budget (
  one          boolean PRIMARY KEY DEFAULT true CHECK (one),
  total_bytes  bigint NOT NULL DEFAULT 0, -- both are written by each run of the migrations
  visitor_bytes bigint NOT NULL DEFAULT 0,
  used_bytes   bigint NOT NULL DEFAULT 0
);
INSERT INTO upload_budget DEFAULT VALUES;

-- What one account's pictures take. No reference: they take it until they are removed, which may be
-- after the account has gone.
CREATE TABLE account_upload (
  account_id integer PRIMARY KEY,
  used_bytes bigint NOT NULL
);

CREATE TABLE upload (
  name       text PRIMARY KEY CHECK (name ~ '^[0-9a-f]{32}$'), -- of the file, without its extension
  account_id integer, -- NULL: the gallery's
  file       text, -- its whole name, once a row names it
  bytes      bigint CHECK (bytes >= 0), -- NULL: not known yet, and counted as nothing
  -- NULL: a row names the file. Else from then on none can: it is to be removed.
  until      timestamptz
);
CREATE INDEX upload_until ON upload (until) WHERE until IS NOT NULL;
CREATE INDEX upload_unknown ON upload (name) WHERE bytes IS NULL;

CREATE FUNCTION count_upload() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
  the_account integer := CASE TG_OP WHEN 'DELETE' THEN OLD.account_id ELSE NEW.account_id END;
  change bigint := CASE TG_OP WHEN 'DELETE' THEN 0 ELSE coalesce(NEW.bytes, 0) END
    - CASE TG_OP WHEN 'INSERT' THEN 0 ELSE coalesce(OLD.bytes, 0) END;
BEGIN
  IF change = 0 THEN
    RETURN NULL;
  END IF;
  UPDATE public.upload_budget SET used_bytes = used_bytes + change;
  IF the_account IS NOT NULL THEN
    INSERT INTO public.account_upload AS sum VALUES (the_account, change)
    ON CONFLICT (account_id) DO UPDATE SET used_bytes = sum.used_bytes + change;
    DELETE FROM public.account_upload WHERE account_id = the_account AND used_bytes = 0;
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER upload_counted AFTER INSERT OR UPDATE OR DELETE ON upload
FOR EACH ROW EXECUTE FUNCTION count_upload();

-- A trip's picture says how large it is, as one of the gallery does. The release before does not.
ALTER TABLE trip_item ADD COLUMN image_bytes integer CHECK (image_bytes > 0);

-- The file of a new row is kept for as long as the row is there.
-- Raises HA408 (its time is over, or the name is another file's).
CREATE FUNCTION keep_upload() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
  the_account integer;
BEGIN
  IF TG_TABLE_NAME = 'trip_item' THEN
    SELECT account_id INTO STRICT the_account FROM public.booking WHERE id = NEW.booking_id;
  END IF;
  -- The release before asks for no room first.
  INSERT INTO public.upload AS kept (name, account_id, file, bytes)
  VALUES (left(NEW.image_file, 32), the_account, NEW.image_file, NEW.image_bytes)
  ON CONFLICT (name) DO UPDATE SET file = excluded.file, bytes = excluded.bytes, until = NULL
  WHERE kept.account_id IS NOT DISTINCT FROM excluded.account_id
    AND kept.until > clock_timestamp();
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no room is kept for this file' USING ERRCODE = 'HA408';
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER upload_kept AFTER INSERT ON content
FOR EACH ROW EXECUTE FUNCTION keep_upload();
CREATE TRIGGER upload_kept AFTER INSERT ON trip_item
FOR EACH ROW WHEN (NEW.image_file IS NOT NULL) EXECUTE FUNCTION keep_upload();

-- The file of a row that goes counts until it is removed.
CREATE FUNCTION drop_upload() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
  UPDATE public.upload SET until = clock_timestamp()
  WHERE name = left(OLD.image_file, 32) AND until IS NULL
    AND (account_id IS NULL) = (TG_TABLE_NAME = 'content');
  RETURN NULL;
END
$$;
CREATE TRIGGER upload_dropped AFTER DELETE ON content
FOR EACH ROW EXECUTE FUNCTION drop_upload();
CREATE TRIGGER upload_dropped AFTER DELETE ON trip_item
FOR EACH ROW WHEN (OLD.image_file IS NOT NULL) EXECUTE FUNCTION drop_upload();

-- What is there already. Nobody else adds to it: the triggers above have locked both tables.
INSERT INTO upload (name, file, bytes)
SELECT left(image_file, 32), image_file, image_bytes FROM content;
INSERT INTO upload (name, account_id, file)
SELECT left(image_file, 32), account_id, image_file
FROM trip_item JOIN booking ON booking.id = booking_id WHERE image_file IS NOT NULL
ON CONFLICT DO NOTHING;

-- Takes room for a file before its first byte is written; safe to repeat. For the two functions below.
CREATE FUNCTION take_room(the_name text, the_account integer, the_bytes integer) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
  budget public.upload_budget;
  taken bigint;
BEGIN
  -- The row's lock makes all of them wait for each other: nobody counts on an old sum.
  SELECT * INTO STRICT budget FROM public.upload_budget FOR NO KEY UPDATE;
  PERFORM FROM public.upload
  WHERE name = the_name AND account_id IS NOT DISTINCT FROM the_account AND until IS NOT NULL;
  IF FOUND THEN
    RETURN;
  END IF;
  SELECT used_bytes INTO taken FROM public.account_upload WHERE account_id = the_account;
  IF the_account IS NOT NULL AND coalesce(taken, 0) + the_bytes > budget.visitor_bytes THEN
    RAISE EXCEPTION 'the account has no room' USING
      ERRCODE = 'HA507', DETAIL = 'account', HINT = budget.visitor_bytes::text;
  ELSIF budget.used_bytes + the_bytes > budget.total_bytes THEN
    RAISE EXCEPTION 'there is no room' USING
      ERRCODE = 'HA507', DETAIL = 'total', HINT = budget.total_bytes::text;
  END IF;
  -- Twice as long as the slowest upload that the server waits for
  INSERT INTO public.upload (name, account_id, bytes, until)
  VALUES (the_name, the_account, the_bytes, clock_timestamp() + interval '40 minutes');
END
$$;

-- Takes room for a visitor's file. Raises HA507 (no room: the detail says whose, the hint how much there
-- is in all), HA401 (no such account).
CREATE FUNCTION take_account_room(the_name text, the_account integer, the_bytes integer)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
  PERFORM FROM public.account WHERE id = the_account;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no such account' USING ERRCODE = 'HA401';
  END IF;
  PERFORM public.take_room(the_name, the_account, the_bytes);
END
$$;

-- The same for the gallery's. Raises HA507.
CREATE FUNCTION take_gallery_room(the_name text, the_bytes integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
  PERFORM public.take_room(the_name, NULL, the_bytes);
END
$$;

-- Gives room back, once a file is removed; a file that could not be is left to the sweeper. What a row
-- names stays.
CREATE FUNCTION leave_room(the_name text, is_removed boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
  IF is_removed THEN
    DELETE FROM public.upload WHERE name = the_name AND until IS NOT NULL;
  ELSE
    UPDATE public.upload SET until = clock_timestamp()
    WHERE name = the_name AND until > clock_timestamp();
  END IF;
END
$$;

-- Files that are to be removed. A transaction that keeps one now has it locked, and a later one cannot.
CREATE FUNCTION uploads_to_remove(most integer)
RETURNS TABLE (name text, account_id integer)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
  SELECT name, account_id FROM public.upload WHERE until <= clock_timestamp()
  ORDER BY until LIMIT most FOR UPDATE SKIP LOCKED
$$;

-- Says how large a file is that was there before it was counted.
CREATE FUNCTION measure_upload(the_name text, the_bytes bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
  UPDATE public.upload SET bytes = the_bytes WHERE name = the_name AND bytes IS NULL
$$;

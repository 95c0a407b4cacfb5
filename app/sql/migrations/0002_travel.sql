-- What the agency sells. A kind and a name are one offer: adding a known one updates it.
CREATE TABLE offer (
  id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind        text NOT NULL CHECK (kind IN ('flight', 'bus', 'hotel')),
  name        text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 120),
  origin      text NOT NULL DEFAULT '' CHECK (char_length(origin) <= 80), -- a hotel has none
  place       text NOT NULL CHECK (char_length(place) BETWEEN 1 AND 80),
  starts_on   date NOT NULL,
  ends_on     date NOT NULL CHECK (ends_on >= starts_on),
  price_cents integer NOT NULL CHECK (price_cents BETWEEN 0 AND 100000000),
  quantity    integer NOT NULL CHECK (quantity >= 0), -- what is left
  created_at  timestamptz NOT NULL DEFAULT now(),
  UNIQUE (kind, name)
);
CREATE INDEX offer_starts_on ON offer (starts_on, id);

-- Visitors. Sessions hold a digest of the cookie's value, so that a copy of the table opens none.
CREATE TABLE account (
  id            integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  email         text NOT NULL UNIQUE CHECK (email = lower(email) AND char_length(email) <= 254),
  name          text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 80),
  password_hash text NOT NULL,
  created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE session (
  id_hash    bytea PRIMARY KEY,
  account_id integer NOT NULL REFERENCES account ON DELETE CASCADE,
  expires_at timestamptz NOT NULL
);
CREATE INDEX session_account_id ON session (account_id);
CREATE INDEX session_expires_at ON session (expires_at);
CREATE TABLE password_reset (
  token_hash bytea PRIMARY KEY,
  account_id integer NOT NULL REFERENCES account ON DELETE CASCADE,
  expires_at timestamptz NOT NULL
);
CREATE INDEX password_reset_account_id ON password_reset (account_id);

-- Who may change the gallery, the offers and the stock.
CREATE TABLE administrator (
  id            integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name          text NOT NULL UNIQUE CHECK (char_length(name) BETWEEN 1 AND 80),
  password_hash text NOT NULL,
  first_hash    text NOT NULL -- of the password that the stack gave; another one given replaces both
);
CREATE TABLE administrator_session (
  id_hash          bytea PRIMARY KEY,
  administrator_id integer NOT NULL REFERENCES administrator ON DELETE CASCADE,
  expires_at       timestamptz NOT NULL
);
CREATE INDEX administrator_session_administrator_id ON administrator_session (administrator_id);

-- Failed logins: by e-mail address, by client, by both.
CREATE TABLE login_failure (
  subject    text PRIMARY KEY,
  failures   integer NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE INDEX login_failure_expires_at ON login_failure (expires_at);

-- A trip: places taken from one offer. Only book() and cancel_booking() write here.
CREATE TABLE booking (
  id           integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account_id   integer NOT NULL REFERENCES account ON DELETE CASCADE,
  offer_id     integer NOT NULL REFERENCES offer,
  quantity     integer NOT NULL CHECK (quantity > 0),
  price_cents  integer NOT NULL, -- of one, when it was booked
  created_at   timestamptz NOT NULL DEFAULT now(),
  cancelled_at timestamptz
);
CREATE INDEX booking_account_id ON booking (account_id, id);
CREATE INDEX booking_offer_id ON booking (offer_id);

-- What is to be done for a trip.
CREATE TABLE trip_item (
  id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  booking_id integer NOT NULL REFERENCES booking ON DELETE CASCADE,
  text       text NOT NULL CHECK (char_length(text) BETWEEN 1 AND 200),
  done       boolean NOT NULL DEFAULT false,
  image_file text UNIQUE CHECK (image_file ~ '^[0-9a-f]{32}\.(png|jpg|gif|webp)$'),
  image_width  integer CHECK (image_width > 0),
  image_height integer CHECK (image_height > 0),
  created_at timestamptz NOT NULL DEFAULT now(),
  CHECK ((image_file IS NULL) = (image_width IS NULL) AND (image_file IS NULL) = (image_height IS NULL))
);
CREATE INDEX trip_item_booking_id ON trip_item (booking_id, id);

-- As idempotency_key, for the storefront's changes: neither tier can touch the other's answers.
CREATE TABLE visitor_idempotency_key (LIKE idempotency_key INCLUDING ALL);

-- Takes places. The storefront has no other way to change an offer.
-- Raises HA401 (no such account), HA404 (no such offer), HA409 (not enough left; the detail says how many are), HA410 (it has
-- started already).
CREATE FUNCTION book(the_account integer, the_offer integer, the_quantity integer)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
  found_offer public.offer;
  new_id integer;
BEGIN
  -- The account comes first, as it does where one is deleted: neither then waits for the other.
  PERFORM FROM public.account WHERE id = the_account FOR KEY SHARE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no such account' USING ERRCODE = 'HA401';
  END IF;
  -- The row's lock makes bookings of one offer wait for each other; nobody counts on an old number.
  SELECT * INTO found_offer FROM public.offer WHERE id = the_offer FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no such offer' USING ERRCODE = 'HA404';
  ELSIF found_offer.starts_on < current_date THEN
    RAISE EXCEPTION 'the offer has started' USING ERRCODE = 'HA410';
  ELSIF found_offer.quantity < the_quantity THEN
    RAISE EXCEPTION 'only % left', found_offer.quantity
      USING ERRCODE = 'HA409', DETAIL = found_offer.quantity::text;
  END IF;
  UPDATE public.offer SET quantity = quantity - the_quantity WHERE id = the_offer;
  INSERT INTO public.booking (account_id, offer_id, quantity, price_cents)
  VALUES (the_account, the_offer, the_quantity, found_offer.price_cents)
  RETURNING id INTO new_id;
  RETURN new_id;
END
$$;

-- Gives the places of one's own booking back, once. True where this call did it, false where it was
-- done before. Raises HA404 (no such booking of this account), HA410 (it has started already).
CREATE FUNCTION cancel_booking(the_account integer, the_booking integer)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
  found_booking public.booking;
BEGIN
  SELECT * INTO found_booking FROM public.booking
  WHERE id = the_booking AND account_id = the_account FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no such booking' USING ERRCODE = 'HA404';
  ELSIF found_booking.cancelled_at IS NOT NULL THEN
    RETURN false;
  END IF;
  PERFORM FROM public.offer WHERE id = found_booking.offer_id AND starts_on >= current_date;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'the trip has started' USING ERRCODE = 'HA410';
  END IF;
  UPDATE public.booking SET cancelled_at = now() WHERE id = the_booking;
  UPDATE public.offer SET quantity = quantity + found_booking.quantity
  WHERE id = found_booking.offer_id;
  RETURN true;
END
$$;

-- An account that is deleted, with its bookings, gives back what it had booked of offers that have
-- not started.
CREATE FUNCTION give_back_places() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
  -- In the order of the offers, or two deletions could wait for each other.
  PERFORM FROM public.offer
  WHERE id IN (SELECT offer_id FROM gone WHERE cancelled_at IS NULL)
  ORDER BY id FOR NO KEY UPDATE;
  UPDATE public.offer SET quantity = offer.quantity + given.places
  FROM (
    SELECT offer_id, sum(quantity) AS places FROM gone WHERE cancelled_at IS NULL GROUP BY offer_id
  ) AS given
  WHERE id = given.offer_id AND starts_on >= current_date;
  RETURN NULL;
END
$$;
CREATE TRIGGER booking_deleted AFTER DELETE ON booking REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION give_back_places();

-- The gallery: a quote and a picture per destination.
CREATE TABLE content (
  id           integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  title        text NOT NULL DEFAULT '' CHECK (char_length(title) <= 80),
  quote        text NOT NULL CHECK (char_length(quote) BETWEEN 1 AND 500),
  author       text NOT NULL DEFAULT '' CHECK (char_length(author) <= 80),
  image_file   text NOT NULL UNIQUE CHECK (image_file ~ '^[0-9a-f]{32}\.(png|jpg|gif|webp)$'),
  image_type   text NOT NULL,
  image_bytes  integer NOT NULL CHECK (image_bytes > 0),
  image_width  integer NOT NULL CHECK (image_width > 0),
  image_height integer NOT NULL CHECK (image_height > 0),
  created_at   timestamptz NOT NULL DEFAULT now()
);

-- Changes that were asked for under a key, with the answer that was given: stored in the change's
-- own transaction, so that a repeat finds either both or neither.
CREATE TABLE idempotency_key (
  scope        text NOT NULL,
  key          text NOT NULL CHECK (char_length(key) BETWEEN 1 AND 200),
  request_hash bytea NOT NULL,
  answer       json, -- as text, so that a repeat gets the very same bytes
  created_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_key_created_at ON idempotency_key (created_at);

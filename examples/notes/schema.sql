-- Runs before each release, while instances of the release before still serve: only add things,
-- and write every statement so that it can run again.
CREATE TABLE IF NOT EXISTS note (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  key text NOT NULL UNIQUE,
  title text NOT NULL,
  text text NOT NULL,
  picture text,
  added_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT, UPDATE, DELETE ON note TO app_web;

-- Administrators' failed logins, in a table that the storefront cannot touch. The release before goes
-- on counting its own in login_failure while this runs.
CREATE TABLE administrator_login_failure (LIKE login_failure INCLUDING ALL);

-- When a session was last used: one of an administrator ends when it is idle.
ALTER TABLE administrator_session ADD COLUMN seen_at timestamptz NOT NULL DEFAULT now();

-- What the database role of each tier may do; applied as a whole after every run of the migrations.
-- Rights of other roles are not touched: instances of an earlier release may still run with theirs.
REVOKE ALL ON SCHEMA public FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC, app_storefront, app_admin;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM PUBLIC, app_storefront, app_admin;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC, app_storefront, app_admin;

GRANT USAGE ON SCHEMA public TO app_storefront, app_admin;

-- The gallery and the offers: everybody reads, administrators write.
GRANT SELECT ON content, offer TO app_storefront, app_admin;
GRANT INSERT, DELETE ON content TO app_admin;
GRANT INSERT, UPDATE, DELETE ON offer TO app_admin;
GRANT SELECT, INSERT, DELETE, UPDATE (answer) ON idempotency_key TO app_admin;

-- Visitors' own things: the storefront. Stock moves through the two functions alone.
GRANT SELECT, INSERT, DELETE, UPDATE (name, password_hash) ON account TO app_storefront;
GRANT SELECT, INSERT, DELETE ON session, password_reset TO app_storefront;
GRANT SELECT ON booking TO app_storefront;
GRANT EXECUTE ON FUNCTION book(integer, integer, integer) TO app_storefront;
GRANT EXECUTE ON FUNCTION cancel_booking(integer, integer) TO app_storefront;
GRANT SELECT, INSERT, DELETE, UPDATE (done) ON trip_item TO app_storefront;
GRANT SELECT, INSERT, DELETE, UPDATE (answer) ON visitor_idempotency_key TO app_storefront;

-- Administrators make reset links, see whether an offer is booked, and sweep what is left over.
GRANT SELECT, UPDATE (password_hash) ON administrator TO app_admin;
GRANT SELECT, INSERT, DELETE, UPDATE (seen_at) ON administrator_session TO app_admin;
GRANT SELECT (id, email) ON account TO app_admin;
GRANT INSERT ON password_reset TO app_admin;
GRANT SELECT (offer_id) ON booking TO app_admin;
GRANT SELECT (image_file) ON trip_item TO app_admin;
GRANT SELECT (expires_at), DELETE ON session, password_reset TO app_admin;
GRANT SELECT (created_at), DELETE ON visitor_idempotency_key TO app_admin;

-- Both logins are throttled, each in a table of its own. The admin tier sweeps the storefront's too;
-- its release before, which may still run, counts there.
GRANT SELECT, INSERT, UPDATE, DELETE ON administrator_login_failure TO app_admin;
GRANT SELECT, INSERT, UPDATE, DELETE ON login_failure TO app_storefront, app_admin;

-- Room for uploads is taken, kept and given back by functions and triggers alone: nobody changes a
-- budget or a sum. Both tiers show how full it is; the admin tier's sweeper removes what has no room.
GRANT SELECT ON upload_budget TO app_storefront, app_admin;
GRANT EXECUTE ON FUNCTION leave_room(text, boolean), trash_upload(text) TO app_storefront, app_admin;
GRANT EXECUTE ON FUNCTION take_account_room(text, integer, integer) TO app_storefront;
GRANT EXECUTE ON FUNCTION take_gallery_room(text, integer) TO app_admin;
GRANT SELECT ON upload, upload_trash TO app_admin;
GRANT EXECUTE ON FUNCTION uploads_to_drop(integer, boolean) TO app_admin;
GRANT EXECUTE ON FUNCTION match_trash(text[]), note_trash(text, bigint, timestamptz) TO app_admin;
GRANT EXECUTE ON FUNCTION forget_trash(text) TO app_admin;
-- The release before asks for them by this one.
GRANT EXECUTE ON FUNCTION uploads_to_remove(integer) TO app_admin;
GRANT EXECUTE ON FUNCTION measure_upload(text, bigint) TO app_admin;

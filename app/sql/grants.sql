-- What each principal may do; applied as a whole after every run of the migrations.
-- :"storefront" and :"admin" stand for the role names of the configuration.
REVOKE ALL ON SCHEMA public FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC, :"storefront", :"admin";
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM PUBLIC, :"storefront", :"admin";
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC, :"storefront", :"admin";

GRANT USAGE ON SCHEMA public TO :"storefront", :"admin";

-- The gallery and the offers: everybody reads, administrators write.
GRANT SELECT ON content, offer TO :"storefront", :"admin";
GRANT INSERT, DELETE ON content TO :"admin";
GRANT INSERT, UPDATE, DELETE ON offer TO :"admin";
GRANT SELECT, INSERT, DELETE, UPDATE (answer) ON idempotency_key TO :"admin";

-- Visitors' own things: the storefront. Stock moves through the two functions alone.
GRANT SELECT, INSERT, DELETE, UPDATE (name, password_hash) ON account TO :"storefront";
GRANT SELECT, INSERT, DELETE ON session, password_reset TO :"storefront";
GRANT SELECT ON booking TO :"storefront";
GRANT EXECUTE ON FUNCTION book(integer, integer, integer) TO :"storefront";
GRANT EXECUTE ON FUNCTION cancel_booking(integer, integer) TO :"storefront";
GRANT SELECT, INSERT, DELETE, UPDATE (done) ON trip_item TO :"storefront";
GRANT SELECT, INSERT, DELETE, UPDATE (answer) ON visitor_idempotency_key TO :"storefront";

-- Administrators make reset links, see whether an offer is booked, and sweep what is left over.
GRANT SELECT, UPDATE (password_hash) ON administrator TO :"admin";
GRANT SELECT, INSERT, DELETE ON administrator_session TO :"admin";
GRANT SELECT (id, email) ON account TO :"admin";
GRANT INSERT ON password_reset TO :"admin";
GRANT SELECT (offer_id) ON booking TO :"admin";
GRANT SELECT (image_file) ON trip_item TO :"admin";
GRANT SELECT (expires_at), DELETE ON session, password_reset TO :"admin";
GRANT SELECT (created_at), DELETE ON visitor_idempotency_key TO :"admin";

-- Both logins are throttled.
GRANT SELECT, INSERT, UPDATE, DELETE ON login_failure TO :"storefront", :"admin";

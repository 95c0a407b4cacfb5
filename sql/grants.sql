-- What each principal may do; applied as a whole after every run of the migrations.
-- :"storefront" and :"admin" stand for the role names of the configuration.
REVOKE ALL ON SCHEMA public FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC, :"storefront", :"admin";
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM PUBLIC, :"storefront", :"admin";

GRANT USAGE ON SCHEMA public TO :"storefront", :"admin";

GRANT SELECT ON content TO :"storefront", :"admin";
GRANT INSERT, DELETE ON content TO :"admin";

GRANT SELECT, INSERT, DELETE, UPDATE (answer) ON idempotency_key TO :"admin";

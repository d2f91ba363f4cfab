-- The roles of Postwire's database, to be run once by whoever administers PostgreSQL, in the empty
-- database `postwire` (psql -d postwire -f roles.sql); running it again changes nothing. Passwords are
-- set with \password.
--
--   postwire      owns the tables; `migrate` alone logs in as it, past any PgBouncer
--   postwire_app  reads and writes rows; API, sync-workers and watchers log in as it
DO $$
BEGIN
    IF to_regrole('postwire') IS NULL THEN CREATE ROLE postwire LOGIN; END IF;
    IF to_regrole('postwire_app') IS NULL THEN CREATE ROLE postwire_app LOGIN; END IF;
END
$$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO postwire;
GRANT USAGE ON SCHEMA public TO postwire_app;

-- Of tables that are there, and of those that later migrations make.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO postwire_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO postwire_app;
ALTER DEFAULT PRIVILEGES FOR ROLE postwire IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO postwire_app;
ALTER DEFAULT PRIVILEGES FOR ROLE postwire IN SCHEMA public
    GRANT USAGE ON SEQUENCES TO postwire_app;

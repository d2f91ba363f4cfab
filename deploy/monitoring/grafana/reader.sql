-- The role by which Grafana reads one account's story: no mail, no password, no token. Run it as the owner
-- of the tables, and again after an upgrade; then give the role a password (psql: \password postwire_reader).
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'postwire_reader') THEN
        CREATE ROLE postwire_reader LOGIN CONNECTION LIMIT 5;
    END IF;
END
$$;
ALTER ROLE postwire_reader SET statement_timeout = '10s';
ALTER ROLE postwire_reader SET default_transaction_read_only = on;

GRANT USAGE ON SCHEMA public TO postwire_reader;
-- Column by column, for beside these lie `credential`, and the beginnings of letters.
GRANT SELECT (id, user_id, address, host, port, security, window_days, state, state_reason, state_since,
              sync_every, next_sync_at, last_synced_at, failures, busy_until, audited_at, epoch, revision,
              created_at)
    ON account TO postwire_reader;
GRANT SELECT (mailbox_id, uidvalidity, uid, error, at, attempts, retry_at)
    ON set_aside TO postwire_reader;
GRANT SELECT ON mailbox, job, lease, live_process, imap_connection TO postwire_reader;

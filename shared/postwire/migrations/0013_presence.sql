-- One sign of life for each process: what it holds elsewhere is its own for as long as it is alive,
-- so that two thousand leases are renewed by one row. The release before writes none, and its leases
-- are taken over at once; what it reads of ours, it takes for held (`lease.expires_at`).

CREATE TABLE process (
    holder     text PRIMARY KEY,
    kind       text NOT NULL,                      -- watcher, sync-worker
    expires_at timestamptz NOT NULL                -- the process moves this on
);

-- What is judged by: who is not in here is dead. An end that is far off was written before the
-- database's clock was set back; who is alive has written another since.
CREATE VIEW live_process AS
    SELECT holder, kind FROM process
     WHERE expires_at BETWEEN now() AND now() + interval '1 minute';

-- When the holder got it: what it has held longest is given away last.
ALTER TABLE lease ADD COLUMN since timestamptz NOT NULL DEFAULT now();
-- Whether the holder has connected since: until then the one before it watches on.
ALTER TABLE lease ADD COLUMN watched boolean NOT NULL DEFAULT false;

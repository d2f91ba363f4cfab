-- The first schema. What grows is hash-partitioned by account, so that it can move to more
-- servers by account; no query but the schedule's crosses accounts.

CREATE TABLE account (
    id             uuid PRIMARY KEY,
    user_id        text NOT NULL,                  -- `sub` of the bearer token
    address        text NOT NULL,
    host           text NOT NULL,
    port           integer NOT NULL CHECK (port BETWEEN 1 AND 65535),
    security       text NOT NULL CHECK (security IN ('tls', 'starttls', 'none')),
    username       text NOT NULL,
    credential     bytea NOT NULL,                 -- sealed, see postwire.credentials
    window_days    integer CHECK (window_days > 0),-- how far back the first sync reaches; NULL: all
    state          text NOT NULL CHECK (state IN
                       ('connecting', 'active', 'paused', 'auth_failed', 'unreachable')),
    state_reason   text,                           -- why, in words for the user
    state_since    timestamptz NOT NULL DEFAULT now(),
    sync_every     integer CHECK (sync_every >= 10), -- seconds; NULL: not automatic
    next_sync_at   timestamptz NOT NULL DEFAULT now(),
    last_synced_at timestamptz,                    -- the last look that found the server well
    failures       integer NOT NULL DEFAULT 0,     -- failed jobs in a row, for the backoff
    epoch          integer NOT NULL DEFAULT 1,     -- changes when history was rebuilt
    revision       bigint NOT NULL DEFAULT 0,      -- raised once in each committing transaction
    created_at     timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX account_once ON account (user_id, lower(address));
CREATE INDEX account_due ON account (next_sync_at)
    WHERE sync_every IS NOT NULL AND state IN ('active', 'unreachable');

CREATE TABLE mailbox (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id   uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    name         text NOT NULL,                    -- decoded from modified UTF-7
    delimiter    text,
    special_use  text,                             -- RFC 6154, e.g. \Sent
    uidvalidity  bigint,                           -- NULL until first selected
    uidnext      bigint,                           -- stored up to here, exclusive
    backfill_uid bigint,                           -- stored down to here; 0: the window is filled
    checked_at   timestamptz,
    UNIQUE (account_id, name)
);

CREATE SEQUENCE message_id;

CREATE TABLE message (
    account_id      uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    id              bigint NOT NULL DEFAULT nextval('message_id'),
    digest          bytea NOT NULL,                -- SHA-256 of header block and size
    message_id      text,                          -- the header field; serves threading only
    in_reply_to     text,
    "references"    text[] NOT NULL,
    subject         text NOT NULL,
    date            timestamptz,                   -- as the sender says
    internaldate    timestamptz NOT NULL,          -- as the server says
    addresses       jsonb NOT NULL,                -- from, to, cc, bcc, reply_to: [[name, address]]
    size            bigint NOT NULL,
    direction       text NOT NULL CHECK (direction IN ('inbound', 'outbound')),
    snippet         text NOT NULL,
    has_attachments boolean NOT NULL,
    problem         text,                          -- what could not be read, in words
    added_revision  bigint NOT NULL,               -- the account's when it was first stored
    revision        bigint NOT NULL,               -- the account's when it last changed
    stored_at       timestamptz NOT NULL DEFAULT now(),
    expunged_at     timestamptz,                   -- tombstone: gone from the server
    PRIMARY KEY (account_id, id),
    UNIQUE (account_id, digest)
) PARTITION BY HASH (account_id);
CREATE INDEX message_newest ON message (account_id, internaldate DESC, id DESC)
    WHERE expunged_at IS NULL;
CREATE INDEX message_changes ON message (account_id, revision);

CREATE TABLE body (
    account_id uuid NOT NULL,
    message_id bigint NOT NULL,
    text       text,
    html       text,               -- as received; sanitised when read
    PRIMARY KEY (account_id, message_id),
    FOREIGN KEY (account_id, message_id) REFERENCES message ON DELETE CASCADE
) PARTITION BY HASH (account_id);

-- lz4 costs a third of what pglz does; a server that was built without it (the embedded one) still
-- works. Before the partitions are made: they take it over.
DO $$
BEGIN
    ALTER TABLE body ALTER COLUMN text SET COMPRESSION lz4, ALTER COLUMN html SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    RAISE NOTICE 'this PostgreSQL has no lz4; bodies are compressed by pglz';
END
$$;

CREATE TABLE attachment (
    account_id   uuid NOT NULL,
    message_id   bigint NOT NULL,
    n            integer NOT NULL,                 -- position in the message, from 1
    section      text NOT NULL,                    -- RFC 3501 section to fetch it by
    filename     text,
    content_type text NOT NULL,
    size         bigint NOT NULL,                  -- as transferred
    content_id   text,
    disposition  text,
    PRIMARY KEY (account_id, message_id, n),
    FOREIGN KEY (account_id, message_id) REFERENCES message ON DELETE CASCADE
) PARTITION BY HASH (account_id);

CREATE TABLE placement (
    account_id  uuid NOT NULL,
    mailbox_id  bigint NOT NULL REFERENCES mailbox ON DELETE CASCADE,
    uidvalidity bigint NOT NULL,
    uid         bigint NOT NULL,
    message_id  bigint NOT NULL,
    flags       text[] NOT NULL,
    modseq      bigint,                            -- RFC 7162, where the server has it
    PRIMARY KEY (account_id, mailbox_id, uidvalidity, uid),
    FOREIGN KEY (account_id, message_id) REFERENCES message ON DELETE CASCADE
) PARTITION BY HASH (account_id);
CREATE INDEX placement_of_message ON placement (account_id, message_id);
CREATE INDEX placement_unread ON placement (account_id, mailbox_id)
    WHERE NOT ('\Seen' = ANY (flags));

-- Where a message lies and what flags it has; a copy that was read makes it read.
CREATE FUNCTION placed(account uuid, message bigint)
    RETURNS TABLE (mailboxes text[], flags text[]) LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(DISTINCT mailbox.name), '{}'),
           coalesce(array_agg(DISTINCT flag) FILTER (WHERE flag IS NOT NULL), '{}')
      FROM placement
      JOIN mailbox ON mailbox.id = placement.mailbox_id
      LEFT JOIN LATERAL unnest(placement.flags) AS flag ON true
     WHERE placement.account_id = account AND placement.message_id = message
$$;

-- Messages the server could not serve or we could not read; they never stop their mailbox.
CREATE TABLE set_aside (
    mailbox_id  bigint NOT NULL REFERENCES mailbox ON DELETE CASCADE,
    uidvalidity bigint NOT NULL,
    uid         bigint NOT NULL,
    error       text NOT NULL,                     -- in words
    at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (mailbox_id, uidvalidity, uid)
);

DO $$
BEGIN
    FOR n IN 0..7 LOOP
        EXECUTE format('CREATE TABLE message_%s PARTITION OF message FOR VALUES WITH (MODULUS 8, REMAINDER %s)', n, n);
        EXECUTE format('CREATE TABLE body_%s PARTITION OF body FOR VALUES WITH (MODULUS 8, REMAINDER %s)', n, n);
        EXECUTE format('CREATE TABLE attachment_%s PARTITION OF attachment FOR VALUES WITH (MODULUS 8, REMAINDER %s)', n, n);
        EXECUTE format('CREATE TABLE placement_%s PARTITION OF placement FOR VALUES WITH (MODULUS 8, REMAINDER %s)', n, n);
    END LOOP;
END
$$;

CREATE TABLE job (
    id          text PRIMARY KEY,                  -- sync-<account>-<ms>
    account_id  uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    user_id     text NOT NULL,
    reason      text NOT NULL CHECK (reason IN ('manual', 'auto', 'push')),
    state       text NOT NULL CHECK (state IN
                    ('waiting', 'active', 'delayed', 'completed', 'failed')),
    again       boolean NOT NULL DEFAULT false,    -- asked for once more while it ran
    attempts    integer NOT NULL DEFAULT 0,        -- failed ones
    found       integer NOT NULL DEFAULT 0,        -- messages stored for the first time
    error       text,                              -- the last one, in words
    created_at  timestamptz NOT NULL DEFAULT now(),
    run_at      timestamptz NOT NULL DEFAULT now(),-- not before; due jobs wait since then
    swept_at    timestamptz,                       -- when it was last found stranded
    holder      text,                              -- the run that has it
    held_until  timestamptz,                       -- a run that is alive moves this on
    started_at  timestamptz,
    finished_at timestamptz
);
-- At most one open job an account: asking again returns it.
CREATE UNIQUE INDEX job_open ON job (account_id) WHERE state IN ('waiting', 'active', 'delayed');
CREATE INDEX job_stranded ON job (run_at) WHERE state IN ('waiting', 'active', 'delayed');
CREATE INDEX job_history ON job (user_id, created_at DESC, id DESC);
CREATE INDEX job_finished ON job (account_id, finished_at DESC)
    WHERE state IN ('completed', 'failed');

-- Which watcher holds which account. A higher fence means a later holder.
CREATE TABLE lease (
    account_id uuid PRIMARY KEY REFERENCES account ON DELETE CASCADE,
    holder     text NOT NULL,
    fence      bigint NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX lease_holder ON lease (holder);

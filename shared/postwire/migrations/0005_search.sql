-- What search looks at: the words of a message, folded by postwire.words, as one tsvector.
--
-- A table of its own keeps the rows of `message` small. In its key the message comes first, on
-- purpose: `account_id = …` alone then never leads the planner past the GIN index to a walk over
-- every document of the account.

CREATE TABLE search (
    account_id   uuid NOT NULL,
    message_id   bigint NOT NULL,
    internaldate timestamptz NOT NULL,             -- as in `message`, which is never changed
    document     tsvector NOT NULL,                -- holds whose it is and how new, for the index
    visible      text,                             -- what is read of a message that has HTML only
    PRIMARY KEY (message_id, account_id),
    FOREIGN KEY (account_id, message_id) REFERENCES message ON DELETE CASCADE
) PARTITION BY HASH (account_id);
CREATE INDEX search_document ON search USING gin (document) WITH (fastupdate = off);

DO $$
BEGIN
    ALTER TABLE search ALTER COLUMN document SET COMPRESSION lz4,
                       ALTER COLUMN visible SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    RAISE NOTICE 'this PostgreSQL has no lz4; documents are compressed by pglz';
END
$$;

DO $$
BEGIN
    FOR n IN 0..7 LOOP
        EXECUTE format('CREATE TABLE search_%s PARTITION OF search FOR VALUES WITH (MODULUS 8, REMAINDER %s)', n, n);
    END LOOP;
END
$$;

-- Accounts whose older messages have yet to be indexed: the watcher goes down through them, newest
-- first, a few at a time, and removes the row at the bottom. The second pass, an hour later, finds
-- what the previous release stored while this one was being rolled out.
CREATE TABLE search_backlog (
    account_id uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    due_at     timestamptz NOT NULL,
    below      bigint,                             -- done down to this message; NULL: not begun
    PRIMARY KEY (account_id, due_at)
);
INSERT INTO search_backlog (account_id, due_at)
SELECT account.id, due_at FROM account, (VALUES (now()), (now() + interval '1 hour')) AS pass (due_at);

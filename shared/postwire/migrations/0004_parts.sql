-- Attachment bytes, kept once an account and content; requests for them; messages set aside that
-- are tried again. Everything that is added to an older table has a default, for the release before
-- this one still writes there.

-- The bytes of attachments, decoded. `hash` is NULL while they are still being fetched.
CREATE SEQUENCE content_id;
CREATE TABLE content (
    account_id uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    id         bigint NOT NULL DEFAULT nextval('content_id'),
    hash       bytea,                              -- SHA-256
    size       bigint NOT NULL DEFAULT 0,          -- bytes
    begun_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, id),
    UNIQUE (account_id, hash)
) PARTITION BY HASH (account_id);

-- All chunks but the last are of one length (store.contents.CHUNK), so that a range is found by
-- division.
CREATE TABLE content_chunk (
    account_id uuid NOT NULL,
    content_id bigint NOT NULL,
    n          integer NOT NULL,                   -- from 0
    bytes      bytea NOT NULL,
    PRIMARY KEY (account_id, content_id, n),
    FOREIGN KEY (account_id, content_id) REFERENCES content ON DELETE CASCADE
) PARTITION BY HASH (account_id);
-- What people attach is compressed already. Before the partitions are made: they take it over.
ALTER TABLE content_chunk ALTER COLUMN bytes SET STORAGE EXTERNAL;

-- An attachment that somebody waits for. The row goes when the content is there.
CREATE TABLE attachment_request (
    account_id uuid NOT NULL,
    message_id bigint NOT NULL,
    n          integer NOT NULL,
    state      text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'active', 'failed')),
    failure    text,                               -- what kind, see store.contents
    error      text,                               -- in words
    asked_at   timestamptz NOT NULL DEFAULT now(),
    failed_at  timestamptz,
    holder     text,
    held_until timestamptz,                        -- moved on with each chunk
    PRIMARY KEY (account_id, message_id, n),
    FOREIGN KEY (account_id, message_id, n) REFERENCES attachment ON DELETE CASCADE
);

DO $$
BEGIN
    FOR n IN 0..7 LOOP
        EXECUTE format('CREATE TABLE content_%s PARTITION OF content FOR VALUES WITH (MODULUS 8, REMAINDER %s)', n, n);
        EXECUTE format('CREATE TABLE content_chunk_%s PARTITION OF content_chunk FOR VALUES WITH (MODULUS 8, REMAINDER %s)', n, n);
    END LOOP;
END
$$;

-- The content, once it was fetched.
ALTER TABLE attachment ADD COLUMN hash bytea;

-- RFC 3676: '' is fixed, 'flowed', or 'delsp' (flowed with DelSp=yes). The text stays as received.
ALTER TABLE body ADD COLUMN flow text NOT NULL DEFAULT '';

ALTER TABLE set_aside
    ADD COLUMN attempts integer NOT NULL DEFAULT 1,
    ADD COLUMN retry_at timestamptz NOT NULL DEFAULT now() + interval '1 hour',
    ADD COLUMN raw bytea;                          -- the message, or its beginning, where to be had

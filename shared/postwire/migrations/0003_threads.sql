-- Conversations. The release before stores messages without a thread; `postwire.store.threads`
-- gives them theirs, after the migrations and whenever it meets one.

CREATE SEQUENCE thread_id;

CREATE TABLE thread (
    account_id   uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    id           bigint NOT NULL DEFAULT nextval('thread_id'),
    subject      text NOT NULL,                    -- of its first message
    started_at   timestamptz NOT NULL,             -- internaldate of its first message
    participants jsonb NOT NULL,                   -- the first of them: [[at, n, name, address]]
    merged_into  bigint,                           -- tombstone: all its messages are there
    PRIMARY KEY (account_id, id)
) PARTITION BY HASH (account_id);
CREATE INDEX thread_merged ON thread (account_id, merged_into) WHERE merged_into IS NOT NULL;

-- Which thread a Message-ID belongs to, whether or not a message with it was stored.
CREATE TABLE thread_reference (
    account_id      uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    message_id_hash bytea NOT NULL,                -- BLAKE2b, 16 bytes
    thread_id       bigint NOT NULL,
    PRIMARY KEY (account_id, message_id_hash)
) PARTITION BY HASH (account_id);
CREATE INDEX thread_reference_of_thread ON thread_reference (account_id, thread_id);

DO $$
BEGIN
    FOR n IN 0..7 LOOP
        EXECUTE format('CREATE TABLE thread_%s PARTITION OF thread FOR VALUES WITH (MODULUS 8, REMAINDER %s)', n, n);
        EXECUTE format('CREATE TABLE thread_reference_%s PARTITION OF thread_reference FOR VALUES WITH (MODULUS 8, REMAINDER %s)', n, n);
    END LOOP;
END
$$;

ALTER TABLE message ADD COLUMN thread_id bigint;   -- NULL: not yet given one
CREATE INDEX message_of_thread ON message (account_id, thread_id, internaldate, id);
CREATE INDEX message_without_thread ON message (account_id, id) WHERE thread_id IS NULL;

-- What changes in a thread when a message is read, flagged or expunged: counted, never kept.
CREATE FUNCTION thread_counts(account uuid, thread bigint)
    RETURNS TABLE (messages bigint, unread bigint, has_attachments boolean, revision bigint)
    LANGUAGE sql STABLE AS $$
    SELECT count(*) FILTER (WHERE expunged_at IS NULL),
           count(*) FILTER (WHERE expunged_at IS NULL AND NOT EXISTS (
               SELECT FROM placement
                WHERE placement.account_id = account AND placement.message_id = message.id
                  AND '\Seen' = ANY (placement.flags))),
           coalesce(bool_or(message.has_attachments) FILTER (WHERE expunged_at IS NULL), false),
           max(message.revision)
      FROM message
     WHERE message.account_id = account AND message.thread_id = thread
$$;

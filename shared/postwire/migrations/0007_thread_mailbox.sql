-- The conversations of a mailbox in the order in which they are listed: by the newest message of
-- the thread, wherever that one lies. Kept by triggers, so that whoever writes keeps it: the release
-- before, too. Filled here, once; writes wait for as long as that takes, reads do not.

-- In the order in which whoever writes mail locks rows of theirs: so nobody waits for us who holds
-- what we wait for.
LOCK TABLE mailbox, account IN SHARE ROW EXCLUSIVE MODE;

CREATE TABLE thread_mailbox (
    account_id uuid NOT NULL,
    thread_id  bigint NOT NULL,
    mailbox_id bigint NOT NULL,
    placements bigint NOT NULL,                    -- in the mailbox, of messages of the thread
    newest_at  timestamptz,                        -- internaldate of the thread's newest message,
    newest_id  bigint                              -- and its id; NULL: all are expunged
) PARTITION BY HASH (account_id);

DO $$
BEGIN
    FOR n IN 0..7 LOOP
        EXECUTE format('CREATE TABLE thread_mailbox_%s PARTITION OF thread_mailbox FOR VALUES WITH (MODULUS 8, REMAINDER %s)', n, n);
    END LOOP;
END
$$;

-- For each thread of the array one placement more (or less) in the mailbox at the same place.
CREATE FUNCTION thread_mailbox_count(account uuid, threads bigint[], mailboxes bigint[], change integer)
    RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO thread_mailbox AS kept (account_id, thread_id, mailbox_id, placements)
    SELECT account, counted.thread, counted.mailbox, change * count(*)
      FROM unnest(threads, mailboxes) AS counted (thread, mailbox)
     GROUP BY counted.thread, counted.mailbox
        ON CONFLICT (account_id, thread_id, mailbox_id)
           DO UPDATE SET placements = kept.placements + EXCLUDED.placements;
    DELETE FROM thread_mailbox
     WHERE account_id = account AND thread_id = ANY (threads) AND placements = 0;
END
$$;

-- The newest message of each of the threads is looked up.
CREATE FUNCTION thread_mailbox_order(account uuid, threads bigint[])
    RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE thread_mailbox
       SET newest_at = newest.internaldate, newest_id = newest.id
      FROM (SELECT DISTINCT unnest(threads) AS id) AS thread
           LEFT JOIN LATERAL (
                SELECT message.internaldate, message.id
                  FROM message
                 WHERE message.account_id = account AND message.thread_id = thread.id
                   AND message.expunged_at IS NULL
                 ORDER BY message.internaldate DESC, message.id DESC
                 LIMIT 1) AS newest ON true
     WHERE thread_mailbox.account_id = account AND thread_mailbox.thread_id = thread.id
       AND thread_mailbox.newest_id IS DISTINCT FROM newest.id;
END
$$;

CREATE FUNCTION placement_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    change CONSTANT integer := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
    here record;
BEGIN
    FOR here IN
        SELECT moved.account_id, array_agg(message.thread_id) AS threads,
               array_agg(moved.mailbox_id) AS mailboxes
          FROM moved
          -- A lookup for each: the plan is kept, and one that is right for many reads all messages.
          CROSS JOIN LATERAL (
                SELECT thread_id FROM message
                 WHERE account_id = moved.account_id AND id = moved.message_id
                 LIMIT 1) AS message
         WHERE message.thread_id IS NOT NULL
         GROUP BY moved.account_id
    LOOP
        PERFORM thread_mailbox_count(here.account_id, here.threads, here.mailboxes, change);
        PERFORM thread_mailbox_order(here.account_id, here.threads);
    END LOOP;
    RETURN NULL;
END
$$;
CREATE TRIGGER thread_mailbox_insert AFTER INSERT ON placement REFERENCING NEW TABLE AS moved
    FOR EACH STATEMENT EXECUTE FUNCTION placement_changed();
CREATE TRIGGER thread_mailbox_delete AFTER DELETE ON placement REFERENCING OLD TABLE AS moved
    FOR EACH STATEMENT EXECUTE FUNCTION placement_changed();

-- Messages got their thread, went to another one, were expunged, or came back.
CREATE FUNCTION message_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed record;
    here record;
BEGIN
    FOR changed IN
        SELECT account_id, array_agg(id) AS messages,
               array_agg(before) AS before, array_agg(after) AS after
          -- Not a join: the plan is kept, and one that is right for a few would be quadratic.
          FROM (SELECT account_id, id, max(before) AS before, max(after) AS after
                  FROM (SELECT account_id, id, thread_id AS before, NULL::bigint AS after,
                               expunged_at IS NULL AS lived, NULL::boolean AS lives
                          FROM was
                         UNION ALL
                        SELECT account_id, id, NULL, thread_id, NULL, expunged_at IS NULL
                          FROM becomes) AS both_
                 GROUP BY account_id, id
                HAVING max(before) IS DISTINCT FROM max(after) OR bool_or(lived) <> bool_or(lives)
               ) AS one
         GROUP BY account_id
    LOOP
        FOR here IN
            SELECT counted.change, array_agg(counted.thread) AS threads,
                   array_agg(placement.mailbox_id) AS mailboxes
              FROM unnest(changed.messages, changed.before, changed.after) AS one (id, before, after)
              JOIN placement ON placement.account_id = changed.account_id
                            AND placement.message_id = one.id
              CROSS JOIN LATERAL (VALUES (-1, one.before), (1, one.after)) AS counted (change, thread)
             WHERE one.before IS DISTINCT FROM one.after AND counted.thread IS NOT NULL
             GROUP BY counted.change
        LOOP
            PERFORM thread_mailbox_count(changed.account_id, here.threads, here.mailboxes, here.change);
        END LOOP;
        PERFORM thread_mailbox_order(changed.account_id, changed.before || changed.after);
    END LOOP;
    RETURN NULL;
END
$$;
CREATE TRIGGER thread_mailbox AFTER UPDATE ON message
    REFERENCING OLD TABLE AS was NEW TABLE AS becomes
    FOR EACH STATEMENT EXECUTE FUNCTION message_changed();

INSERT INTO thread_mailbox (account_id, thread_id, mailbox_id, placements, newest_at, newest_id)
SELECT lies.account_id, lies.thread_id, lies.mailbox_id, lies.placements, newest.internaldate, newest.id
  FROM (SELECT message.account_id, message.thread_id, placement.mailbox_id, count(*) AS placements
          FROM message
          JOIN placement ON placement.account_id = message.account_id
                        AND placement.message_id = message.id
         WHERE message.thread_id IS NOT NULL
         GROUP BY 1, 2, 3) AS lies
  LEFT JOIN (SELECT DISTINCT ON (account_id, thread_id) account_id, thread_id, internaldate, id
               FROM message
              WHERE expunged_at IS NULL
              ORDER BY account_id, thread_id, internaldate DESC, id DESC) AS newest
         USING (account_id, thread_id);
-- After the rows are there: to look up each key while they come takes as long again.
ALTER TABLE thread_mailbox
    ADD PRIMARY KEY (account_id, thread_id, mailbox_id),
    ADD FOREIGN KEY (account_id) REFERENCES account ON DELETE CASCADE;
CREATE INDEX thread_mailbox_newest
    ON thread_mailbox (account_id, mailbox_id, newest_at DESC, newest_id DESC);

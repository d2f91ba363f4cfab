-- How many messages lie in each mailbox, and how many of them nobody has read: asked for by every page
-- that opens, and to count them took as long as there are messages. Kept by triggers, so that whoever
-- writes keeps it: the release before, too. Filled here, once; writes wait for as long as that takes,
-- reads do not.

-- In the order in which whoever writes mail locks rows of theirs.
LOCK TABLE mailbox, account IN SHARE ROW EXCLUSIVE MODE;

CREATE TABLE mailbox_count (
    mailbox_id bigint PRIMARY KEY REFERENCES mailbox ON DELETE CASCADE,
    messages   bigint NOT NULL,                    -- placements in the mailbox
    unread     bigint NOT NULL                     -- those of them without \Seen
) WITH (fillfactor = 50);                          -- so that a new version of a row finds room beside it

-- One statement changes many placements; a row of the account is locked by whoever does, before this.
CREATE FUNCTION mailbox_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO mailbox_count AS kept (mailbox_id, messages, unread)
        SELECT mailbox_id, count(*), count(*) FILTER (WHERE NOT ('\Seen' = ANY (flags)))
          FROM becomes
         GROUP BY mailbox_id ORDER BY mailbox_id
            ON CONFLICT (mailbox_id)
               DO UPDATE SET messages = kept.messages + EXCLUDED.messages,
                             unread = kept.unread + EXCLUDED.unread;
    ELSIF TG_OP = 'DELETE' THEN
        -- Where the mailbox itself is gone there is nothing to keep.
        UPDATE mailbox_count
           SET messages = mailbox_count.messages - gone.messages,
               unread = mailbox_count.unread - gone.unread
          FROM (SELECT mailbox_id, count(*) AS messages,
                       count(*) FILTER (WHERE NOT ('\Seen' = ANY (flags))) AS unread
                  FROM was
                 GROUP BY mailbox_id) AS gone
         WHERE mailbox_count.mailbox_id = gone.mailbox_id;
    ELSE
        UPDATE mailbox_count
           SET unread = mailbox_count.unread + changed.unread
          FROM (SELECT mailbox_id, sum(unread) AS unread
                  FROM (SELECT mailbox_id, count(*) FILTER (WHERE NOT ('\Seen' = ANY (flags))) AS unread
                          FROM becomes GROUP BY mailbox_id
                         UNION ALL
                        SELECT mailbox_id, -count(*) FILTER (WHERE NOT ('\Seen' = ANY (flags)))
                          FROM was GROUP BY mailbox_id) AS both_
                 GROUP BY mailbox_id) AS changed
         WHERE mailbox_count.mailbox_id = changed.mailbox_id AND changed.unread <> 0;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER mailbox_count_insert AFTER INSERT ON placement REFERENCING NEW TABLE AS becomes
    FOR EACH STATEMENT EXECUTE FUNCTION mailbox_counted();
CREATE TRIGGER mailbox_count_delete AFTER DELETE ON placement REFERENCING OLD TABLE AS was
    FOR EACH STATEMENT EXECUTE FUNCTION mailbox_counted();
CREATE TRIGGER mailbox_count_update AFTER UPDATE ON placement
    REFERENCING OLD TABLE AS was NEW TABLE AS becomes
    FOR EACH STATEMENT EXECUTE FUNCTION mailbox_counted();

INSERT INTO mailbox_count (mailbox_id, messages, unread)
SELECT mailbox_id, count(*), count(*) FILTER (WHERE NOT ('\Seen' = ANY (flags)))
  FROM placement
 GROUP BY mailbox_id;

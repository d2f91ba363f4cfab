-- What the triggers look up is found by the index that has it, whatever PostgreSQL knows of the table.
-- Where it knows nothing yet, as in the first minutes of a database, any index of an account is as good
-- to it as another, and it went through all messages of the account for each that came. A range in the
-- index's order, not to be sorted, leaves it no choice; = would not count in the order.

-- The newest message of each of the threads is looked up.
CREATE OR REPLACE FUNCTION thread_mailbox_order(account uuid, threads bigint[])
    RETURNS void LANGUAGE plpgsql SET enable_sort = off AS $$
BEGIN
    UPDATE thread_mailbox
       SET newest_at = newest.internaldate, newest_id = newest.id
      FROM (SELECT DISTINCT unnest(threads) AS id) AS thread
           LEFT JOIN LATERAL (
                SELECT message.internaldate, message.id
                  FROM message
                 WHERE message.account_id = account AND message.expunged_at IS NULL
                   AND message.thread_id >= thread.id AND message.thread_id <= thread.id
                 ORDER BY message.thread_id DESC, message.internaldate DESC, message.id DESC
                 LIMIT 1) AS newest ON true
     WHERE thread_mailbox.account_id = account AND thread_mailbox.thread_id = thread.id
       AND thread_mailbox.newest_id IS DISTINCT FROM newest.id;
END
$$;

CREATE OR REPLACE FUNCTION placement_changed() RETURNS trigger LANGUAGE plpgsql
    SET enable_sort = off AS $$
DECLARE
    change CONSTANT integer := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
    here record;
BEGIN
    FOR here IN
        SELECT moved.account_id, array_agg(message.thread_id) AS threads,
               array_agg(moved.mailbox_id) AS mailboxes
          FROM moved
          CROSS JOIN LATERAL (
                SELECT thread_id FROM message
                 WHERE account_id = moved.account_id
                   AND id >= moved.message_id AND id <= moved.message_id
                 ORDER BY id LIMIT 1) AS message
         WHERE message.thread_id IS NOT NULL
         GROUP BY moved.account_id
    LOOP
        PERFORM thread_mailbox_count(here.account_id, here.threads, here.mailboxes, change);
        PERFORM thread_mailbox_order(here.account_id, here.threads);
    END LOOP;
    RETURN NULL;
END
$$;

-- What is known of each mailbox, so that what did not change costs nothing. Nothing here disturbs
-- the release before: it neither reads nor writes these columns.

ALTER TABLE account
    ADD COLUMN mailboxes text[];                   -- names, special uses, '*'; NULL: INBOX and Sent

ALTER TABLE mailbox
    ADD COLUMN object_id     text,                 -- RFC 8474 MAILBOXID
    ADD COLUMN highestmodseq bigint,               -- flags are stored up to here (RFC 7162)
    ADD COLUMN messages      bigint,               -- on the server, as far as counted; NULL: unknown
    ADD COLUMN unseen        bigint,               -- where the server has no modseq
    ADD COLUMN flags_at      timestamptz,          -- all flags were compared, without modseq
    ADD COLUMN window_start  date,                 -- how far back the backfill reaches; NULL: all
    ADD COLUMN resets        integer NOT NULL DEFAULT 0, -- changes of UIDVALIDITY in a row
    ADD COLUMN homeless      boolean NOT NULL DEFAULT false, -- since a reset some may lie nowhere
    ADD COLUMN parked_at     timestamptz,          -- left alone for a day
    ADD COLUMN problem       text;                 -- why, in words

UPDATE mailbox
   SET window_start = account.created_at::date - account.window_days
  FROM account
 WHERE account.id = mailbox.account_id AND mailbox.uidvalidity IS NOT NULL;

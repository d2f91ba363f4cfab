-- Where the connection broke while messages were read, so that the next sync reads fewer at once.
-- The release before neither reads nor writes this.

ALTER TABLE mailbox ADD COLUMN stumbled bigint[];  -- UIDs of that batch; NULL: it never did

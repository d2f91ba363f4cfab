-- The continuous audit: when an account is next compared with its server, and how far that has come.
-- Nothing here disturbs the release before: it neither reads nor writes this.

ALTER TABLE account ADD COLUMN audited_at timestamptz;  -- the last audit that came to its end

CREATE TABLE audit (
    account_id uuid PRIMARY KEY REFERENCES account ON DELETE CASCADE,
    due_at     timestamptz NOT NULL,               -- it begins, or goes on, not before
    mailbox_id bigint NOT NULL DEFAULT 0,          -- compared up to here, mailboxes by their ids
    uid        bigint NOT NULL DEFAULT 0
);

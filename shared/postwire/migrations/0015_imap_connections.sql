-- Connections to mail servers, each written down before it is opened, so that all processes together
-- keep to a limit. The release before neither reads nor writes this: its own are not counted.

CREATE TABLE imap_connection (
    id         uuid PRIMARY KEY,                   -- made by who opens it
    host       text NOT NULL,                      -- in lower case
    account_id uuid NOT NULL,                      -- no reference: it may outlive the account
    holder     text NOT NULL,                      -- counts while it is in live_process
    purpose    text NOT NULL,                      -- sync, manual, attachment, idle
    opened_at  timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX imap_connection_of_host ON imap_connection (host);
CREATE INDEX imap_connection_of_account ON imap_connection (account_id);

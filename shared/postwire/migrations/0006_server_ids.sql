-- What the server itself knows of messages: its id of each, and Gmail's labels. The release before
-- neither reads nor writes these columns; a label that it opened as a mailbox is begun anew by this
-- one.

ALTER TABLE message ADD COLUMN server_id text;     -- RFC 8474 EMAILID or X-GM-MSGID; an alias
CREATE INDEX message_server_id ON message (account_id, server_id) WHERE server_id IS NOT NULL;

-- Set where the mailbox is never opened: what lies in it is told with the messages of that one.
ALTER TABLE mailbox ADD COLUMN label_of bigint REFERENCES mailbox ON DELETE SET NULL;
CREATE INDEX mailbox_label_of ON mailbox (label_of) WHERE label_of IS NOT NULL;

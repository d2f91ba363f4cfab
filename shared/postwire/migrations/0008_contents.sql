-- Content of attachments that no message has any more is removed; requests whose worker died, or
-- that Redis forgot, are done again. The release before this one writes none of these columns.

ALTER TABLE content
    -- When it is looked at next: by then a content without a hash was left behind.
    ADD COLUMN due_at timestamptz NOT NULL DEFAULT now() + interval '1 hour';
CREATE INDEX content_due ON content (due_at);
-- Which attachments have a content.
CREATE INDEX attachment_content ON attachment (account_id, hash) WHERE hash IS NOT NULL;

ALTER TABLE attachment_request
    ADD COLUMN attempts integer NOT NULL DEFAULT 0, -- begun since one last came to an end
    ADD COLUMN swept_at timestamptz;                -- when it was last found stranded

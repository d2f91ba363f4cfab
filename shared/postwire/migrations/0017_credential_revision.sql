-- Counts the credentials that were entered, so that one which is sealed again by another key is
-- known for the same. The release before does not raise it: rotate keys once that one is gone.

ALTER TABLE account ADD COLUMN credential_revision integer NOT NULL DEFAULT 1;

-- Accounts that log in by OAuth. `credential` of such an account is the refresh token that its
-- user has entered, and stays that: it says whether the user has entered another one since.

ALTER TABLE account ADD COLUMN oauth_provider text; -- NULL: `credential` is a password

-- What a refresh token has become. Apart from `account`, whose rows watchers read again and again.
CREATE TABLE oauth_token (
    account_id    uuid PRIMARY KEY REFERENCES account ON DELETE CASCADE,
    credential    bytea NOT NULL,                  -- the account's, by which this was got
    refresh_token bytea,                           -- sealed; NULL: the credential is the latest
    access_token  bytea,                           -- sealed; NULL: there was none yet
    fresh_until   timestamptz,                     -- from then on a new one is asked for
    holder        text,                            -- the process that asks for a new one
    held_until    timestamptz
);

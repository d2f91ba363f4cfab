-- Mail servers that ask to wait. The release before neither reads nor writes this.

ALTER TABLE account
    ADD COLUMN busy_until timestamptz;             -- no login is tried before; NULL: at any time

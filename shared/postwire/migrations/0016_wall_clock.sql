-- The latest time the database's clock is known to have shown, so that it is noticed when it is set
-- back. The release before neither reads nor writes this.

CREATE TABLE wall_clock (seen timestamptz NOT NULL);
INSERT INTO wall_clock VALUES (now());

-- A person's job that has made way once goes on behind the machine's: what is left of a large mailbox
-- must not hold up the next person. The release before asks by `reason` alone.

ALTER TABLE job
    ADD COLUMN made_way boolean NOT NULL DEFAULT false,
    ADD COLUMN queue text NOT NULL GENERATED ALWAYS AS
        (CASE WHEN reason = 'manual' AND NOT made_way THEN 'sync.manual' ELSE 'sync' END) STORED;

-- For the place of a job in its queue.
CREATE INDEX job_waiting ON job (queue, run_at, id) WHERE state = 'waiting';

-- Operations that move through rings, and what operators want: policies, windows, freezes, reboot groups, channels.

ALTER TABLE operations ADD COLUMN rollout TEXT;
ALTER TABLE operations ADD COLUMN course TEXT;
ALTER TABLE operations ADD COLUMN course_version BIGINT NOT NULL DEFAULT 0;
ALTER TABLE operations ADD COLUMN policy TEXT;
ALTER TABLE operations ADD COLUMN ended_at BIGINT;
UPDATE operations SET
    rollout = '{"rings":[{"name":"all","concurrency":"' || concurrency || '","errors":"' || errors || '"}]}',
    course = '{"rings":[]}',
    ended_at = halted_at
    WHERE concurrency IS NOT NULL;
ALTER TABLE operations DROP COLUMN concurrency;
ALTER TABLE operations DROP COLUMN errors;
ALTER TABLE operations DROP COLUMN halted_at;

ALTER TABLE invocations ADD COLUMN ring BIGINT NOT NULL DEFAULT 0;
ALTER TABLE invocations ADD COLUMN released_at BIGINT;
ALTER TABLE invocations ADD COLUMN n_undelivered BIGINT NOT NULL DEFAULT 0;
UPDATE invocations SET released_at = 0 WHERE operation_id IN (SELECT id FROM operations WHERE rollout IS NULL);

-- What is asked of nodes, once for all that are asked the same; `invocations.work` is its digest, or the work itself in
-- operations of before.
CREATE TABLE works (
    digest TEXT PRIMARY KEY,
    work TEXT NOT NULL
);

CREATE TABLE intents (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    version BIGINT NOT NULL,
    document TEXT,
    changed_by TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (kind, name, version)
);

-- When something is due next, such as `install production`, and what became of the last time.
CREATE TABLE clocks (
    name TEXT PRIMARY KEY,
    next_at BIGINT NOT NULL,
    last_note TEXT
);

CREATE TABLE reboot_locks (
    group_name TEXT NOT NULL,
    holder TEXT NOT NULL,
    taken_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (group_name, holder)
);

CREATE TABLE notifications (
    id TEXT PRIMARY KEY,
    channel TEXT NOT NULL,
    event TEXT NOT NULL,
    -- The same news goes to a channel once.
    news TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    next_at BIGINT,
    n_attempts BIGINT NOT NULL,
    sent_at BIGINT,
    failure TEXT,
    UNIQUE (channel, news)
);
CREATE INDEX notifications_by_time ON notifications (next_at);

CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);

-- What nodes were judged to be, and by what. A row is written when a verdict or one of its counts changes; its key is
-- the node's number times 2^32 plus minutes since 1970, so that a node's history is a range of keys.

CREATE TABLE verdicts (
    number BIGINT PRIMARY KEY,
    assignment BIGINT NOT NULL,
    record BYTEA NOT NULL
);

CREATE TABLE verdict_assignments (
    number BIGINT PRIMARY KEY,
    baseline_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    through TEXT NOT NULL
);

-- Exceptions that are for some nodes. They stay after their end, for those who ask later.
CREATE TABLE exceptions (
    number BIGINT PRIMARY KEY,
    document TEXT NOT NULL
);

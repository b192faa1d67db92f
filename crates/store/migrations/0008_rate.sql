-- How many nodes of an operation are at work at once, how many may fail, and when too many did.

ALTER TABLE operations ADD COLUMN concurrency BIGINT;
ALTER TABLE operations ADD COLUMN errors BIGINT;
ALTER TABLE operations ADD COLUMN halted_at BIGINT;

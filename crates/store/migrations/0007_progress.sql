-- How far a run on a node is, who asked it to stop, and plans that someone may agree to: packed, as receipts are.

ALTER TABLE invocations ADD COLUMN progress TEXT;
ALTER TABLE invocations ADD COLUMN cancel_requested_at BIGINT;
ALTER TABLE invocations ADD COLUMN cancel_sent_at BIGINT;

CREATE TABLE plans (
    operation_id TEXT NOT NULL,
    node_id TEXT NOT NULL,
    plan BYTEA NOT NULL,
    PRIMARY KEY (operation_id, node_id)
);

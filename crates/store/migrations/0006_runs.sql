-- What an operation asks of each node, where its kind does not say all of it, and what came of installs: receipts,
-- packed.

ALTER TABLE invocations ADD COLUMN work TEXT;

CREATE TABLE receipts (
    operation_id TEXT NOT NULL,
    node_id TEXT NOT NULL,
    receipt BYTEA NOT NULL,
    PRIMARY KEY (operation_id, node_id)
);

-- A fleet: who the nodes are, whose they are, and their reports as shared content. Scans of the
-- first schema are collected anew by the nodes' next reports.

DROP TABLE scans;
DROP TABLE judgement_patches;
DROP TABLE judgements;
DROP TABLE package_sets;
DROP TABLE patches;

-- The organization: units hold units and accounts.
CREATE TABLE units (
    id TEXT PRIMARY KEY,
    parent_id TEXT,
    name TEXT NOT NULL
);
CREATE TABLE accounts (
    id TEXT PRIMARY KEY,
    unit_id TEXT NOT NULL,
    name TEXT NOT NULL UNIQUE
);
CREATE TABLE regions (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

CREATE TABLE activations (
    id TEXT PRIMARY KEY,
    description TEXT NOT NULL,
    secret_digest TEXT NOT NULL UNIQUE,
    account_id TEXT NOT NULL,
    region_id TEXT NOT NULL,
    tags TEXT NOT NULL,
    node_limit BIGINT NOT NULL,
    n_enrolled BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT
);

-- Nodes by a dense number, so that what refers to them is small.
ALTER TABLE nodes RENAME TO nodes_of_schema_1;
CREATE TABLE nodes (
    number BIGINT PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    machine TEXT,
    account_id TEXT NOT NULL,
    region_id TEXT NOT NULL,
    allows TEXT NOT NULL,
    agent_version TEXT,
    certificate TEXT,
    certificate_expires_at BIGINT,
    identity TEXT,
    activation_id TEXT,
    clone_of TEXT,
    generation BIGINT NOT NULL,
    enrolled_at BIGINT NOT NULL,
    retired_at BIGINT
);
INSERT INTO nodes (number, id, machine, account_id, region_id, allows, generation, enrolled_at)
    SELECT ROW_NUMBER() OVER (ORDER BY id) - 1, id, machine, 'ac-00000000000000001', 'rg-00000000000000001', allows, 0, enrolled_at FROM nodes_of_schema_1;

-- What changes with every report or contact.
CREATE TABLE node_states (
    node_number BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    boot TEXT,
    seen_at BIGINT,
    report_number BIGINT,
    collected_at BIGINT,
    lists_refreshed_at BIGINT,
    booted_at BIGINT
);
INSERT INTO node_states (node_number, name) SELECT nodes.number, nodes_of_schema_1.name FROM nodes JOIN nodes_of_schema_1 ON nodes_of_schema_1.id = nodes.id;
DROP TABLE nodes_of_schema_1;

CREATE TABLE tags (
    node_number BIGINT NOT NULL,
    tag_source TEXT NOT NULL,
    tag_key TEXT NOT NULL,
    tag_value TEXT NOT NULL,
    PRIMARY KEY (node_number, tag_source, tag_key)
);

CREATE TABLE node_events (
    number BIGINT PRIMARY KEY,
    node_number BIGINT NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL
);
CREATE INDEX node_events_by_node ON node_events (node_number, number);

-- The catalog: every version of a package that any node had or was offered.
CREATE TABLE versions (
    number BIGINT PRIMARY KEY,
    ecosystem TEXT NOT NULL,
    name TEXT NOT NULL,
    architecture TEXT NOT NULL,
    version TEXT NOT NULL,
    facts TEXT NOT NULL,
    classification TEXT NOT NULL,
    repository TEXT,
    first_seen_at BIGINT NOT NULL
);

-- Content of sections, once for all nodes: whole, or as an edit of another.
CREATE TABLE contents (
    number BIGINT PRIMARY KEY,
    digest BYTEA NOT NULL,
    edit_of BIGINT,
    content BYTEA NOT NULL,
    first_seen_at BIGINT NOT NULL
);

-- A row for each report that said something new: the numbers of its sections' contents.
CREATE TABLE reports (
    number BIGINT PRIMARY KEY,
    node_number BIGINT NOT NULL,
    collected_at BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    sections BYTEA NOT NULL
);
CREATE INDEX reports_by_node ON reports (node_number, collected_at);

-- When nodes were heard of since `node_states` was last written, many in a row, and the number of the
-- first report that `node_states` may not refer to yet.
CREATE TABLE check_ins (
    sequence BIGINT PRIMARY KEY,
    first_report BIGINT NOT NULL,
    content BYTEA NOT NULL
);

CREATE TABLE saved_filters (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    query TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

ALTER TABLE invocations ADD COLUMN generation BIGINT;

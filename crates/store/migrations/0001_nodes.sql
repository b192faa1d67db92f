-- Nodes and what was found on them. One text for SQLite and PostgreSQL: ids are text, times are
-- UTC milliseconds, documents are JSON that SQL does not look into.

CREATE TABLE nodes (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    machine TEXT UNIQUE,
    allows TEXT NOT NULL,
    platform TEXT NOT NULL,
    product TEXT NOT NULL,
    architecture TEXT NOT NULL,
    kernel TEXT,
    enrolled_at BIGINT NOT NULL,
    -- The last scan, copied so that lists and sums need one table. `scans` has the truth.
    last_scan_id TEXT,
    last_scan_at BIGINT,
    judgement TEXT,
    verdict TEXT NOT NULL,
    n_packages BIGINT NOT NULL,
    n_missing BIGINT NOT NULL,
    n_failed BIGINT NOT NULL,
    n_installed_pending_reboot BIGINT NOT NULL,
    n_installed_rejected BIGINT NOT NULL,
    n_available_security_update BIGINT NOT NULL,
    n_installed BIGINT NOT NULL,
    n_installed_other BIGINT NOT NULL,
    n_security_non_compliant BIGINT NOT NULL,
    n_critical_non_compliant BIGINT NOT NULL
);
CREATE INDEX nodes_by_missing ON nodes (n_missing, id);
CREATE INDEX nodes_by_name ON nodes (name, id);
CREATE INDEX nodes_by_last_scan ON nodes (last_scan_at, id);
CREATE INDEX nodes_by_judgement ON nodes (judgement);

-- Content by digest: what equal nodes share is stored once.
CREATE TABLE package_sets (
    digest TEXT PRIMARY KEY,
    n_packages BIGINT NOT NULL,
    content BYTEA NOT NULL,
    first_seen_at BIGINT NOT NULL
);
CREATE TABLE judgements (
    digest TEXT PRIMARY KEY,
    content BYTEA NOT NULL,
    first_seen_at BIGINT NOT NULL
);

-- The catalog: every newer version that any node was offered.
CREATE TABLE patches (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    architecture TEXT NOT NULL,
    version TEXT NOT NULL,
    source TEXT NOT NULL,
    classification TEXT NOT NULL,
    severity TEXT NOT NULL,
    section TEXT,
    priority TEXT,
    repository TEXT,
    first_seen_at BIGINT NOT NULL
);

-- Which patches a judgement found wanting; joined with nodes by judgement.
CREATE TABLE judgement_patches (
    judgement TEXT NOT NULL,
    patch_id TEXT NOT NULL,
    state TEXT NOT NULL,
    installed_version TEXT NOT NULL,
    PRIMARY KEY (judgement, patch_id)
);
CREATE INDEX judgement_patches_by_patch ON judgement_patches (patch_id);

CREATE TABLE scans (
    id TEXT PRIMARY KEY,
    node_id TEXT NOT NULL,
    scanned_at BIGINT NOT NULL,
    package_set TEXT NOT NULL,
    judgement TEXT NOT NULL,
    verdict TEXT NOT NULL,
    n_missing BIGINT NOT NULL,
    n_security_non_compliant BIGINT NOT NULL,
    document TEXT NOT NULL
);
CREATE INDEX scans_by_node ON scans (node_id, scanned_at, id);

CREATE TABLE operations (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    requested_at BIGINT NOT NULL,
    idempotency_key TEXT UNIQUE,
    request_digest TEXT NOT NULL
);
CREATE TABLE invocations (
    operation_id TEXT NOT NULL,
    node_id TEXT NOT NULL,
    state TEXT NOT NULL,
    claimed_at BIGINT,
    finished_at BIGINT,
    message TEXT,
    PRIMARY KEY (operation_id, node_id)
);
CREATE INDEX invocations_by_state ON invocations (node_id, state, operation_id);

-- Secrets are kept as digests only.
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    actor TEXT NOT NULL,
    secret_digest TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

-- Append-only; each row's digest covers the row before it.
CREATE TABLE audit (
    sequence BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    digest TEXT NOT NULL
);

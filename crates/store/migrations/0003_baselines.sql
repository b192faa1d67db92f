-- Baselines that people wrote: every version stays, and a version without a document says that the baseline
-- was deleted. And what each was chosen for; an empty group is the default of the operating system.

CREATE TABLE baseline_versions (
    baseline_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    document TEXT,
    changed_by TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (baseline_id, version)
);

CREATE TABLE baseline_assignments (
    operating_system TEXT NOT NULL,
    patch_group TEXT NOT NULL,
    baseline_id TEXT NOT NULL,
    PRIMARY KEY (operating_system, patch_group)
);

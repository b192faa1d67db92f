-- Vendors' feeds, and their entries. An import writes beside what is there, and counts when the feed's number of
-- imports says so: entries with a higher number than that are left over from one that did not end.

CREATE TABLE feeds (
    name TEXT PRIMARY KEY,
    document TEXT NOT NULL,
    import BIGINT NOT NULL,
    state TEXT NOT NULL
);

CREATE TABLE catalog_entries (
    feed TEXT NOT NULL,
    id TEXT NOT NULL,
    import BIGINT NOT NULL,
    modified_at BIGINT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (feed, id, import)
);

"""The schema, as an append-only list of steps; each runs in one transaction together with its number."""

from __future__ import annotations

# A released step is never edited: a change is a new step. Paths are BLOBs (os.fsencode), because a file
# name on Linux is bytes and need not be UTF-8. Times are seconds since the epoch.
STEPS: tuple[str, ...] = (
    """
    CREATE TABLE track (
        id            INTEGER PRIMARY KEY,
        path          BLOB NOT NULL UNIQUE,
        size          INTEGER NOT NULL,
        mtime_ns      INTEGER NOT NULL,
        digest        BLOB,                -- of the audio payload; NULL until the file has been read once
        duration      REAL,                -- seconds
        warnings      TEXT NOT NULL DEFAULT '[]',  -- JSON list: truncated, damaged, capped
        title         TEXT NOT NULL DEFAULT '',
        artist        TEXT NOT NULL DEFAULT '',
        album_artist  TEXT NOT NULL DEFAULT '',
        album         TEXT NOT NULL DEFAULT '',
        compilation   INTEGER NOT NULL DEFAULT 0,
        genres        TEXT,                -- JSON list as last read; NULL where the file has no genre field
        seen          REAL NOT NULL,
        missing_since REAL
    ) STRICT;
    CREATE INDEX track_digest ON track (digest);
    CREATE INDEX track_size ON track (size);
    CREATE INDEX track_album ON track (album);

    CREATE TABLE vector (
        track_id INTEGER NOT NULL REFERENCES track (id) ON DELETE CASCADE,
        kind     TEXT NOT NULL,            -- FeatureKind.key
        data     BLOB NOT NULL,            -- little-endian float32
        PRIMARY KEY (track_id, kind)
    ) STRICT;

    CREATE TABLE run (
        id        INTEGER PRIMARY KEY,
        command   TEXT NOT NULL,           -- scan | apply | undo | sync
        arguments TEXT NOT NULL,           -- JSON
        version   TEXT NOT NULL,
        started   REAL NOT NULL,
        finished  REAL,
        summary   TEXT                     -- JSON, once finished
    ) STRICT;

    CREATE TABLE bundle (
        id       INTEGER PRIMARY KEY,
        name     TEXT NOT NULL,
        digest   TEXT NOT NULL UNIQUE,     -- of manifest and arrays
        manifest TEXT NOT NULL,
        seen     REAL NOT NULL
    ) STRICT;

    CREATE TABLE vote (
        track_id      INTEGER NOT NULL REFERENCES track (id) ON DELETE CASCADE,
        stage         TEXT NOT NULL,
        bundle_id     INTEGER NOT NULL REFERENCES bundle (id),
        probabilities TEXT NOT NULL,       -- JSON object label -> calibrated probability
        PRIMARY KEY (track_id, stage)
    ) STRICT;

    CREATE TABLE decision (
        track_id   INTEGER PRIMARY KEY REFERENCES track (id) ON DELETE CASCADE,
        basis      TEXT NOT NULL,          -- digest of the bundles, thresholds and taxonomy it rests on
        outcome    TEXT NOT NULL CHECK (outcome IN ('confident', 'likely', 'unsure')),
        reason     TEXT NOT NULL,
        genres     TEXT NOT NULL,          -- JSON list, primary first
        confidence REAL NOT NULL CHECK (confidence BETWEEN 0 AND 1),
        stage      TEXT NOT NULL,
        decided    REAL NOT NULL
    ) STRICT;

    CREATE TABLE failure (
        track_id INTEGER PRIMARY KEY REFERENCES track (id) ON DELETE CASCADE,
        outcome  TEXT NOT NULL CHECK (outcome IN ('skipped', 'failed')),
        reason   TEXT NOT NULL,
        detail   TEXT NOT NULL,
        at       REAL NOT NULL
    ) STRICT;

    -- The journal. A row is `planned` before a file is touched, `staged` once the finished copy lies verified
    -- beside it, `written` after the replacement, `undone` when the bytes are back, `abandoned` when the
    -- attempt ended without touching the file.
    CREATE TABLE change (
        id           INTEGER PRIMARY KEY,
        run_id       INTEGER NOT NULL REFERENCES run (id),
        undoes       INTEGER REFERENCES change (id),  -- the change that this one takes back
        path         BLOB NOT NULL,
        format       TEXT NOT NULL,
        before       TEXT,                 -- JSON list of genres; NULL = the field was absent
        after        TEXT,                 -- JSON list of genres; NULL = the field was removed
        raw_before   TEXT NOT NULL,        -- JSON list of [slot, base64]: the field's very bytes before
        state        TEXT NOT NULL CHECK (state IN ('planned', 'staged', 'written', 'undone', 'abandoned')),
        temporary    BLOB,                 -- path of the copy beside the file, while there is one
        payload      BLOB NOT NULL,        -- digest of the audio payload, the same before and after
        sha_before   BLOB NOT NULL,        -- SHA-256 of the whole file
        sha_after    BLOB,
        size_after   INTEGER,
        mtime_before INTEGER NOT NULL,     -- ns
        mtime_after  INTEGER,              -- ns
        patch        BLOB,                 -- reverse patch: the file after -> the very bytes before
        note         TEXT NOT NULL DEFAULT '',
        planned      REAL NOT NULL,
        changed      REAL NOT NULL         -- when `state` last changed
    ) STRICT;
    CREATE INDEX change_run ON change (run_id);
    CREATE INDEX change_open ON change (state) WHERE state IN ('planned', 'staged');

    CREATE TABLE plex_server (
        id      INTEGER PRIMARY KEY,
        machine TEXT NOT NULL UNIQUE,      -- the server's machineIdentifier
        name    TEXT NOT NULL,
        mapping TEXT NOT NULL DEFAULT '{}' -- JSON object server folder -> local folder
    ) STRICT;

    -- What a server holds of this library, as `plex import` last saw it.
    CREATE TABLE plex_track (
        server_id  INTEGER NOT NULL REFERENCES plex_server (id),
        track_id   INTEGER NOT NULL REFERENCES track (id) ON DELETE CASCADE,
        section    INTEGER NOT NULL,       -- number of the library on the server
        rating_key INTEGER NOT NULL,
        genres     TEXT NOT NULL,          -- JSON list, as the server has it
        PRIMARY KEY (server_id, track_id)
    ) STRICT;

    -- The journal of edits on a server, one row a field. `planned` before the request leaves, `written` once the
    -- server was seen to hold it, `undone` when the former value is back, `abandoned` when nothing was changed.
    CREATE TABLE plex_change (
        id          INTEGER PRIMARY KEY,
        run_id      INTEGER NOT NULL REFERENCES run (id),
        server_id   INTEGER NOT NULL REFERENCES plex_server (id),
        section     INTEGER NOT NULL,
        level       TEXT NOT NULL CHECK (level IN ('track', 'album', 'artist')),
        rating_key  INTEGER NOT NULL,
        guid        TEXT NOT NULL,         -- with `file`: a server whose database was rebuilt gives keys anew
        file        TEXT NOT NULL,         -- of a track, as the server sees it
        title       TEXT NOT NULL,         -- for people
        field       TEXT NOT NULL CHECK (field IN ('genre', 'style', 'label')),
        before      TEXT NOT NULL,         -- JSON list
        after       TEXT NOT NULL,         -- JSON list
        lock_before INTEGER NOT NULL,
        lock_after  INTEGER NOT NULL,
        state       TEXT NOT NULL CHECK (state IN ('planned', 'written', 'undone', 'abandoned')),
        note        TEXT NOT NULL DEFAULT '',
        changed     REAL NOT NULL          -- when `state` last changed
    ) STRICT;
    CREATE INDEX plex_change_run ON plex_change (run_id);
    CREATE INDEX plex_change_item ON plex_change (server_id, rating_key);
    CREATE INDEX plex_change_open ON plex_change (state) WHERE state = 'planned';
    """,
    """
    -- What a scan did and what each stage cost, dry scans too; a scan that wrote has a row in `run` besides.
    CREATE TABLE scan (
        id        INTEGER PRIMARY KEY,
        arguments TEXT NOT NULL,           -- JSON
        version   TEXT NOT NULL,
        started   REAL NOT NULL,
        seconds   TEXT NOT NULL,           -- JSON object phase -> wall seconds
        found     INTEGER NOT NULL,        -- audio files met
        decided   INTEGER NOT NULL,        -- tracks decided now, not known before
        stopped   INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE scan_stage (
        scan_id INTEGER NOT NULL REFERENCES scan (id) ON DELETE CASCADE,
        stage   TEXT NOT NULL,
        settled INTEGER NOT NULL,          -- tracks of the scan for which its vote is the last
        heard   INTEGER NOT NULL,          -- tracks listened to for it in this scan
        seconds REAL NOT NULL,             -- wall seconds of that listening, all workers together
        PRIMARY KEY (scan_id, stage)
    ) STRICT;

    -- Exits that were certified on this library; they hold instead of those that a bundle brings.
    CREATE TABLE own_exit (
        digest      TEXT NOT NULL,         -- of the stage's bundle
        against     TEXT NOT NULL,         -- JSON list: digests of the later stages' bundles, in order
        certificate TEXT NOT NULL,         -- JSON
        made        REAL NOT NULL,
        PRIMARY KEY (digest, against)
    ) STRICT;

    CREATE TABLE exit_audit (
        id     INTEGER PRIMARY KEY,
        at     REAL NOT NULL,
        result TEXT NOT NULL               -- JSON
    ) STRICT;
    """,
    """
    -- Which genres we wrote into which audio (a damaged row is none), and into which file, as far as they stand.
    CREATE INDEX change_genres ON change (payload, CASE WHEN json_valid(after) THEN json(after) END)
        WHERE state = 'written' AND undoes IS NULL;
    CREATE INDEX change_path ON change (path) WHERE state = 'written' AND undoes IS NULL;
    """,
    """
    -- What `calibrate` measured on this library besides exits: thresholds of a stage, precision of styles.
    CREATE TABLE calibration (
        subject TEXT PRIMARY KEY,          -- "thresholds of <digest of the stage's bundle>" or "styles"
        result  TEXT NOT NULL,             -- JSON
        made    REAL NOT NULL
    ) STRICT;
    """,
    """
    -- What the user decided. It holds over every scan; the narrowest scope counts.
    CREATE TABLE user_decision (
        scope   TEXT NOT NULL CHECK (scope IN ('track', 'album', 'artist')),
        key     TEXT NOT NULL,             -- of a track the digest of its audio, in hex; see features/user_decisions.py
        genres  TEXT,                      -- JSON list; NULL: leave the tags alone and do not ask
        source  TEXT NOT NULL,             -- the command
        decided REAL NOT NULL,
        PRIMARY KEY (scope, key)
    ) STRICT;
    """,
    """
    -- A decision may be `skipped`: there is audio, and it is no music.
    CREATE TABLE decision_2 (
        track_id   INTEGER PRIMARY KEY REFERENCES track (id) ON DELETE CASCADE,
        basis      TEXT NOT NULL,          -- digest of the bundles, thresholds and taxonomy it rests on
        outcome    TEXT NOT NULL CHECK (outcome IN ('confident', 'likely', 'unsure', 'skipped')),
        reason     TEXT NOT NULL,
        genres     TEXT NOT NULL,          -- JSON list, primary first
        confidence REAL NOT NULL CHECK (confidence BETWEEN 0 AND 1),
        stage      TEXT NOT NULL,
        decided    REAL NOT NULL
    ) STRICT;
    INSERT INTO decision_2 SELECT * FROM decision;
    DROP TABLE decision;
    ALTER TABLE decision_2 RENAME TO decision;
    """,
    """
    -- What a change does to the style: JSON object of `before`, `after`, `raw_before` as the columns have it of the
    -- genre, and `alone`, true where the genre stays as it is; NULL: nothing.
    ALTER TABLE change ADD COLUMN style TEXT;
    """,
    """
    -- Version 2 of the kinds of MERT and AST has one window more where less than a second was wanting for it. Vectors
    -- of recordings that are long enough either way are the same; the others are extracted again when a stage asks.
    UPDATE vector SET kind = replace(kind, '/1-', '/2-')
    WHERE (kind GLOB 'mert/1-*' OR kind GLOB 'mert-330m/1-*' OR kind GLOB 'ast-tags/1-*')
      AND EXISTS (SELECT 1 FROM track t WHERE t.id = vector.track_id AND t.duration >= CASE
          WHEN kind NOT GLOB '*/full' AND kind NOT GLOB '*/full~*' THEN 30.5
          WHEN kind GLOB 'ast-tags/*' THEN 60.5   -- six windows of ten seconds
          ELSE 43.5                               -- thirty seconds in the inner 70 %
      END);
    DELETE FROM vector
    WHERE kind GLOB 'mert/1-*' OR kind GLOB 'mert-330m/1-*' OR kind GLOB 'ast-tags/1-*';
    """,
    """
    -- Who decided, and what that is for people: the key of an album or artist is spelled for comparison alone.
    ALTER TABLE user_decision ADD COLUMN author TEXT NOT NULL DEFAULT '';
    ALTER TABLE user_decision ADD COLUMN title TEXT NOT NULL DEFAULT '';
    """,
    """
    -- What the pages of `serve` draw: the outline of the excerpt of each track, and the map of all.
    CREATE TABLE peaks (
        track_id INTEGER PRIMARY KEY REFERENCES track (id) ON DELETE CASCADE,
        data     BLOB NOT NULL             -- lowest and highest sample of 500 equal parts, signed bytes
    ) STRICT;
    CREATE TABLE projection (
        name  TEXT PRIMARY KEY,            -- lda
        basis TEXT NOT NULL,               -- of what it was made; another one makes it anew
        data  BLOB NOT NULL,               -- gzipped JSON, see docs/reference/api.md
        made  REAL NOT NULL
    ) STRICT;
    """,
)

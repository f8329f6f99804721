-- Why: the first schema. Every record of evokern (runs, candidates, generations and what was learned about them) as
-- plain rows, so that a stranger can query them, and so exact that the records can be built again from them.
--
-- Tables are STRICT: SQLite refuses a value of another type than its column's instead of storing it anyway. ANY marks
-- the numbers that may be "not a number", kept as the text 'nan' because SQLite turns a REAL NaN into NULL.
-- JSON is kept as text; `json_each` and `->>` read it.

CREATE TABLE about (
    subject TEXT PRIMARY KEY,
    explanation TEXT NOT NULL
) STRICT;

CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    started_at TEXT NOT NULL,
    seed ANY NOT NULL,
    parent INTEGER REFERENCES runs (id),
    branched_at INTEGER,
    settings TEXT NOT NULL,
    task TEXT NOT NULL,
    machine TEXT NOT NULL,
    CHECK ((parent IS NULL) = (branched_at IS NULL)),
    CHECK (parent < id)
) STRICT;

CREATE TABLE sources (
    id INTEGER PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    language TEXT NOT NULL,
    compressed BLOB NOT NULL
) STRICT;

CREATE TABLE children (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (id),
    generation INTEGER NOT NULL,
    place INTEGER NOT NULL,
    island INTEGER NOT NULL,
    operator TEXT NOT NULL,
    idea TEXT NOT NULL,
    source INTEGER NOT NULL REFERENCES sources (id),
    origin INTEGER NOT NULL REFERENCES sources (id),
    steps TEXT NOT NULL,
    -- What follows from the verdicts and evaluations, kept beside the child so that a million of them sort fast:
    status TEXT,
    fidelity TEXT,
    speedup REAL,
    speedup_over_eager REAL,
    rms_error ANY,
    UNIQUE (run, generation, place)
) STRICT;

CREATE TABLE parents (
    child INTEGER NOT NULL REFERENCES children (id),
    position INTEGER NOT NULL,
    parent INTEGER NOT NULL REFERENCES children (id),
    role TEXT NOT NULL,
    PRIMARY KEY (child, position),
    CHECK (parent < child)
) STRICT, WITHOUT ROWID;
CREATE INDEX parents_by_parent ON parents (parent);

CREATE TABLE verdicts (
    id INTEGER PRIMARY KEY,
    child INTEGER NOT NULL REFERENCES children (id),
    position INTEGER NOT NULL,
    verifier TEXT NOT NULL,
    price_s REAL NOT NULL,
    refusal TEXT,
    UNIQUE (child, position)
) STRICT;

CREATE TABLE evaluations (
    id INTEGER PRIMARY KEY,
    child INTEGER NOT NULL REFERENCES children (id),
    position INTEGER NOT NULL,
    status TEXT NOT NULL,
    fidelity TEXT NOT NULL,
    cases_passed INTEGER NOT NULL,
    cases_total INTEGER NOT NULL,
    max_error ANY,
    rms_error ANY,
    judge_s REAL NOT NULL,
    UNIQUE (child, position)
) STRICT;

CREATE TABLE evidence (
    id INTEGER PRIMARY KEY,
    verdict INTEGER REFERENCES verdicts (id),
    evaluation INTEGER REFERENCES evaluations (id),
    position INTEGER NOT NULL,
    stage TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    shape TEXT,
    seed ANY,
    output TEXT,
    element TEXT,
    expected ANY,
    got ANY,
    UNIQUE (verdict, position),
    UNIQUE (evaluation, position),
    CHECK ((verdict IS NULL) <> (evaluation IS NULL))
) STRICT;

CREATE TABLE measurements (
    id INTEGER PRIMARY KEY,
    evaluation INTEGER NOT NULL REFERENCES evaluations (id),
    position INTEGER NOT NULL,
    shape TEXT NOT NULL,
    cache TEXT NOT NULL,
    threads INTEGER NOT NULL,
    held_out INTEGER NOT NULL,
    latency_ns REAL NOT NULL,
    noise_floor ANY NOT NULL,
    UNIQUE (evaluation, position)
) STRICT;

CREATE TABLE speedups (
    id INTEGER PRIMARY KEY,
    measurement INTEGER NOT NULL REFERENCES measurements (id),
    position INTEGER NOT NULL,
    baseline TEXT NOT NULL,
    ratio REAL NOT NULL,
    low ANY NOT NULL,
    high ANY NOT NULL,
    direct INTEGER NOT NULL,
    baseline_latency_ns REAL NOT NULL,
    candidate_samples_ns BLOB NOT NULL,
    baseline_samples_ns BLOB NOT NULL,
    UNIQUE (measurement, position)
) STRICT;

CREATE TABLE generations (
    run INTEGER NOT NULL REFERENCES runs (id),
    number INTEGER NOT NULL,
    islands INTEGER NOT NULL,
    random_state TEXT NOT NULL,
    finished_at TEXT NOT NULL,
    PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE survivors (
    run INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    island INTEGER NOT NULL,
    position INTEGER NOT NULL,
    child INTEGER NOT NULL REFERENCES children (id),
    PRIMARY KEY (run, generation, island, position),
    FOREIGN KEY (run, generation) REFERENCES generations (run, number)
) STRICT, WITHOUT ROWID;

INSERT INTO about VALUES
    ('this file', 'What a search of evokern tried and measured: it evolves PyTorch functions into faster kernels. Start '
        || 'with the views candidates, front, lineage, steps and timings; the tables hold the same in full.'),
    ('runs', 'One row per search: its settings, its task and the machine it ran on, as JSON. A run with a parent '
        || 'is a branch: it took over the generations of its parent up to branched_at.'),
    ('sources', 'Every kernel text once, by SHA-256 of language, NUL and text. compressed is zlib; UTF-8 inside.'),
    ('children', 'One row per kernel that an operator made, at its place in a generation of a run. steps is the recipe: '
        || 'the rewrites that turn the source named by origin into the source named by source.'),
    ('parents', 'What each child was made from, and in which role.'),
    ('verdicts', 'What each verifier said of a child before it was run. refusal is null when it let the child pass.'),
    ('evaluations', 'Confined executions of a child: correctness first, then latency. Errors are in units of the error '
        || 'that the PyTorch reference itself makes. fidelity is how thoroughly it was measured.'),
    ('evidence', 'Why a child was refused or failed: belongs to a verdict or to an evaluation.'),
    ('measurements', 'Latency of a child at one shape under one condition: the median per call, in nanoseconds.'),
    ('speedups', 'A measurement against one baseline: ratio above 1 is faster; low and high bound it (95 %). The raw '
        || 'samples, nanoseconds per call, are zlib over little-endian float64. direct is 0 when the ratio was derived '
        || 'by way of a third kernel measured in the same run.'),
    ('generations', 'Finished batches of children; a search resumes after the last one.'),
    ('survivors', 'Which children survived a generation, on which island.');

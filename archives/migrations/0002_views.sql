-- Why: the tables are normalised for exactness; people ask four questions. What was tried, and what became of it
-- (candidates, timings)? What is best (front)? Where does a kernel come from (lineage)? What was done to it (steps)?

CREATE VIEW steps AS
SELECT
    children.id AS candidate,
    step.key AS position,
    step.value ->> 'rewrite' AS rewrite,
    step.value ->> 'site' AS site,
    (SELECT group_concat((pair.value ->> 0) || '=' || (pair.value ->> 1), ' ')
     FROM json_each(step.value, '$.options') AS pair) AS options
FROM children, json_each(children.steps) AS step;

CREATE VIEW candidates AS
SELECT
    children.id,
    run,
    generation,
    island,
    operator,
    status,
    fidelity,
    speedup,
    speedup_over_eager,
    rms_error,
    (SELECT group_concat(rewrite || '(' || site || coalesce(' ' || options, '') || ')', ' -> ')
     FROM steps WHERE steps.candidate = children.id) AS recipe,
    (SELECT group_concat(parent || ' ' || role, ', ') FROM parents WHERE parents.child = children.id) AS parents,
    CASE WHEN status <> 'passed' THEN coalesce(
        (SELECT stage || ': ' || reason FROM evidence JOIN verdicts ON verdicts.id = evidence.verdict
         WHERE verdicts.child = children.id LIMIT 1),
        (SELECT stage || ': ' || reason FROM evidence JOIN evaluations ON evaluations.id = evidence.evaluation
         WHERE evaluations.child = children.id AND evaluations.status = children.status LIMIT 1)
    ) END AS why,
    idea,
    sources.hash AS source_hash
FROM children JOIN sources ON sources.id = children.source;

CREATE VIEW timings AS
SELECT
    evaluations.child AS candidate,
    evaluations.fidelity,
    measurements.shape,
    measurements.cache,
    measurements.threads,
    measurements.held_out,
    measurements.latency_ns,
    speedups.baseline,
    speedups.ratio,
    speedups.low,
    speedups.high,
    speedups.baseline_latency_ns,
    speedups.direct,
    measurements.noise_floor
FROM evaluations
JOIN measurements ON measurements.evaluation = evaluations.id
JOIN speedups ON speedups.measurement = measurements.id;

-- The front reads this index alone, already in its order.
CREATE INDEX children_by_merit ON children (run, speedup DESC, rms_error, generation, id) WHERE speedup IS NOT NULL;

-- Which runs' candidates count for a run, and up to which generation: its own all, its ancestors' before it branched.
CREATE VIEW run_members AS
WITH RECURSIVE members (run, member, through) AS (
    SELECT id, id, 9223372036854775807 FROM runs
    UNION ALL
    SELECT members.run, runs.parent, min(members.through, runs.branched_at)
    FROM members JOIN runs ON runs.id = members.member
    WHERE runs.parent IS NOT NULL
)
SELECT * FROM members;

-- For each run the passing candidates that no other beats in both speed-up and error; of equals the earliest.
CREATE VIEW front AS
WITH ranked AS (
    SELECT
        run_members.run AS of_run,
        children.id,
        min(coalesce(children.rms_error, 0)) OVER (
            PARTITION BY run_members.run
            ORDER BY children.speedup DESC, coalesce(children.rms_error, 0), children.generation, children.id
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS least_error_of_faster,
        coalesce(children.rms_error, 0) AS error
    FROM run_members JOIN children ON children.run = run_members.member
    -- the + keeps SQLite on children_by_merit
    WHERE children.speedup IS NOT NULL AND +children.generation <= run_members.through
)
SELECT ranked.of_run, candidates.*
FROM ranked JOIN candidates ON candidates.id = ranked.id
WHERE least_error_of_faster IS NULL OR error < least_error_of_faster
ORDER BY ranked.of_run, candidates.speedup DESC;

-- WHERE candidate = ... gives that candidate and everything it descends from. The recursion stands inside the argument
-- of json_each because SQLite does not push WHERE into a recursive view: so it runs for the candidates asked for only.
CREATE VIEW lineage AS
SELECT descendant.id AS candidate, candidates.id AS ancestor, candidates.generation, candidates.operator,
    candidates.status, candidates.speedup, candidates.rms_error, candidates.recipe, candidates.parents, candidates.idea
FROM children AS descendant
JOIN json_each((
    WITH RECURSIVE family (id) AS (
        SELECT descendant.id
        UNION
        SELECT parents.parent FROM family JOIN parents ON parents.child = family.id
    )
    SELECT json_group_array(id) FROM family
)) AS member
JOIN candidates ON candidates.id = member.value;

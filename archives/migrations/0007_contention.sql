-- Why: contention was measured and never stored. What came back therefore differed from what had been given, and every
-- evaluation that knew its contention was stored again each time its candidate was remembered. The copies counted
-- against budgets, stood twice in the view timings, and entered generations.remeasured after a resume.
--
-- A copy is an evaluation that equals an earlier one of its child in everything that was measured, the seconds of the
-- judge and every raw sample included. Only evaluations with measurements were ever copied.

ALTER TABLE measurements ADD COLUMN contention ANY;

CREATE TEMP TABLE fingerprints AS
SELECT
    evaluations.id,
    evaluations.child,
    evaluations.position,
    json_array(status, fidelity, cases_passed, cases_total, max_error, rms_error, judge_s) AS outcome,
    (SELECT group_concat(figures, '; ') FROM (
        SELECT json_array(shape, cache, threads, held_out, latency_ns, noise_floor, baseline, ratio, low, high,
            baseline_latency_ns, direct, hex(candidate_samples_ns), hex(baseline_samples_ns)) AS figures
        FROM measurements LEFT JOIN speedups ON speedups.measurement = measurements.id
        WHERE measurements.evaluation = evaluations.id
        ORDER BY measurements.position, speedups.position
    )) AS figures
FROM evaluations;
CREATE INDEX temp.fingerprints_by_child ON fingerprints (child, outcome);

CREATE TEMP TABLE copies AS
SELECT id FROM fingerprints AS later
WHERE figures IS NOT NULL AND EXISTS (
    SELECT 1 FROM fingerprints AS earlier
    WHERE earlier.child = later.child AND earlier.outcome = later.outcome AND earlier.figures = later.figures
        AND earlier.position < later.position
);

DELETE FROM speedups WHERE measurement IN (SELECT id FROM measurements WHERE evaluation IN (SELECT id FROM copies));
DELETE FROM measurements WHERE evaluation IN (SELECT id FROM copies);
DELETE FROM evidence WHERE evaluation IN (SELECT id FROM copies);
DELETE FROM evaluations WHERE id IN (SELECT id FROM copies);

-- Positions are counted through again. They pass through negative numbers, since no two rows may share one meanwhile.
CREATE TEMP TABLE places AS
SELECT id, row_number() OVER (PARTITION BY child ORDER BY position) - 1 AS place
FROM evaluations WHERE child IN (SELECT child FROM fingerprints WHERE id IN (SELECT id FROM copies));
UPDATE evaluations SET position = -1 - places.place FROM places WHERE places.id = evaluations.id;
UPDATE evaluations SET position = -1 - position WHERE position < 0;

-- remeasured names a candidate once for each evaluation after its first. What a run and its ancestors name beyond that
-- stems from copies; the earliest mentions stay.
CREATE TEMP TABLE mentions AS
SELECT
    run_members.run AS of_run,
    generations.run,
    generations.number,
    mention.key AS position,
    mention.value AS child,
    row_number() OVER (
        PARTITION BY run_members.run, mention.value ORDER BY generations.number, mention.key
    ) AS occurrence
FROM run_members
JOIN generations ON generations.run = run_members.member AND generations.number <= run_members.through
JOIN json_each(generations.remeasured) AS mention;

UPDATE generations SET remeasured = (
    SELECT json_group_array(child) FROM (
        SELECT child FROM mentions
        WHERE mentions.of_run = generations.run AND mentions.run = generations.run
            AND mentions.number = generations.number
            AND occurrence < (SELECT count(*) FROM evaluations WHERE evaluations.child = mentions.child)
        ORDER BY position
    )
)
WHERE EXISTS (SELECT 1 FROM copies) AND remeasured <> '[]';

DROP TABLE fingerprints;
DROP TABLE copies;
DROP TABLE places;
DROP TABLE mentions;

DROP VIEW timings;
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
    measurements.noise_floor,
    measurements.contention
FROM evaluations
JOIN measurements ON measurements.evaluation = evaluations.id
JOIN speedups ON speedups.measurement = measurements.id;

UPDATE about SET explanation = explanation || ' contention tells how much longer computing took meanwhile than on idle cores; '
    || 'null where it was not read, and in measurements from before this column.' WHERE subject = 'measurements';

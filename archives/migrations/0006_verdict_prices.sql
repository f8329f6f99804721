-- Why: verifiers are held against the judge. A verdict keeps what it cost in money, how sure it was, why it had no opinion,
-- and whether the judge looked at the kernel although it was refused (audited): then the kernel is what the judge says.

ALTER TABLE verdicts ADD COLUMN doubt REAL;
ALTER TABLE verdicts ADD COLUMN cost_usd REAL DEFAULT 0.0;
ALTER TABLE verdicts ADD COLUMN tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE verdicts ADD COLUMN abstention TEXT NOT NULL DEFAULT '';
ALTER TABLE verdicts ADD COLUMN audited INTEGER NOT NULL DEFAULT 0;

DROP VIEW candidates;
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
         WHERE verdicts.child = children.id AND NOT verdicts.audited LIMIT 1),
        (SELECT stage || ': ' || reason FROM evidence JOIN evaluations ON evaluations.id = evidence.evaluation
         WHERE evaluations.child = children.id AND evaluations.status = children.status LIMIT 1)
    ) END AS why,
    idea,
    sources.hash AS source_hash
FROM children JOIN sources ON sources.id = children.source;

UPDATE about SET explanation = 'What each verifier said of a child. refusal is null when it let the child pass; doubt is how likely it '
    || 'thought that the kernel is wrong, null for one that does not weigh. audited is 1 where it refused and the kernel was judged all '
    || 'the same, to know what the verifier is worth. cost_usd is null where the price is unknown; seconds spent waiting for a model '
    || 'are in completions. abstention says why it had no opinion.' WHERE subject = 'verdicts';

-- Why: an answer that no kernel can be read in was paid for as well. Which models and which questions bring such answers, and
-- what is wrong with them, is told by the log and not by reading every answer again.

ALTER TABLE completions ADD COLUMN flaw TEXT;

DROP VIEW answers;
CREATE VIEW answers AS
SELECT
    completions.id,
    completions.run,
    completions.generation,
    completions.operator,
    completions.template,
    completions.model,
    completions.finish,
    completions.prompt_tokens,
    completions.completion_tokens,
    completions.reasoning_tokens,
    completions.cost_usd,
    completions.latency_s,
    completions.flaw,
    children.id AS child,
    children.status,
    children.speedup
FROM completions
LEFT JOIN child_completions ON child_completions.completion = completions.id
LEFT JOIN children ON children.id = child_completions.child;

UPDATE about SET explanation = explanation || ' flaw says why no kernel could be read in the answer; null where one could, where nobody '
    || 'looked yet, and in answers from before this column.' WHERE subject = 'completions';

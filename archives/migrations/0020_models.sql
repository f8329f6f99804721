-- Why: a request that was given up while its answer was on its way may have been billed. How many there were of each call is kept,
-- so that the sum of cost_usd is not taken for everything that was paid.

ALTER TABLE completions ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;

UPDATE about SET explanation = explanation || ' attempts counts the requests that were sent for it, lost those of them whose answer was '
    || 'dropped on its way and whose cost nobody knows.' WHERE subject = 'completions';

-- Why: what language models were asked and what they answered is paid for, so it is on disk before it is used, and a
-- child names the answers that it was made from. Texts are kept once by content, as sources are: prompts repeat.
--
-- generations.remeasured is there because children are proposed before their elders have been measured again: a search
-- that was killed must know which of a candidate's evaluations its next child may see.

CREATE TABLE texts (
    id INTEGER PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    compressed BLOB NOT NULL
) STRICT;

CREATE TABLE completions (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (id),
    generation INTEGER NOT NULL,
    place INTEGER NOT NULL,
    key TEXT NOT NULL,
    operator TEXT NOT NULL,
    template TEXT NOT NULL,
    sample ANY NOT NULL,
    model TEXT NOT NULL,
    finish TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    cost_usd REAL,
    latency_s REAL NOT NULL,
    attempts INTEGER NOT NULL,
    asked_at TEXT NOT NULL,
    answer INTEGER NOT NULL REFERENCES texts (id),
    reasoning INTEGER NOT NULL REFERENCES texts (id)
) STRICT;
CREATE INDEX completions_by_key ON completions (run, key);

CREATE TABLE messages (
    completion INTEGER NOT NULL REFERENCES completions (id),
    position INTEGER NOT NULL,
    role TEXT NOT NULL,
    text INTEGER NOT NULL REFERENCES texts (id),
    PRIMARY KEY (completion, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE child_completions (
    child INTEGER NOT NULL REFERENCES children (id),
    position INTEGER NOT NULL,
    completion INTEGER NOT NULL REFERENCES completions (id),
    PRIMARY KEY (child, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX child_completions_by_completion ON child_completions (completion);

ALTER TABLE generations ADD COLUMN remeasured TEXT NOT NULL DEFAULT '[]';

-- What each answer cost and what came of it; an answer of which no child came stands there with child null.
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
    children.id AS child,
    children.status,
    children.speedup
FROM completions
LEFT JOIN child_completions ON child_completions.completion = completions.id
LEFT JOIN children ON children.id = child_completions.child;

INSERT INTO about VALUES
    ('completions', 'The paid-for log: one row per request to a language model and its answer. cost_usd is null where the '
        || 'price is unknown; finish is failed where no answer came. generation and place say for which child it was '
        || 'asked. The view answers tells what came of each.'),
    ('messages', 'The turns of each request, in order.'),
    ('texts', 'Every message, answer and reasoning once, by SHA-256. compressed is zlib; UTF-8 inside.'),
    ('child_completions', 'Which answers a child was made from.');

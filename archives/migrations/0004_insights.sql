-- Why: whether lessons drawn from the archive are worth their price is measured, by the children whose authors were shown
-- them against the children whose authors were not.

CREATE TABLE child_insights (
    child INTEGER NOT NULL REFERENCES children (id),
    position INTEGER NOT NULL,
    completion INTEGER NOT NULL REFERENCES completions (id),
    PRIMARY KEY (child, position)
) STRICT, WITHOUT ROWID;

INSERT INTO about VALUES
    ('child_insights', 'Which lessons, answers in the paid-for log, the author of a child was shown.');

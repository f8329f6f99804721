-- Why: evidence said what was expected and what a kernel gave, and not by how much the two may differ there. Without that
-- nobody can tell a result that is slightly too coarse from one that is wrong.

ALTER TABLE evidence ADD COLUMN allowed ANY;

UPDATE about SET explanation = explanation || ' allowed is how far got may be from expected at that element; null where '
    || 'that does not decide, and in evidence from before this column.' WHERE subject = 'evidence';

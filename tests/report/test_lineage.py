"""The tree and the diff say what was changed and what that bought."""

from __future__ import annotations

import json
from dataclasses import replace

from evokern.records.completion import Completion, Exchange, Finish, Prompt
from evokern.records.kernel import Child, Kernel, Parent, Recipe
from evokern.records.outcome import Candidate
from evokern.report import candidate as sheet
from evokern.report import difference, lineage
from tests.specimens import PARALLEL, UNROLL, measured, passed, wrong

SEED = passed(1, 1.0, generation=0)
MOTHER = passed(2, 1.5, (UNROLL,), (Parent(1),))
FATHER = passed(3, 2.0, (PARALLEL,), (Parent(1),))
CHILD = passed(4, 2.5, (UNROLL, PARALLEL), (Parent(2), Parent(3, "donor")), generation=2)
ANCESTORS = {one.id: one for one in (SEED, MOTHER, FATHER)}


def test_the_tree_shows_roles_gains_and_what_each_step_changed():
    lines = lineage.text(CHILD, ANCESTORS).splitlines()
    assert lines[0] == "4  gen 2  2.00x  mutate  +parallelise(loop m schedule=static)"
    assert lines[1] == "├─ 2  gen 1  1.20x  mutate  +unroll(loop n factor=4)"
    assert lines[2] == "│  1  gen 0  0.80x  seed"
    assert lines[3].startswith("└─ (donor) 3  gen 1  1.60x")
    assert lines[4] == "   1 (see above)"


def test_a_kernel_that_a_model_wrote_names_it_its_prompt_and_its_cost():
    written = Kernel(SEED.child.kernel.source + "int rewritten;")
    child = Child(written, "repair", Recipe(written), (Parent(1),), "tiled the rows", completions=(7, 8))
    candidate = Candidate(1, 2, 0, 0, child, (), (measured(3.0),), id=9)
    answer = Completion(7, "openai/a", "", "", Finish.STOP, 100, 20, 0, 0.01, 1.0)
    prompt = Prompt("repair", (), "repair")
    answers = {
        id: Exchange(1, 2, 0, "", prompt, replace(answer, id=id, cost_usd=cost)) for id, cost in ((7, 0.01), (8, 0.02))
    }
    text = lineage.text(candidate, {1: SEED}, answers)
    assert text.splitlines()[0] == "9  gen 2  2.40x  repair by openai/a (repair, $0.0300)  tiled the rows"
    (node, _) = json.loads(lineage.as_json(candidate, {1: SEED}, answers))
    assert node["answers"][0] == {"model": "openai/a", "template": "repair", "tokens": 120, "cost_usd": 0.01}
    assert "answer 8  openai/a, repair: 100 + 20 tokens (0 of reasoning), $0.0200" in sheet.text(
        candidate, list(answers.values())
    )


def test_a_removed_step_and_a_failure_are_told():
    parent = passed(2, 1.5, (PARALLEL, UNROLL), (Parent(1),))
    text = lineage.text(wrong(9, (Parent(2),)), {2: parent})
    assert text.splitlines()[0] == "9  gen 1  wrong  mutate  -parallelise(loop m schedule=static)"


def test_an_ancestor_beyond_the_archive_is_named():
    assert lineage.text(MOTHER, {}).splitlines()[1] == "1"


def test_lineage_json_gives_nodes_and_edges():
    nodes = json.loads(lineage.as_json(CHILD, ANCESTORS))
    assert [node["id"] for node in nodes] == [4, 3, 2, 1]
    assert nodes[0]["parents"] == [{"id": 2, "role": "base"}, {"id": 3, "role": "donor"}]


def test_a_long_chain_is_drawn_without_running_out_of_stack():
    chain = {id: passed(id, 1.0, parents=(Parent(id - 1),) if id else ()) for id in range(3000)}
    assert len(lineage.text(chain[2999], chain).splitlines()) == 3000


def test_a_diff_tells_measurements_steps_and_source():
    text = difference.text(MOTHER, CHILD)
    assert "1.20x" in text
    assert "2.00x" in text
    assert "+ parallelise(loop m schedule=static)" in text
    assert "+++ candidate 4" in text


def test_a_kernel_does_not_differ_from_itself():
    assert "the sources are the same" in difference.text(CHILD, CHILD)
    assert json.loads(difference.as_json(CHILD, CHILD))["source"] == ""

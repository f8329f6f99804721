"""Each child that a model wrote names its operator, model, prompt, parents and cost."""

from __future__ import annotations

import json
from dataclasses import replace

from evokern.completion import Completion, Exchange, Finish, Message, Prompt
from evokern.kernel import Parent
from evokern.outcome import Candidate
from evokern.report import asked, candidate, lineage
from tests.specimens import passed


def exchange(id: int, template: str = "mutate", cost_usd: float | None = 0.01, text: str = "an answer") -> Exchange:
    messages = (Message("system", "the task"), Message("user", "the question"))
    if template == "mend":
        messages = (*messages, Message("assistant", "an answer"), Message("user", "that can't be used"))
    prompt = Prompt("mutate", messages, template, 7)
    completion = Completion(id, "openai/one", text, "hm", Finish.STOP, 1000, 500, 200, cost_usd, 4.5)
    return Exchange(1, 1, 0, f"key {id}", prompt, completion)


def written(one: Candidate, *completions: int) -> Candidate:
    return replace(one, child=replace(one.child, completions=completions, insights=(3,), idea="rows: four at a time"))


CHILD = written(passed(2, 2.0, parents=(Parent(1),)), 11, 12)
LOG = {11: exchange(11), 12: exchange(12, "mend", text="another answer")}


def test_show_names_every_answer_with_its_price() -> None:
    text = candidate.text(CHILD, list(LOG.values()))
    assert (
        "asked     answer 11 by openai/one to prompt mutate: 1000 + 500 tokens (200 of reasoning), $0.0100, 4.5 s"
        in text
    )
    assert "asked     answer 12 by openai/one to prompt mend" in text
    assert "lessons   answers 3 were shown" in text
    sheet = json.loads(candidate.as_json(CHILD, list(LOG.values())))
    assert sheet["cost_usd"] == 0.02
    assert sheet["exchanges"][1]["prompt"]["messages"][3] == {"role": "user", "text": "that can't be used"}


def test_an_unknown_price_is_not_free() -> None:
    assert asked.cost([exchange(1), exchange(2, cost_usd=None)]) == "cost unknown"
    assert asked.cost_usd([exchange(1), exchange(2, cost_usd=None)]) is None


def test_a_conversation_is_told_once() -> None:
    text = asked.conversations(list(LOG.values()))
    for words in ("the task", "the question", "an answer", "that can't be used", "another answer"):
        assert sum(line == words for line in text.splitlines()) == 1


def test_lineage_names_operator_model_prompt_and_cost() -> None:
    seed = passed(1, 1.0, generation=0)
    first, second = lineage.text(CHILD, {1: seed}, LOG).splitlines()
    assert first == "2  gen 1  1.60x  mutate (openai/one, prompt mutate mend, $0.0200)  rows: four at a time"
    assert second == "1  gen 0  0.80x  seed"
    node, root = json.loads(lineage.as_json(CHILD, {1: seed}, LOG))
    assert (node["models"], node["prompts"], node["answers"]) == (["openai/one"] * 2, ["mutate", "mend"], [11, 12])
    assert (node["parents"], node["lessons"], node["cost_usd"]) == ([{"id": 1, "role": "base"}], [3], 0.02)
    assert (root["models"], root["cost_usd"]) == ([], 0.0)

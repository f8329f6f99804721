"""How long to wait: for an answer, and before the next try."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from evokern.models.patience import FIRST_S, LEAST_S, LONGEST_ASKED_S, MOST_S, MULTIPLE, Patience, asked_pause_s

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 1.5 ", 1.5),
        ("Sun, 01 Mar 2026 12:00:09 GMT", 9.0),
        ("Sun, 01 Mar 2026 12:00:09 -0000", 9.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("86400", LONGEST_ASKED_S),
        ("Mon, 02 Mar 2026 12:00:00 GMT", LONGEST_ASKED_S),
        ("-3", 0.0),
        ("inf", 0.0),
        ("nan", 0.0),
        ("soon", 0.0),
        ("", 0.0),
    ],
)
def test_a_server_may_ask_for_a_pause_in_seconds_or_until_a_date_within_bounds(text: str, seconds: float) -> None:
    assert asked_pause_s({"retry-after": text}, NOW) == seconds


def test_without_the_header_nothing_is_asked_for() -> None:
    assert asked_pause_s({}, NOW) == 0.0


def test_a_model_is_waited_for_as_its_slowest_answer_teaches() -> None:
    patience = Patience()
    assert patience.wait_s("a", None) == FIRST_S
    patience.answered("a", 1.0)
    assert patience.wait_s("a", None) == LEAST_S >= 300.0
    patience.answered("a", 200.0)
    patience.answered("a", 2.0)
    assert patience.wait_s("a", None) == MULTIPLE * 200.0
    assert patience.wait_s("a", None, in_vain=1) == 2 * MULTIPLE * 200.0
    assert patience.wait_s("a", None, in_vain=9) == MOST_S
    assert patience.wait_s("b", None) == FIRST_S


def test_what_a_user_sets_is_obeyed_whatever_the_model_has_shown() -> None:
    patience = Patience()
    for set_s in (5.0, 1800.0, 7200.0):
        assert patience.wait_s("a", set_s) == set_s
        patience.answered("a", 1.0)
        assert patience.wait_s("a", set_s, in_vain=3) == set_s

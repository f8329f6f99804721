"""What sources declare, and what is said of declarations that can't be read."""

from __future__ import annotations

import pytest

from evokern.records.arithmetic import Unsayable
from evokern.records.tunable import Constraint, Tunable, declarations, normalised, with_first

SOURCE = """\
// evokern: tunable ROWS in {4, 1, 16}
  // evokern: flag  WIDTH in { -mprefer-vector-width=512, none }
# evokern: where ROWS * 4 <= 32
void kernel();
"""


def test_tunables_flags_and_constraints_in_order():
    declared = declarations(SOURCE)
    assert declared.tunables == (
        Tunable("ROWS", ("4", "1", "16")),
        Tunable("WIDTH", ("-mprefer-vector-width=512", "none"), is_flag=True),
    )
    assert declared.constraints == (Constraint("ROWS * 4 <= 32", 3, 18),)
    assert declared.tunables[0].ordered == ("1", "4", "16")
    assert [one.is_numeric for one in declared.tunables] == [True, False]


@pytest.mark.parametrize(
    ("line", "place", "reason"),
    [
        ("// evokern: tunabel ROWS in {1}", "2:13", "expected `tunable NAME in {1, 2}`"),
        ("// evokern: tunable ROWS in {1, 2", "2:13", "got `tunable ROWS in {1, 2`"),
        ("// evokern: tunable 2ROWS in {1}", "2:13", "got `tunable 2ROWS in {1}`"),
        ("// evokern: tunable ROWS in {}", "2:30", "different choices of ROWS"),
        ("// evokern: tunable ROWS in {1, , 2}", "2:30", "different choices of ROWS"),
        ("// evokern: tunable ROWS in {1, 2, 1}", "2:30", "different choices of ROWS, got {1, 2, 1}"),
        ("  // evokern: flag BLOCK in {-O2}", "2:20", "BLOCK is declared already, at 1:13"),
        ("// evokern: where BLOCK <=", "2:19", "expected arithmetic such as `ROWS <= 4`, got `BLOCK <=`"),
        ("// evokern: where", "2:13", "got `where`"),
    ],
)
def test_what_can_t_be_read_is_named_with_its_place(line: str, place: str, reason: str):
    with pytest.raises(Unsayable) as caught:
        declarations(f"// evokern: tunable BLOCK in {{1, 2}}\n{line}\n")
    assert str(caught.value).startswith(f"{place}: ")
    assert reason in str(caught.value)


def test_too_many_tunables():
    with pytest.raises(Unsayable, match="at most 24 tunables"):
        declarations("".join(f"// evokern: tunable T{number} in {{1, 2}}\n" for number in range(25)))


def test_a_choice_is_put_first_and_nothing_else_changes():
    assert with_first(SOURCE, "ROWS", "16") == SOURCE.replace("{4, 1, 16}", "{16, 4, 1}")
    flipped = SOURCE.replace("{ -mprefer-vector-width=512, none }", "{none, -mprefer-vector-width=512}")
    assert with_first(SOURCE, "WIDTH", "none") == flipped
    assert with_first(SOURCE, "ROWS", "8") == SOURCE.replace("{4, 1, 16}", "{8, 4, 1, 16}")
    assert with_first(SOURCE, "OTHER", "8") == SOURCE


def test_the_order_behind_the_first_choice_means_nothing():
    assert normalised(SOURCE) == normalised(SOURCE.replace("4, 1, 16", "4,16, 1"))
    assert normalised(SOURCE) != normalised(SOURCE.replace("4, 1, 16", "1, 4, 16"))

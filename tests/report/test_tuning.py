"""The table of what tuning found, shape by shape."""

from __future__ import annotations

from evokern.records.kernel import Child, Kernel, Parent, Recipe
from evokern.records.outcome import Cache, Candidate, Evaluation, Fidelity, Measurement, Speedup, Status
from evokern.report import tuning

SHORT, LONG = {"N": 64}, {"N": 4096}


def trial(id: int, rows: int, short: float, long: float, fidelity: Fidelity = Fidelity.CONFIRM) -> Candidate:
    kernel = Kernel(f"// evokern: tunable ROWS in {{{rows}, {'4' if rows != 4 else '1'}}}\n")
    measured = tuple(
        Measurement(shape, Cache.COLD, 1, 1e6 / value, (Speedup("eager", value, value, value, 1e6),), 0.01)
        for shape, value in ((SHORT, short), (LONG, long))
    )
    child = Child(kernel, "tune", Recipe(kernel), (Parent(1),) if id > 1 else ())
    return Candidate(1, 1, id, 0, child, (), (Evaluation(Status.PASSED, fidelity, measurements=measured),), id)


def test_each_shape_has_the_point_that_leads_there_and_the_default_leads_over_all():
    trials = [trial(1, 1, 1.0, 1.0), trial(2, 4, 3.0, 1.5), trial(3, 8, 1.2, 2.0)]
    every, short, long = tuning.text(trials, (SHORT, LONG)).splitlines()[1:]
    assert every.startswith("every shape")
    assert "2   333.3 us / 666.7 us  2.12x" in every
    assert every.endswith("ROWS = 4")
    assert short.startswith("N=64")
    assert short.endswith("ROWS = 4")
    assert long.startswith("N=4096")
    assert long.endswith("ROWS = 8")


def test_what_noise_may_explain_does_not_replace_the_default():
    trials = [trial(1, 1, 1.0, 1.0), trial(2, 4, 3.0, 1.5), trial(3, 8, 1.0, 1.51)]
    assert all(line.endswith("ROWS = 4") for line in tuning.text(trials, (SHORT, LONG)).splitlines()[1:])


def test_what_was_only_screened_stands_aside():
    trials = [trial(1, 1, 1.0, 1.0), trial(2, 4, 3.0, 1.5), trial(3, 8, 9.0, 9.0, Fidelity.SCREEN)]
    assert "ROWS = 8" not in tuning.text(trials, (SHORT, LONG))


def test_one_shape_needs_one_line():
    assert len(tuning.text([trial(1, 1, 1.0, 1.0)], (SHORT,)).splitlines()) == 2


def test_a_kernel_without_tunables_has_nothing_to_tell():
    bare = Candidate(1, 0, 0, 0, Child(Kernel("void kernel();"), "seed", Recipe(Kernel("void kernel();"))))
    assert tuning.lines(bare, [bare]) == []

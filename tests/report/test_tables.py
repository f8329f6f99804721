"""What people read: the front, one candidate, the verdict with its evidence."""

from __future__ import annotations

import json
from dataclasses import replace
from math import isclose

from evokern.records import figures
from evokern.records.outcome import PROFILE, Evaluation, Evidence, Fidelity
from evokern.report import benchmark, candidate, front, progress
from evokern.report.table import table
from tests.specimens import PARALLEL, UNROLL, measured, passed, refused, wrong


def test_a_table_aligns_its_columns_and_cuts_only_the_last_to_fit():
    lines = table(("id", "recipe"), [("1", "unroll"), ("123", "parallelise unroll")], width=15).splitlines()
    assert lines == ["id   recipe", "1    unroll", "123  paralleli…"]


def test_a_table_in_a_pipe_is_not_cut():
    assert "x" * 300 in table(("id", "recipe"), [("1", "x" * 300)])


def test_the_front_tells_speed_with_its_interval_error_latency_generation_and_recipe():
    kernel = passed(7, 2.5, (PARALLEL, UNROLL, UNROLL), rms_error=0.83, generation=4)
    header, line = front.text([kernel]).splitlines()
    assert header.split("  ")[0] == "id"
    for expected in (
        "7 ", "2.00x [1.96, 2.04]", "2.50x [2.45, 2.55]", "0.83", "800.0 us", "4", "parallelise unroll x2"
    ):  # fmt: skip
        assert expected in line


def test_an_empty_front_says_so():
    assert front.text([]) == "No kernel has passed yet."


def test_front_json_has_the_numbers_unrounded():
    (row,) = json.loads(front.as_json([passed(7, 2.5, (UNROLL,))]))
    assert row["id"] == 7
    assert isclose(row["over_best"]["ratio"], 2.0)
    assert row["recipe"] == "unroll(loop n factor=4)"


def test_shapes_combine_to_a_geometric_mean_with_a_narrower_interval():
    one, other = measured(2.0).measurements[0], measured(8.0).measurements[0]
    both = figures.over(replace(measured(2.0), measurements=(one, other)), "eager")
    assert both is not None
    assert isclose(both.ratio, 4.0)
    assert 2.0 / 1.96 > both.ratio / both.low > 1.0


def test_a_candidate_s_sheet_holds_its_profile_and_its_line_does_not():
    facts = (Evidence(PROFILE, "called in loops: expf"), Evidence(PROFILE, "at 5 GB/s", shape={"N": 4096}))
    kernel = replace(passed(7, 2.5), evaluations=(replace(measured(2.5), evidence=facts),))
    told = candidate.text(kernel)
    assert "profile   called in loops: expf\nprofile   N=4096: at 5 GB/s" in told
    assert "evidence" not in told
    assert "expf" not in progress.candidate_line(kernel)


def test_held_out_shapes_do_not_count_towards_the_mean():
    timed, held = measured(2.0).measurements[0], replace(measured(8.0).measurements[0], held_out=True)
    mean = figures.over(replace(measured(2.0), measurements=(timed, held)), "eager")
    assert mean is not None
    assert isclose(mean.ratio, 2.0)


def test_the_benchmark_tells_errors_speedups_and_noise_floor():
    text = benchmark.text(measured(2.5, rms_error=0.83, fidelity=Fidelity.CHAMPION))
    for expected in ("passed", "max 1.66, rms 0.83", "N=4096", "cold", "over eager", "over compile", "1.0%"):
        assert expected in text
    assert "2.00x [1.96, 2.04] over best" in text


def test_a_failure_shows_where_and_what():
    evaluation = wrong(3).evaluation
    assert evaluation is not None
    text = benchmark.text(evaluation)
    assert "wrong (4 of 9 cases" in text
    assert "check: output y differs" in text
    assert "at N=3, seed 7, y[2], expected 1.5, got 0.0" in text


def test_show_quotes_the_compiler_and_prints_the_source():
    kernel = refused(5)
    text = candidate.text(kernel)
    assert "candidate 5: compile_failed" in text
    assert "| kernel.cpp:2: error: expected ';'" in text
    assert text.endswith(kernel.child.kernel.source.rstrip())


def test_show_json_holds_raw_samples_and_what_follows_from_them():
    sheet = json.loads(candidate.as_json(passed(7, 2.5)))
    assert sheet["status"] == "passed"
    assert isclose(sheet["over_eager"]["ratio"], 2.5)
    speedup = sheet["candidate"]["evaluations"][0]["measurements"][0]["speedups"][0]
    assert speedup["candidate_samples_ns"] == [1e6]


def test_a_generation_is_one_line_with_counts_and_the_leader():
    line = str(progress.standing(3, [passed(1, 1.5), passed(2, 2.5), wrong(3), refused(4)], 75.0))
    assert "\n" not in line
    assert line.startswith("generation 3: 2 leads with 2.00x over best, 2.50x over eager, error 1.00")
    assert "4 proposed, 3 judged, 2 passed; 1 min 15 s" in line


def test_the_claim_stands_beside_the_measurement():
    kernel = passed(2, 2.5)
    champion = replace(kernel, evaluations=(*kernel.evaluations, measured(2.4, fidelity=Fidelity.CHAMPION)))
    line = progress.claim_line(champion)
    assert "claimed 2.00x" in line
    assert "re-measured in fresh processes 1.92x" in line


def test_a_claim_that_was_made_on_what_counts_as_another_machine_says_so():
    def beside(contention: float, fidelity: Fidelity) -> Evaluation:
        judged = measured(2.4, fidelity=fidelity)
        timed = tuple(replace(one, contention=contention) for one in judged.measurements)
        return replace(judged, measurements=timed)

    claimed = beside(1.04, Fidelity.CONFIRM)
    for contention, told in ((1.1, ""), (1.3, " (contention was 1.04x, then 1.30x)")):
        champion = replace(passed(2, 2.5), evaluations=(claimed, beside(contention, Fidelity.CHAMPION)))
        assert progress.claim_line(champion).endswith(f"over eager{told}")


def test_a_champion_that_fails_its_last_measurement_is_not_praised():
    kernel = passed(2, 2.5)
    failure = wrong(2).evaluations
    line = progress.claim_line(replace(kernel, evaluations=(*kernel.evaluations, *failure)))
    assert line == "candidate 2 failed when measured again: wrong"

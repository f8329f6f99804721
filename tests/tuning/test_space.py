"""Legal points: what the solver finds is what trying everything finds; illegal declarations are refused by name."""

from __future__ import annotations

from itertools import product

import numpy
import pytest

from evokern.records.arithmetic import Unsayable, evaluate
from evokern.records.kernel import Kernel
from evokern.records.task import DType, Scalar, Shape, Task, Tensor
from evokern.records.tunable import declarations, value_of
from evokern.tuning import limits, space
from evokern.tuning.space import legal_points, misdeclared


def task(*time: Shape) -> Task:
    """y = x + k, x: (M, N)."""
    x, y = Tensor("x", DType.FLOAT32, ("M", "N")), Tensor("y", DType.FLOAT32, ("M", "N"))
    scalars = (Scalar("k", DType.INT64, 3), Scalar("eps", DType.FLOAT32, 0.5))
    return Task("add", "test", "add.py", "", (x, *scalars), (y,), ({"M": 1, "N": 1},), time)


TASK = task({"M": 64, "N": 128}, {"M": 8, "N": 4096})
OPERANDS = ("{}", "{} * {}", "{} + {}", "{} * {} + {}", "cdiv({}, {})", "max({}, {})", "{} % {}", "{} // {}")


def random_system(rng: numpy.random.Generator) -> Kernel:
    """3 to 6 tunables under 1 to 3 constraints, which may divide by zero or hold nowhere."""
    names = [f"T{number}" for number in range(int(rng.integers(3, 7)))]
    others = [*names, "M", "N", "k", "2", "64"]
    lines = []
    for name in names:
        choices = rng.choice([0, 1, 2, 3, 4, 8, 16, 32, 64], size=int(rng.integers(2, 6)), replace=False)
        lines.append(f"// evokern: tunable {name} in {{{', '.join(map(str, choices))}}}")
    for _ in range(int(rng.integers(1, 4))):
        forms = [str(rng.choice(OPERANDS)) for _ in range(2)]
        left, right = (form.format(*rng.choice(others, size=form.count("{}"))) for form in forms)
        lines.append(f"// evokern: where {left} {rng.choice(['<=', '>', '!='])} {right}")
    return Kernel("\n".join(lines))


def by_brute_force(kernel: Kernel, of: Task) -> set[tuple[tuple[str, str], ...]]:
    declared = declarations(kernel.source)
    names = [tunable.name for tunable in declared.tunables]
    found = set()
    for choices in product(*(tunable.choices for tunable in declared.tunables)):
        point = {name: value_of(choice) for name, choice in zip(names, choices, strict=True)}
        try:
            legal = all(
                evaluate(constraint.expression, {"k": 3, **shape, **point})
                for constraint in declared.constraints
                for shape in of.time
            )
        except Unsayable:
            legal = False
        if legal:
            found.add(tuple(zip(names, choices, strict=True)))
    return found


@pytest.mark.parametrize("seed", range(30))
def test_the_solver_finds_what_brute_force_finds(seed: int):
    kernel = random_system(numpy.random.default_rng(seed))
    points = legal_points(kernel, TASK)
    assert len(set(points)) == len(points)
    assert set(points) == by_brute_force(kernel, TASK)


def test_random_systems_are_neither_all_empty_nor_all_free():
    sizes = [len(legal_points(random_system(numpy.random.default_rng(seed)), TASK)) for seed in range(30)]
    assert sum(size > 0 for size in sizes) > 10
    assert sum(size > 100 for size in sizes) > 3


DECLARED = "// evokern: tunable ROWS in {4, 1, 16}\n// evokern: tunable MODE in {fast, safe}\n"


def test_points_are_the_same_wherever_the_kernel_is():
    points = legal_points(Kernel(DECLARED), TASK)
    assert points[0] == (("ROWS", "1"), ("MODE", "fast"))
    assert len(points) == 6
    moved = Kernel("// evokern: tunable ROWS in {16, 4, 1}\n// evokern: tunable MODE in {safe, fast}\n")
    assert legal_points(moved, TASK) == points


def test_a_kernel_without_tunables_is_at_its_only_point():
    assert legal_points(Kernel("void kernel();"), TASK) == ((),)


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("ROWS <= 4", {"1", "4"}),
        ("M % ROWS == 0", {"1", "4"}),  # of M = 64 and M = 8
        ("ROWS == 16 or MODE == 'safe'", {"1", "4", "16"}),
        ("ROWS > k", {"4", "16"}),
        ("ROWS * 1024 <= l1_cache", {"1", "4", "16"}),
        ("ROWS * 1024 <= vector_bytes * 256", {"1", "4", "16"}),
        ("cores >= 1", {"1", "4", "16"}),
        ("0", set()),
    ],
)
def test_constraints_on_tunables_dimensions_scalars_and_the_device(
    where: str, rows: set[str], monkeypatch: pytest.MonkeyPatch
):
    device = {"cores": 2, "vector_bytes": 64, "l1_cache": 48 << 10, "l2_cache": 1 << 20, "l3_cache": 8 << 20}
    monkeypatch.setattr(space, "device_limits", lambda _: device)
    points = legal_points(Kernel(f"{DECLARED}// evokern: where {where}\n"), TASK)
    assert {dict(point)["ROWS"] for point in points} == rows


def test_a_gpu_has_shared_memory_and_a_cpu_has_caches():
    assert limits.device_limits("triton")["shared_memory"] >= 48 << 10
    here = limits.device_limits("cpp")
    assert here["cores"] >= 1
    assert 16 <= here["vector_bytes"] <= here["l1_cache"] <= here["l2_cache"] <= here["l3_cache"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("// evokern: where ROWS <= columns", "3:27: columns is not a number that is known here (known: M, MODE, N, "),
        ("// evokern: where ROWS.bit_length() <= 4", "3:19: expected integer arithmetic"),
        ("// evokern: where ROWS <= 4.5", "3:27: expected integer arithmetic"),
        ("// evokern: where ROWS <= eps", "3:27: eps is not a number"),
        ("// evokern: where ROWS <= 2", "3:19: the first choices break `ROWS <= 2` (ROWS = 4)"),
        ("// evokern: where MODE <= 2", "3:19: can't compare 'fast' with 2"),
        ("// evokern: where 8 % (ROWS - 4) == 0", "3:19: `8 % (ROWS - 4)` divides by zero"),
        ("// evokern: where N >= 1024", "3:19: the first choices break `N >= 1024` (none)"),
        ("// evokern: wher ROWS <= 2", "3:13: expected"),
    ],
)
def test_illegal_declarations_are_evidence_with_line_and_column(line: str, reason: str):
    evidence = misdeclared(Kernel(f"{DECLARED}{line}\n"), TASK)
    assert evidence is not None
    assert evidence.stage == "compile"
    assert evidence.reason.startswith(reason)


def test_legal_declarations_are_no_evidence():
    assert misdeclared(Kernel(f"{DECLARED}// evokern: where ROWS * k <= N and MODE != 'slow'\n"), TASK) is None


def test_where_nothing_is_timed_dimensions_constrain_nothing():
    kernel = Kernel(f"{DECLARED}// evokern: where ROWS <= M\n// evokern: where ROWS != 16\n")
    assert misdeclared(kernel, task()) is None
    assert len(legal_points(kernel, task())) == 4


def test_a_space_of_many_combinations_is_thinned_out_evenly():
    choices = ", ".join(map(str, range(1, 31)))
    source = "".join(f"// evokern: tunable T{number} in {{{choices}}}\n" for number in range(4))
    points = legal_points(Kernel(f"{source}// evokern: where T0 <= 15\n"), TASK)
    assert 5_000 < len(points) <= space.MOST_COMBINATIONS
    for name in ("T1", "T2", "T3"):
        assert len({dict(point)[name] for point in points}) >= 8

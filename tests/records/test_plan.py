"""The launch plan: what it can say, what it can't and where that stands, and that it is never executed."""

from __future__ import annotations

from pathlib import Path

import pytest

from evokern.records.kernel import Kernel
from evokern.records.outcome import Evidence
from evokern.records.plan import Number, Plan, Resolved, Scratch, ScratchTensor, TaskTensor, parse
from evokern.records.task import DType, Scalar, Task, Tensor

TASK = Task(
    name="scale",
    category="elementwise",
    reference_file="scale.py",
    reference_source="",
    arguments=(
        Tensor("x", DType.FLOAT32, ("M", "N")),
        Scalar("factor", DType.FLOAT32, 0.5),
        Scalar("window", DType.INT64, 8),
    ),
    returns=(Tensor("y", DType.FLOAT32, ("M", "N")),),
    check=({"M": 3, "N": 5},),
    time=({"M": 64, "N": 128},),
)
SHAPE = {"M": 10, "N": 33}
HEAD = "def kernel(x, factor, window, y, M, N, *, BLOCK=16, num_warps=4):\n"
LAUNCH = "    scale[(cdiv(M * N, BLOCK),)](x, factor, y, M * N, BLOCK=BLOCK, num_warps=num_warps)\n"


def plan_of(body: str, head: str = HEAD, before: str = "") -> Plan | Evidence:
    return parse(Kernel(before + head + body, "triton"), TASK)


def resolved(body: str) -> Resolved | Evidence:
    plan = plan_of(body)
    assert isinstance(plan, Plan), plan
    return plan.resolve(SHAPE)


def test_a_plan_gives_its_launches_with_numbers():
    found = resolved(LAUNCH)
    assert isinstance(found, Resolved)
    (launch,) = found.launches
    assert (launch.function, launch.grid) == ("scale", (21, 1, 1))
    assert launch.arguments == (
        TaskTensor("x", DType.FLOAT32),
        Number(0.5, DType.FLOAT32),
        TaskTensor("y", DType.FLOAT32),
        Number(330),
    )
    assert launch.keywords == (("BLOCK", Number(16)), ("num_warps", Number(4)))
    assert launch.place == "2:5"


def test_scratch_tensors_are_sized_and_passed_on():
    found = resolved(
        "    part = empty((cdiv(M, 4), 2), float32)\n    first[(M,)](x, part)\n    second[(1, 2, 3)](part, y)\n"
    )
    assert isinstance(found, Resolved)
    assert found.scratch == (Scratch("part", DType.FLOAT32, (3, 2)),)
    assert found.scratch[0].bytes == 24
    assert [launch.arguments[1] for launch in found.launches] == [
        ScratchTensor(0, DType.FLOAT32),
        TaskTensor("y", DType.FLOAT32),
    ]
    assert found.launches[1].grid == (1, 2, 3)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("M + 2 * N - 1", 75),
        ("N // 4 % 5", 3),
        ("-M", -10),
        ("cdiv(N, 16)", 3),
        ("next_power_of_2(N)", 64),
        ("next_power_of_2(1)", 1),
        ("min(M, N, 7)", 7),
        ("max(M, N)", 33),
        ("window", 8),
        ("M if N > 100 else BLOCK", 16),
        ("M < N <= 33", 1),
        ("M == 10 and not N == 33", 0),
        ("M == 11 or N != 34", 1),
    ],
)
def test_arithmetic(expression: str, value: int):
    found = resolved(f"    grid = (M, 2)\n    n = {expression}\n    scale[grid](x, y, n)\n")
    assert isinstance(found, Resolved), found
    assert found.launches[0].arguments[2] == Number(value)


def test_a_condition_chooses_at_each_shape():
    body = """
    if N > 100:
        long[(M,)](x, y)
    elif N > 30:
        short[(M,)](x, y)
    else:
        tiny[(1,)](x, y)
"""
    plan = plan_of(body)
    assert isinstance(plan, Plan)
    assert plan.functions == ("long", "short", "tiny")
    for size, name in ((101, "long"), (31, "short"), (5, "tiny")):
        found = plan.resolve({"M": 2, "N": size})
        assert isinstance(found, Resolved)
        assert [launch.function for launch in found.launches] == [name]


def test_errors_have_line_and_column():
    for body, place in (
        ("    n = M ** 2\n" + LAUNCH, "2:9"),
        ("    pass\n    if x:\n        pass\n" + LAUNCH, "3:8"),
        ("    scale[(M,)](x, y, M / N)\n", "2:23"),
        ("    scale[(M,)](x, *y)\n", "2:20"),
        ("    scale[(M,)](x, **y)\n", "2:22"),
        ("    part = empty(M)\n", "2:12"),
        ("    part = empty((M,), float31)\n", "2:12"),
        ("    x = M\n", "2:5"),
        ("    n = unknown\n", "2:9"),
        ("    n = cdiv(M)\n", "2:9"),
        ("    n = 1.5\n", "2:9"),
    ):
        evidence = plan_of(body)
        assert isinstance(evidence, Evidence), body
        assert evidence.reason.startswith(f"{place}: "), evidence.reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("    scale[(cdiv(M, M - 10),)](x, y)\n", "2:12: `cdiv(M, M - 10)` divides by zero"),
        ("    scale[(M - 10,)](x, y)\n", "2:5: expected a grid of 1 to 3 sizes"),
        ("    scale[(M, N, 2, 2)](x, y)\n", "2:5: expected a grid of 1 to 3 sizes"),
        ("    scale[(1, 70000)](x, y)\n", "2:5: expected a grid of 1 to 3 sizes"),
        ("    n = M * 1000000000 * 1000000000 * 1000000000\n    scale[(1,)](x, y, n)\n", "64 bits"),
        ("    if M > 100:\n        n = 1\n    scale[(1,)](x, y, n)\n", "n has no value at this shape"),
        ("    part = empty((M - 10, 2), float32)\n    scale[(1,)](part, y)\n", "expected extents above 0"),
        ("    part = empty((1000000, 1000000), float32)\n    scale[(1,)](part, y)\n", "bytes of scratch"),
        ("    if M > 100:\n        scale[(1,)](x, y)\n", "launches nothing"),
    ],
)
def test_what_only_numbers_show_is_told_at_the_shape(body: str, reason: str):
    found = resolved(body)
    assert isinstance(found, Evidence)
    assert reason in found.reason
    assert found.shape == SHAPE


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ("def kernel(x, y, M, N):\n", "1:1: expected kernel(x, factor, window, y, M, N"),
        ("def kernel(x, factor, window, y, M, N, *rest):\n", "1:1: expected kernel("),
        ("def kernel(x, factor, window, y, M, N, *, BLOCK):\n", "BLOCK has no value"),
        ("def kernel(x, factor, window, y, M, N, *, BLOCK=print()):\n", "expected an integer or a word"),
        ("@evil\ndef kernel(x, factor, window, y, M, N, *, BLOCK=16, num_warps=4):\n", "1:2: expected no decorator"),
        ("def other(x):\n", "expected one function `kernel`"),
    ],
)
def test_a_plan_has_the_task_s_parameters(head: str, reason: str):
    found = plan_of(LAUNCH, head)
    assert isinstance(found, Evidence)
    assert reason in found.reason


def test_declared_choices_and_the_default_must_agree():
    declared = "# evokern: tunable BLOCK in {16, 32, 64}\n"
    plan = plan_of(LAUNCH, before=declared)
    assert isinstance(plan, Plan)
    assert [(tunable.name, tunable.choices) for tunable in plan.tunables] == [
        ("BLOCK", ("16", "32", "64")),
        ("num_warps", ("4",)),
    ]
    found = plan_of(LAUNCH, before=declared.replace("16, 32", "32, 16"))
    assert isinstance(found, Evidence)
    assert "the default of BLOCK is 16, but its first choice is 32" in found.reason


@pytest.mark.parametrize("source", ["def kernel(", "x = (" * 90, "\0", "def kernel(x):\n" + "  " * 5000 + "pass"])
def test_text_that_is_no_python_is_refused(source: str):
    found = parse(Kernel(source, "triton"), TASK)
    assert isinstance(found, Evidence)
    assert found.stage == "plan"


HOST_CODE = {  # every exploit of the list that needs a line of Python that runs beside the judge
    "A1 exit before the check": "    import os\n    os._exit(0)\n",
    "A2 forge what a parser wants": "    print('ALL_TESTS_PASSED')\n",
    "A3 forge the result's file": "    open('correct.json', 'w').write('1')\n",
    "A4 write to an inherited descriptor": "    os.write(3, b'done')\n",
    "A7 send a pickle": "    conn.send(Boom())\n",
    "A9 poison the score": "    return float('nan')\n",
    "B1 patch the comparator": "    torch.allclose = lambda *a, **k: True\n",
    "B2 walk the frames": "    f = sys._getframe()\n",
    "B5 patch the inputs": "    torch.randn = torch.zeros\n",
    "B6 share a namespace": "    N = 1\n    get_inputs = 2\n    globals()['x'] = 1\n",
    "B7 sabotage the reference": "    for o in gc.get_objects():\n        pass\n",
    "B8 hooks of the harness": "    def get_benchmark_config():\n        return 0\n",
    "B11 seed the generator": "    torch.manual_seed(0)\n",
    "C4 return something that broadcasts": "    return 0.0\n",
    "C6 return a cheaper type": "    return y.half()\n",
    "C15 return an input": "    return x\n",
    "C17 pass through to the vendor": "    y.copy_(x @ x)\n",
    "C18 fall back in silence": "    try:\n        pass\n    except Exception:\n        pass\n",
    "C20 inherit the reference": "    class ModelNew(Model):\n        pass\n",
    "D1 a stream of its own": "    with torch.cuda.stream(s):\n        pass\n",
    "D2 a thread that writes later": "    threading.Thread(target=work).start()\n",
    "D4 return a lazy tensor": "    y = Lazy(x)\n",
    "D5 remember by pointer": "    cache[x.data_ptr()] = y\n",
    "D7 count the calls": "    global calls\n    calls += 1\n",
    "D9 work ahead of time": "    while True:\n        pass\n",
    "D10 patch the timer": "    torch.cuda.Event.elapsed_time = fake\n",
    "D12 keep the cache": "    cudart.cudaDeviceSetLimit(6, 1 << 30)\n",
    "D19 be honest when profiled": "    if 'NSYS' in os.environ:\n        pass\n",
    "E1 read the keys": "    k = open('/proc/1/environ').read()\n",
    "E8 replace a module": "    __import__('torch').evil = 1\n",
    "E9 call home": "    socket.socket().connect(('1.2.3.4', 80))\n",
    "any evaluation": "    eval('1')\n",
    "an attribute": "    n = x.shape[0]\n",
    "a comprehension": "    n = [m for m in (1, 2)]\n",
    "a format": "    n = f'{x}'\n",
    "a walrus": "    if (n := M):\n        pass\n",
    "an await": "    n = yield\n",
    "an assertion": "    assert x\n",
    "a subscript": "    n = (1, 2)[0]\n",
    "a grid that calls": "    scale[open('f')](x, y)\n",
    "an argument that calls": "    scale[(M,)](x, y, open('f'))\n",
    "a decorator of a plan within": "    @evil\n    def f():\n        pass\n",
}


@pytest.mark.parametrize("name", HOST_CODE)
def test_host_code_can_t_be_said(name: str):
    evidence = plan_of(HOST_CODE[name] + LAUNCH)
    assert isinstance(evidence, Evidence), name
    assert evidence.reason.split(":")[0].isdigit(), evidence.reason


def test_reading_a_plan_runs_nothing(tmp_path: Path):
    touched = tmp_path / "touched"
    parse(Kernel(f"open({str(touched)!r}, 'w')\n" + HEAD + LAUNCH, "triton"), TASK)
    assert not touched.exists()


def test_a_plan_in_cuda_keeps_the_line_numbers_of_its_file():
    comment = "// a kernel\n\n/* evokern: plan\n" + HEAD + "    scale[(M,)](x, y, M ** 2, block=32)\n*/\n"
    found = parse(Kernel(comment, "cuda"), TASK)
    assert isinstance(found, Evidence)
    assert found.reason.startswith("5:23: ")

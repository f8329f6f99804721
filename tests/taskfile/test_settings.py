"""What a task file may say, what becomes of it, and how each mistake is reported."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from evokern.frontends.reading import loaded_for
from evokern.records.errors import EvokernError
from evokern.records.outcome import Cache
from evokern.records.task import Compare, DType, Precision, Scalar, Tensor
from evokern.taskfile.settings import ModelSettings, Settings, choose_backend, json_schema, load
from evokern.toolchain import machine

EXAMPLES = Path(__file__).parents[2] / "examples"
FORWARD = "def reference(x, weight, eps):\n    return x * weight + eps\n"
GOOD = """\
task:
  name: scale
  reference: scale.py
  arguments: {x: "float32[M, N]", weight: "float32[N]", eps: 1.0e-5}
  returns: {y: "float32[M, N]"}
  check: [{M: 1, N: 1}, {M: 3, N: 127}]
  time: [{M: 4096, N: 1024}]
"""


@pytest.fixture
def write(tmp_path: Path):
    """Writes a task file (GOOD with `old` replaced by `new`) and its reference; returns its path."""

    def _write(old: str = "", new: str = "", reference: str = FORWARD) -> Path:
        assert old in GOOD
        (tmp_path / "scale.py").write_text(reference)
        (tmp_path / "scale.yaml").write_text(GOOD.replace(old, new, 1) if old else GOOD + new)
        return tmp_path / "scale.yaml"

    return _write


def test_everything_left_out_has_a_default(write):
    settings = load(write())
    assert settings.backend == "cpp"
    assert settings.archive == Path("archives/scale.db")
    assert settings.search.generations == 30
    assert settings.budget.time_s is None
    assert settings.evaluation.cache is Cache.COLD
    assert settings.task.category == "other"


def test_the_task_follows_from_its_declarations(write):
    task = load(write()).task
    assert task.arguments == (
        Tensor("x", DType.FLOAT32, ("M", "N")),
        Tensor("weight", DType.FLOAT32, ("N",)),
        Scalar("eps", DType.FLOAT32, 1e-5),
    )
    assert task.dimensions == ("M", "N")
    assert task.reference_source == FORWARD


@pytest.mark.parametrize(
    ("written", "dtype", "value"),
    [
        ("1e-3", DType.FLOAT32, 1e-3),
        ("-2.5E4", DType.FLOAT32, -2.5e4),
        ("7", DType.INT64, 7),
        ("true", DType.BOOL, True),
        ("{type: float64, value: 1e-5}", DType.FLOAT64, 1e-5),
        ("{type: float32, value: 2}", DType.FLOAT32, 2.0),
        ("-.inf", DType.FLOAT32, float("-inf")),
    ],
)
def test_scalars(write, written, dtype, value):
    settings = load(write("1.0e-5", written))
    scalar = settings.task.arguments[2]
    assert (scalar.dtype, scalar.value, type(scalar.value)) == (dtype, value, type(value))
    assert Settings.rebuilt(settings.model_dump_json()) == settings


def test_plain_floats_are_wide_beside_wide_tensors(write):
    assert load(write("float32[M, N]", "float64[M, N]")).task.arguments[2].dtype is DType.FLOAT64


def test_ranges_and_expressions(write):
    path = write('weight: "float32[N]"', 'weight: {type: "int64[(N - 1) // 2 + 1]", range: [0, N * M]}')
    weight = load(path).task.inputs[1]
    assert (weight.low, weight.high) == (0.0, "N * M")
    assert weight.extents({"M": 4, "N": 7}) == (4,)


@pytest.mark.parametrize(
    ("declared", "comparison"),
    [
        ('"float32[M, N]"', Compare.ROUNDING),
        ('"int64[M, N]"', Compare.EXACT),
        ('"bool[M, N]"', Compare.EXACT),
        ('{type: "float32[M, N]", compare: rounding}', Compare.ROUNDING),
        ('{type: "float32[M, N]", compare: exact}', Compare.EXACT),
        ('{type: "int32[M, N]", compare: near_tie}', Compare.NEAR_TIE),
    ],
)
def test_returns_say_how_they_are_compared_or_their_type_does(write, declared, comparison):
    settings = load(write('{y: "float32[M, N]"}', f"{{y: {declared}}}"))
    assert settings.task.returns[0].comparison is comparison
    assert Settings.rebuilt(settings.model_dump_json()) == settings


@pytest.mark.parametrize("precision", list(Precision))
def test_the_precision_policy_is_the_tasks(write, precision):
    task = load(write("  check:", f"  precision: {precision}\n  check:")).task
    assert task.precision is precision
    assert (task.hash == load(write()).task.hash) is (precision is Precision.IEEE)


def test_a_return_without_dimensions(write):
    assert load(write('y: "float32[M, N]"', 'y: "float32[]"')).task.returns[0].dims == ()


def test_a_backward_task_asks_for_the_gradients(write):
    path = write("  check:", "  backward: true\n  check:")
    task = load(path).task
    assert task.backward
    assert [argument.name for argument in task.arguments] == ["x", "weight", "eps", "grad_y"]
    assert [(tensor.name, tensor.dims) for tensor in task.returns] == [("grad_x", ("M", "N")), ("grad_weight", ("N",))]


def test_seeds_are_read_from_beside_the_file(write, tmp_path):
    (tmp_path / "scale.cpp").write_text("// a kernel\n")
    settings = load(write("", "seeds: [scale.cpp]\n"))
    assert [(kernel.source, kernel.language) for kernel in settings.seeds] == [("// a kernel\n", "cpp")]


def test_own_prompts_are_read_and_kept_with_the_settings(write, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mutate.md").write_text("Faster, please: {parent}")
    settings = load(write("", "prompts: mine\n"))
    assert settings.prompts == {"mutate": "Faster, please: {parent}"}
    assert Settings.rebuilt(settings.model_dump_json()).prompts == settings.prompts


def test_overrides_beat_the_file(write):
    path = write("", "search: {generations: 4}\n")
    settings = load(path, {"search.generations": 9, "budget.time_s": 5, "archive": Path("here.db")})
    assert (settings.search.generations, settings.budget.time_s, settings.archive) == (9, 5.0, Path("here.db"))


def test_settings_survive_an_archive(write):
    settings = load(write("", "evaluation: {cache: hot}\nsearch: {operators: [mutate]}\n"))
    rebuilt = Settings.rebuilt(settings.model_dump_json(), {"search.seed": 3})
    assert rebuilt.task == settings.task
    assert rebuilt.task.hash == settings.task.hash
    assert rebuilt.evaluation == settings.evaluation
    assert (rebuilt.search.seed, rebuilt.search.operators) == (3, ["mutate"])


def test_models_are_named_or_described(write):
    written = "models: [openai/a, {name: openai/b, weight: 2, temperature: 0.5, api_base: 'http://localhost:1/v1'}]\n"
    path = write("", written)
    one, two = load(path).models
    assert one == ModelSettings(name="openai/a")
    assert (two.name, two.weight, two.temperature, two.api_base) == ("openai/b", 2, 0.5, "http://localhost:1/v1")
    assert Settings.rebuilt(load(path).model_dump_json()).models == (one, two)
    chosen = load(path, {"models": ["openai/b", "openai/c"]}).models  # what the file says of a model is kept
    assert chosen == (two, ModelSettings(name="openai/c"))
    assert load(path, {"models": [{"name": "openai/d", "max_tokens": 9}]}).models[0].max_tokens == 9


def test_the_environment_names_models_where_nobody_else_does(write, monkeypatch):
    path = write()
    assert load(path).models == ()
    monkeypatch.setenv("EVOKERN_MODEL", "openai/a, openai/b")
    assert [model.name for model in load(path).models] == ["openai/a", "openai/b"]
    assert [model.name for model in load(path, {"models": ["openai/c"]}).models] == ["openai/c"]


def test_an_override_of_archived_settings_is_checked(write):
    archived = load(write()).model_dump_json()
    with pytest.raises(EvokernError, match=r"option search\.generatons: .* did you mean 'generations'"):
        Settings.rebuilt(archived, {"search.generatons": 3})
    with pytest.raises(EvokernError, match="as evokern archives them"):
        Settings.rebuilt("no json")


MISTAKES = [
    # what is replaced, by what, line:column, what the message says
    ("name: scale", "nam: scale", "2:3", "unknown key; did you mean 'name'"),
    ("name: scale", "name: 7", "2:3", "expected a valid string, got 7"),
    ("name: scale", "name: ../x", "2:3", "pattern"),
    ("  name: scale\n", "", "1:1", "missing; add it"),
    ("  name: scale", "  name: scale\n  name: again", "3:3", "given twice"),
    ("{M: 4096, N: 1024}", "{M: 4096, M: 1024}", "7:20", "given twice"),
    ("time: [{M: 4096, N: 1024}]", "time: [{M: 4096}]", "7:10", "add N: <size>"),
    ("time: [{M: 4096, N: 1024}]", "time: []", "7:3", "at least 1 item"),
    ("{M: 3, N: 127}", "{M: 3, N: 127, K: 2}", "6:40", "no tensor has this dimension"),
    ("{M: 3, N: 127}", "{M: 0, N: 127}", "6:26", "greater than 0, got 0"),
    ("{M: 3, N: 127}", "{M: 3.5, N: 127}", "6:26", "expected a valid integer, got 3.5"),
    ('x: "float32[M, N]"', 'x: "flaot32[M, N]"', "4:15", "did you mean float32?"),
    ('x: "float32[M, N]"', 'x: "float32(M, N)"', "4:15", "expected a dtype among"),
    ('x: "float32[M, N]"', 'x: "float32"', "4:15", "expected a tensor such as float32[M, N], or a scalar"),
    ('x: "float32[M, N]"', 'x: "float32[M, 2 ** N]"', "4:15", "integer arithmetic"),
    ('x: "float32[M, N]"', 'x: "float32[M, N // 0]"', "6:11", "zero"),
    ('x: "float32[M, N]"', 'x: "float32[M, N - 1]"', "6:11", "x's N - 1 = 0"),
    ('x: "float32[M, N]"', 'x: {typ: "float32[M, N]"}', "4:19", "did you mean 'type'"),
    ('x: "float32[M, N]"', "x: {value: 3}", "4:15", "task.arguments.x.type: expected this key"),
    ('x: "float32[M, N]"', 'x: {type: "float32[M, N]", range: [0]}', "4:42", "at least 2 items"),
    ('x: "float32[M, N]"', 'x: {type: "float32[M, N]", range: [5, N]}', "4:15", "range [low, high) that is not empty"),
    ('x: "float32[M, N]"', 'x: {type: "float32[M, N]", value: 3}', "4:42", "no value for a tensor"),
    ('x: "float32[M, N]"', "x: [1, 2]", "4:15", "expected"),
    ("eps: 1.0e-5", "eps: {type: float16, value: 1}", "4:57", "scalar of float64, float32, int64 or bool"),
    ("eps: 1.0e-5", "eps: {type: int64, value: 1.5}", "4:76", "value of type int64, got 1.5"),
    ("eps: 1.0e-5", "eps: 99999999999999999999", "4:57", "int64 holds"),
    ('{y: "float32[M, N]"}', '{x: "float32[M, N]"}', "5:13", "'x' is taken"),
    ('{y: "float32[M, N]"}', '{M: "float32[M, N]"}', "4:15", "'M' is taken"),
    ('{y: "float32[M, N]"}', '{register: "float32[M, N]"}', "5:13", "already means something in C++"),
    ('{y: "float32[M, N]"}', '{2y: "float32[M, N]"}', "5:13", "a name that C++ and Python accept"),
    ('{y: "float32[M, N]"}', "{}", "5:3", "at least 1 item"),
    ('{y: "float32[M, N]"}', '{y: {type: "int64[M, N]", compare: rounding}}', "5:38", "expected exact or near_tie"),
    ('{y: "float32[M, N]"}', '{y: {type: "float32[M, N]", compare: near_tie}}', "5:40", "int64 or int32 indices"),
    ('{y: "float32[M, N]"}', '{y: {type: "float32[M, N]", compare: equal}}', "5:40", "'exact' or 'near_tie'"),
    ('{y: "float32[M, N]"}', '{y: {type: "float32[M, N]", compar: exact}}', "5:40", "did you mean 'compare'"),
    ('{y: "float32[M, N]"}', '{y: {type: "flaot32[M, N]", compare: exact}}', "5:17", "did you mean float32"),
    ('{y: "float32[M, N]"}', '{y: {type: "float32[M, N]"}}', "5:13", "y.compare: expected this key"),
    ("reference: scale.py", "reference: other.py", "3:3", "expected a Python file at"),
    ("  check:", "  precision: half\n  check:", "6:3", "'ieee', 'tf32' or 'reduced'"),
    ("  check:", "  backward: maybe\n  check:", "6:3", "valid boolean, got 'maybe'"),
    ("", "seeds: [absent.cpp]\n", "8:9", "expected a kernel file at"),
    ("", "prompts: absent\n", "8:1", "expected a folder of prompts at"),
    ("", "evaluation: {cache: warm}\n", "8:14", "'hot' or 'cold', got 'warm'"),
    ("", "budget: {time_s: -1}\n", "8:10", "greater than 0, got -1"),
    ("", "search: {seed: '1'}\n", "8:10", "valid integer, got '1' (text)"),
    ("", "search: 3\n", "8:1", "got 3"),
    ("", "models: [{nam: x}]\n", "8:11", "did you mean 'name'"),
    ("", "models: [{name: x, weight: 0}]\n", "8:20", "greater than 0, got 0"),
    ("", "models: [{name: x, reasoning_effort: huge}]\n", "8:20", "'high', got 'huge'"),
    ("", "models: ['']\n", "8:10", "at least 1 character"),
    ("", "budget: {usd: -1}\n", "8:10", "greater than 0, got -1"),
    ("", "nonsense: 3\n", "8:1", "unknown key"),
    ("", "x: !!python/object:os.system {}\n", "8:1", "unknown key"),
    ("", "archive: !secret x\n", "8:1", "remove the tag"),
    ("", "search: &a {seed: *a}\n", "8:13", "alias that contains itself"),
    ("", "search: [unclosed\n", "9:1", "expected YAML"),
    ("", "\tsearch: 3\n", "8:1", "expected YAML"),
]


@pytest.mark.parametrize(("old", "new", "place", "says"), MISTAKES, ids=[f"{m[1][:30]!r}" for m in MISTAKES])
def test_a_mistake_is_reported_at_its_place(write, old, new, place, says):
    path = write(old, new)
    with pytest.raises(EvokernError) as error:
        load(path)
    assert f"{path}:{place}: " in str(error.value)
    assert says in str(error.value)


BAD_REFERENCES = [
    ("def other(x):\n    pass\n", "1:1", "expected a function reference(x, weight, eps)"),
    ("def reference(x, eps, weight):\n    pass\n", "1:1", "got reference(x, eps, weight)"),
    ("import torch\n\ndef reference(*tensors):\n    pass\n", "3:1", "got reference(*tensors)"),
    ("def reference(x:\n    pass\n", "1:", "expected Python"),
]


@pytest.mark.parametrize(("source", "place", "says"), BAD_REFERENCES)
def test_a_reference_that_does_not_fit_is_refused_unrun(write, source, place, says):
    path = write(reference=source)
    with pytest.raises(EvokernError) as error:
        load(path)
    assert f"{path.with_suffix('.py')}:{place}" in str(error.value)
    assert says in str(error.value)


def test_a_reference_is_not_run(write):
    load(write(reference="raise SystemExit\n" + FORWARD))


@pytest.mark.parametrize("content", [b"", b"- 1\n", b"\xff\xfe\x00", b"task: 1\n---\ntask: 2\n"])
def test_a_file_that_holds_no_settings(tmp_path, content):
    path = tmp_path / "task.yaml"
    path.write_bytes(content)
    with pytest.raises(EvokernError, match=re.escape(str(path))):
        load(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(EvokernError, match="expected a readable YAML file"):
        load(tmp_path / "absent.yaml")


def test_several_mistakes_are_told_at_once(write):
    with pytest.raises(EvokernError) as error:
        load(write("", "search: {generations: x, seed: y}\n"))
    assert len(str(error.value).splitlines()) == 2


def test_backward_tasks_refuse_what_has_no_gradient(write):
    for old, new, says in (
        ('y: "float32[M, N]"', 'y: "int64[M, N]"', "only floating returns"),
        ('y: "float32[M, N]"', 'grad_y: "float32[M, N]"', "the forward's own names"),
        ('y: "float32[M, N]"', 'y: {type: "float32[M, N]", compare: exact}', "returns are gradients"),
    ):
        path = write(old, new)
        with pytest.raises(EvokernError, match=says):
            load(path, {"task.backward": True})


def test_the_suffix_of_a_seed_tells_its_language(write, monkeypatch):
    path = write("", "seeds: [scale.cpp, scale_triton.py, scale.cu]\n")
    for name, text in (
        ("scale.cpp", "kernel: plain"),
        ("scale_triton.py", "kernel: tiled"),
        ("scale.cu", "kernel: threads"),
    ):
        (path.parent / name).write_text(text)
    monkeypatch.setattr(machine, "has_gpu", lambda: False)
    assert [seed.source for seed in load(path).seeds] == ["kernel: plain"]
    for backend, text in (("triton", "tiled"), ("cuda", "threads"), ("cpp", "plain")):
        settings = load(path, {"backend": backend})
        assert [(seed.source, seed.language) for seed in settings.seeds] == [(f"kernel: {text}", backend)]
        assert settings.backend == backend


def test_auto_takes_triton_where_a_gpu_and_a_seed_are(monkeypatch):
    both, plain, tiled = ("a.cpp", "a.py"), ("a.cpp",), ("a.py",)
    monkeypatch.setattr(machine, "has_gpu", lambda: True)
    assert choose_backend("auto", both) == ("triton", "there are a GPU and a Triton seed")
    assert choose_backend("auto", plain) == ("cpp", "there is no Triton seed")
    assert choose_backend("cuda", both)[0] == "cuda"
    monkeypatch.setattr(machine, "has_gpu", lambda: False)
    assert choose_backend("auto", both) == ("cpp", "there is no GPU")
    assert choose_backend("auto", tiled) == ("triton", "the task has seeds for triton only")
    assert choose_backend("auto", ())[0] == "cpp"


def test_a_kernel_file_s_suffix_chooses_the_backend(write):
    path = write()
    assert loaded_for(Path("scale_triton.py"), str(path), (), {}).backend == "triton"
    assert loaded_for(Path("scale.cu"), str(path), (), {}).backend == "cuda"
    assert loaded_for(Path("scale_triton.py"), str(path), (), {"backend": "cpp"}).backend == "cpp"
    assert loaded_for(Path("scale.kernel"), str(path), (), {}).backend == "cpp"


def test_the_schema_describes_the_file():
    schema = json_schema()
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["task"]
    task = schema["$defs"]["TaskSection"]["properties"]
    assert {"name", "reference", "arguments", "returns", "check", "time", "held_out", "backward"} <= set(task)
    assert all("description" in described for described in task.values())
    assert schema["$defs"]["Compare"]["enum"] == list(Compare)
    assert schema["$defs"]["ReturnSection"]["required"] == ["type", "compare"]
    json.dumps(schema)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_examples_load(path):
    settings = load(path)
    assert settings.seeds
    assert settings.task.held_out
    assert Settings.rebuilt(settings.model_dump_json()) == settings

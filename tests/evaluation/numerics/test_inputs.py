"""Inputs: repeatable, of the declared dtype and range, and unlike each other across distributions."""

import pytest
import torch

from evokern.evaluation.numerics import inputs
from evokern.records.errors import EvokernError
from evokern.records.task import DType, Task, Tensor

SHAPE = {"M": 40, "N": 300}
F32 = DType.FLOAT32


def task_of(*arguments):
    return Task("demo", "test", "demo.py", "", arguments, (), (SHAPE,), (SHAPE,))


TASK = task_of(Tensor("x", F32, ("M", "N")), Tensor("w", F32, ("N",)))


def test_a_seed_decides_the_content():
    first, again, other = (inputs.draw(TASK, SHAPE, "normal", seed) for seed in (1, 1, 2))
    assert all(map(torch.equal, first, again))
    assert not torch.equal(first[0], other[0])


def test_the_global_generator_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    inputs.draw(TASK, SHAPE, "heavy", 1)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("dtype", list(DType))
def test_every_dtype_is_drawn_contiguous_and_finite_in_every_distribution(dtype):
    task = task_of(Tensor("x", dtype, ("M", "N")), Tensor("s", dtype, ()))
    for distribution in inputs.distributions(task):
        x, s = inputs.draw(task, SHAPE, distribution, 3)
        assert x.dtype == s.dtype == getattr(torch, dtype.value)
        assert x.shape == (40, 300)
        assert x.is_contiguous()
        assert bool(x.double().isfinite().all())
        assert len(x.unique()) > 1


def test_normal_comes_first_because_it_is_timed():
    assert inputs.distributions(TASK)[0] == "normal"
    x, _ = inputs.draw(TASK, SHAPE, "normal", 1)
    assert abs(x.mean().item()) < 0.05
    assert abs(x.std().item() - 1) < 0.05


def test_distributions_show_what_they_are_for():
    drawn = {name: inputs.draw(TASK, SHAPE, name, 4)[0] for name in inputs.distributions(TASK)}
    scales = drawn["rows"].abs().amax(1)
    assert scales.max() / scales.min() > 1e4
    assert 1e-5 < drawn["faint"].std(1).min() < drawn["faint"].std(1).max() < 2e-2
    assert abs(drawn["offset"].mean().item()) > 2 * drawn["offset"].std().item()
    assert drawn["heavy"].abs().max() > 20 * drawn["heavy"].abs().median()
    assert (drawn["ties"].std(1) == 0).sum() == 10
    assert drawn["extreme"].abs().max() > 88.8
    assert torch.equal(drawn["integers"], drawn["integers"].round())
    assert all((x < 0).any() for x in drawn.values())


def test_parameters_stay_ordinary_while_data_is_extreme():
    _, w = inputs.draw(TASK, SHAPE, "extreme", 4)
    assert w.abs().max() < 10


def test_a_range_holds_in_every_distribution_and_may_name_dimensions():
    index = Tensor("i", DType.INT64, ("M",), low=0, high="N - 1")
    decay = Tensor("a", F32, ("M", "N"), low=-4.0, high=-0.5)
    task = task_of(Tensor("x", F32, ("M", "N")), index, decay)
    for distribution in inputs.distributions(task):
        _, i, a = inputs.draw(task, {"M": 500, "N": 5}, distribution, 9)
        assert set(i.tolist()) == {0, 1, 2, 3}
        assert -4 <= a.min() < a.max() < -0.5


def test_an_empty_range_says_so():
    task = task_of(Tensor("i", DType.INT64, ("M",), low=0, high="N - 1"))
    with pytest.raises(EvokernError, match=r"i: expected low < high, got low=0 high=N - 1"):
        inputs.draw(task, {"M": 3, "N": 1}, "normal", 0)


def test_an_unknown_distribution_names_the_known_ones():
    with pytest.raises(EvokernError, match="normal, rows, faint, offset"):
        inputs.draw(TASK, SHAPE, "cauchy", 0)

"""Products of matrices, convolutions and pools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evokern.lowering import reductions, windows
from evokern.lowering.graph import literal
from evokern.lowering.nests import Value
from evokern.lowering.norms import Norms
from evokern.records.errors import EvokernError
from evokern.records.task import evaluate


class Products(Norms):
    """Lowers all operators that are known."""

    def _op_mm(self, left: Value, right: Value, *_: Any) -> Value:
        return reductions.matmul(self.program, left, right, self.title())

    def _op_bmm(self, left: Value, right: Value, *_: Any) -> Value:
        return reductions.matmul(self.program, left, right, self.title())

    def _op_addmm(self, bias: Value, left: Value, right: Value, beta: Any = 1, alpha: Any = 1) -> Value:
        found = reductions.matmul(self.program, left, right, self.title())
        text = f"{literal(beta)} * {{0}} + {literal(alpha)} * {{1}}" if (beta, alpha) != (1, 1) else "{0} + {1}"
        return self._expression(text, found.kind, found.extents, bias, found)

    def _op_convolution(
        self, value: Value, weight: Value, bias: Value | None, stride: Sequence[Any], padding: Sequence[Any],
        dilation: Sequence[Any], is_transposed: bool, _: Any, groups: int,
    ) -> Value:  # fmt: skip
        rank = len(value.extents) - 2
        lower = windows.transposed_convolution if is_transposed else windows.convolution
        moves = self._moves(rank, stride, padding, dilation)
        return lower(self.program, value, weight, bias, moves, groups, self._extents(), self.title())

    def _op_max_pool2d_with_indices(self, value: Value, size: Any, *rest: Any) -> list[Any]:
        return self._max_pool(value, 2, size, *rest)

    def _op_max_pool3d_with_indices(self, value: Value, size: Any, *rest: Any) -> list[Any]:
        return self._max_pool(value, 3, size, *rest)

    def _max_pool(
        self, value: Value, rank: int, size: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1,
        ceil_mode: bool = False,
    ) -> list[Any]:  # fmt: skip
        if ceil_mode:
            raise EvokernError(f"{self.title()}: there is no lowering of ceil_mode yet")
        if any(user.args[1] == 1 and user.users for user in self._node.users):
            raise EvokernError(f"{self.title()}: there is no lowering of the indices of a pool yet")
        moves = self._moves(rank, stride or size, padding, dilation)
        extents = self._extents(self._node.meta["val"][0])
        return [windows.pool(self.program, value, "max", self._numbers(size, rank), moves, extents, self.title()), None]

    def _op_avg_pool1d(self, value: Value, size: Any, *rest: Any) -> Value:
        return self._mean_pool(value, 1, size, *rest)

    def _op_avg_pool2d(self, value: Value, size: Any, *rest: Any) -> Value:
        return self._mean_pool(value, 2, size, *rest)

    def _op_avg_pool3d(self, value: Value, size: Any, *rest: Any) -> Value:
        return self._mean_pool(value, 3, size, *rest)

    def _mean_pool(
        self, value: Value, rank: int, size: Any, stride: Any = (), padding: Any = 0, ceil_mode: bool = False,
        counts_padding: bool = True, divisor: Any = None,
    ) -> Value:  # fmt: skip
        if ceil_mode or divisor is not None:
            raise EvokernError(f"{self.title()}: there is no lowering of ceil_mode and divisor_override yet")
        moves = self._moves(rank, stride or size, padding, 1)
        return windows.pool(
            self.program, value, "mean", self._numbers(size, rank), moves, self._extents(), self.title(), counts_padding
        )

    def _moves(self, rank: int, stride: Any, padding: Any, dilation: Any) -> windows.Moves:
        return windows.Moves(*(self._numbers(one, rank) for one in (stride, padding, dilation)))

    def _numbers(self, given: Any, rank: int) -> list[int]:
        """A number for each spatial axis.

        Raises:
            EvokernError: one is a size, and no number.
        """
        listed = [_number(one) for one in ([given] * rank if isinstance(given, int) else list(given))]
        listed = listed * rank if len(listed) == 1 else listed
        numbers = [one for one in listed if isinstance(one, int)]
        if len(numbers) < len(listed):
            raise EvokernError(f"{self.title()}: expected numbers for windows, got {listed}")
        return numbers


def _number(given: Any) -> Any:
    """A size that is made of numbers alone, as a number."""
    if isinstance(given, str) and not any(map(str.isalpha, given)):
        return evaluate(given.replace("/", "//"), {})
    return given

"""Mean and variance from one pass by Welford's updates, in SIMD lanes that are merged at the end.

Buys: one pass over the data less, with no cancellation whatever the mean. Costs: a division for each vector of values.
B. P. Welford, Technometrics 4 (1962); the merge is from T. F. Chan, G. H. Golub, R. J. LeVeque (1979).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from evokern.analysis.syntax import BLOCK_SUFFIX, Edit

from ._loops import Choices, LoopPlace, LoopRewrite
from ._moments import moments
from ._tiles import fresh
from .one_pass import joined


class Welford(LoopRewrite):
    """Applies to the second loop of two-pass statistics."""

    name = "welford"
    expected_gain = 0.1

    def choices(self, at: LoopPlace) -> Choices | None:
        found = moments(at)
        return {"lanes": ("8", "16", "32", "64")} if found and found.first.step == "1" else None

    def edits(self, at: LoopPlace, chosen: Mapping[str, str]) -> Sequence[Edit]:
        found = moments(at)
        assert found is not None  # `choices` said so
        syntax, loop, kind, lanes = at.syntax, found.first, found.type, chosen["lanes"]
        names = ("lane", "counts", "means", "spreads", "count", "centre", "spread", "value", "delta")
        lane, counts, means, spreads, count, centre, spread, each, delta = (fresh(syntax, name) for name in names)
        block = fresh(syntax, loop.variable, BLOCK_SUFFIX)
        value = re.sub(rf"\b{loop.variable}\b", f"({block} + {lane})", found.value)
        update = f"""
{kind} {counts}[{lanes}] = {{}}, {means}[{lanes}] = {{}}, {spreads}[{lanes}] = {{}};
for ({loop.type} {block} = {loop.lower}; {block} < {loop.upper}; {block} += {lanes}) {{
    #pragma omp simd
    for (int64_t {lane} = 0; {lane} < std::min<int64_t>({lanes}, {loop.upper} - {block}); ++{lane}) {{
        const {kind} {each} = {value};
        const {kind} {delta} = {each} - {means}[{lane}];
        {counts}[{lane}] += 1;
        {means}[{lane}] += {delta} / {counts}[{lane}];
        {spreads}[{lane}] += {delta} * ({each} - {means}[{lane}]);
    }}
}}
{kind} {count} = 0, {centre} = 0, {spread} = 0;
for (int64_t {lane} = 0; {lane} < {lanes}; ++{lane}) {{
    const {kind} total = std::max<{kind}>(1, {count} + {counts}[{lane}]);
    const {kind} {delta} = {means}[{lane}] - {centre};
    {spread} += {spreads}[{lane}] + {delta} * {delta} * {count} * {counts}[{lane}] / total;
    {centre} += {delta} * {counts}[{lane}] / total;
    {count} += {counts}[{lane}];
}}
{found.sum} += {centre} * {count};"""
        apart = f"({centre} - {found.mean})"
        return joined(syntax, found, update.strip(), f"{found.squares} += {spread} + {count} * {apart} * {apart};")


PLUGIN = Welford

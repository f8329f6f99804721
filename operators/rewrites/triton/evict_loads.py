"""What a cache shall keep of what is loaded: rows that stream by give way, weights that all rows share stay."""

from __future__ import annotations

from ._access_hints import AccessHint


class EvictLoads(AccessHint):
    """``eviction_policy`` of a load."""

    name = "evict_loads"
    access = "load"
    hint = "eviction_policy"
    values = ("evict_first", "evict_last")


PLUGIN = EvictLoads

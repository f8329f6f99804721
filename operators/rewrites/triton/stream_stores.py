"""Results that nobody reads again need not stay in a cache."""

from __future__ import annotations

from ._access_hints import AccessHint


class StreamStores(AccessHint):
    """``cache_modifier`` of a store."""

    name = "stream_stores"
    access = "store"
    hint = "cache_modifier"
    values = (".cs", ".cg", ".wt")


PLUGIN = StreamStores

"""The device limits that a kernel's constraints may name: ``// evokern: where ROWS * 4 <= l1_cache``.

On a CPU: ``cores``, and in bytes ``vector_bytes``, ``l1_cache``, ``l2_cache``, ``l3_cache``. On a GPU:
``shared_memory``, the bytes that one block may have. Where the system does not tell, a small machine is assumed.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType

from evokern.records.program import MOST_SHARED_BYTES, SHARED_BYTES
from evokern.toolchain import machine

CPU_LANGUAGES = ("cpp",)
ASSUMED_TARGET = "cuda:90"
"""The GPU that kernels are compiled for where there is none."""
_ASSUMED_CACHES = {1: 32 << 10, 2: 512 << 10, 3: 8 << 20}
_ASSUMED_VECTOR_BITS = 128


@functools.cache
def device_limits(language: str) -> Mapping[str, int]:
    """Name → value, on the device of this machine that kernels of `language` run on."""
    if language not in CPU_LANGUAGES:
        target = machine.gpu_target() or ASSUMED_TARGET
        return MappingProxyType({"shared_memory": MOST_SHARED_BYTES.get(target, SHARED_BYTES)})
    caches = {f"l{level}_cache": machine.cache_bytes(level) or assumed for level, assumed in _ASSUMED_CACHES.items()}
    vector_bytes = (machine.vector_bits() or _ASSUMED_VECTOR_BITS) // 8
    return MappingProxyType({"cores": machine.usable_cores(), "vector_bytes": vector_bytes, **caches})

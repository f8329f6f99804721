"""What the card says of itself beside its work: clocks and reasons for slowing down. Reads only; changes no setting."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

HARMFUL = {0x8: "hardware slowdown", 0x20: "too hot", 0x40: "too hot (hardware)", 0x80: "power brake"}
"""Reasons after which a time means nothing. The power cap is not one: it meets both sides of a pair."""
_GRAPHICS, _MEMORY = 1, 2


@dataclass(frozen=True)
class Reading:
    """The card at one moment."""

    sm_mhz: int = 0
    memory_mhz: int = 0
    reasons: int = 0
    """Bits of NVML's throttle reasons."""

    @property
    def harmful(self) -> str:
        """Why the card is slower than it could be, where that is no normal state; else empty."""
        return ", ".join(name for bit, name in HARMFUL.items() if self.reasons & bit)


class Monitor:
    """Reads one card's state through NVML; where there is none, every reading is zero."""

    def __init__(self, ordinal: int = 0) -> None:
        self._device = ctypes.c_void_p()
        try:
            self._library: ctypes.CDLL | None = ctypes.CDLL("libnvidia-ml.so.1")
            if self._library.nvmlInit_v2() or self._library.nvmlDeviceGetHandleByIndex_v2(
                ordinal, ctypes.byref(self._device)
            ):
                self._library = None
        except (OSError, AttributeError):
            self._library = None

    def read(self) -> Reading:
        """The clocks of now."""
        library = self._library
        if library is None:
            return Reading()
        sm, memory, reasons = ctypes.c_uint(), ctypes.c_uint(), ctypes.c_uint64()
        library.nvmlDeviceGetClockInfo(self._device, _GRAPHICS, ctypes.byref(sm))
        library.nvmlDeviceGetClockInfo(self._device, _MEMORY, ctypes.byref(memory))
        library.nvmlDeviceGetCurrentClocksThrottleReasons(self._device, ctypes.byref(reasons))
        return Reading(sm.value, memory.value, reasons.value)

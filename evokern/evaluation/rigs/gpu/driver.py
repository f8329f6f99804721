"""The CUDA driver by ctypes: what the launcher needs of libcuda, and nothing of PyTorch.

Every call is checked; what fails is a `DeviceError` that names the call. Handles and addresses are integers.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from typing import Any

LIBRARY = "EVOKERN_LIBCUDA"
"""Names the driver's library where it is not ``libcuda.so.1``."""

OUT_OF_MEMORY = "CUDA_ERROR_OUT_OF_MEMORY"
_PLAIN_SHARED_BYTES = 48 << 10
"""A block gets more dynamic shared memory only after its function has been told so."""
_MULTIPROCESSORS, _L2_BYTES, _MAJOR, _MINOR = 16, 38, 75, 76
_MOST_DYNAMIC_SHARED_BYTES = 8
_PERSISTING_L2_LIMIT = 6
_THREAD_LOCAL_CAPTURE = 1
_CLUSTER_DIMENSION, _CLUSTER_SCHEDULING, _SPREAD = 4, 5, 1
"""Attributes of a launch (cuda.h), as Triton's own launcher sets them."""

_Int, _Size, _Pointer = ctypes.c_int, ctypes.c_size_t, ctypes.c_void_p
_SIGNATURES: dict[str, tuple[type, ...]] = {
    "cuInit": (ctypes.c_uint,),
    "cuDriverGetVersion": (_Pointer,),
    "cuDeviceGet": (_Pointer, _Int),
    "cuDeviceGetName": (_Pointer, _Int, _Int),
    "cuDeviceGetAttribute": (_Pointer, _Int, _Int),
    "cuDevicePrimaryCtxRetain": (_Pointer, _Int),
    "cuCtxSetCurrent": (_Pointer,),
    "cuCtxSetLimit": (_Int, _Size),
    "cuCtxResetPersistingL2Cache": (),
    "cuMemGetInfo_v2": (_Pointer, _Pointer),
    "cuMemAlloc_v2": (_Pointer, _Size),
    "cuMemFree_v2": (ctypes.c_uint64,),
    "cuMemHostRegister_v2": (_Pointer, _Size, ctypes.c_uint),
    "cuMemcpyHtoDAsync_v2": (ctypes.c_uint64, _Pointer, _Size, _Pointer),
    "cuMemcpyDtoHAsync_v2": (_Pointer, ctypes.c_uint64, _Size, _Pointer),
    "cuMemcpyDtoDAsync_v2": (ctypes.c_uint64, ctypes.c_uint64, _Size, _Pointer),
    "cuMemsetD32Async": (ctypes.c_uint64, ctypes.c_uint, _Size, _Pointer),
    "cuModuleLoadData": (_Pointer, ctypes.c_char_p),
    "cuModuleUnload": (_Pointer,),
    "cuModuleGetFunction": (_Pointer, _Pointer, ctypes.c_char_p),
    "cuFuncSetAttribute": (_Pointer, _Int, _Int),
    "cuFuncGetParamInfo": (_Pointer, _Size, _Pointer, _Pointer),
    "cuLaunchKernel": (_Pointer, *[ctypes.c_uint] * 7, _Pointer, _Pointer, _Pointer),
    "cuLaunchKernelEx": (_Pointer, _Pointer, _Pointer, _Pointer),
    "cuProfilerStart": (),
    "cuProfilerStop": (),
    "cuStreamCreate": (_Pointer, ctypes.c_uint),
    "cuStreamSynchronize": (_Pointer,),
    "cuStreamBeginCapture_v2": (_Pointer, _Int),
    "cuStreamEndCapture": (_Pointer, _Pointer),
    "cuGraphInstantiateWithFlags": (_Pointer, _Pointer, ctypes.c_uint64),
    "cuGraphUpload": (_Pointer, _Pointer),
    "cuGraphLaunch": (_Pointer, _Pointer),
    "cuGraphExecDestroy": (_Pointer,),
    "cuGraphDestroy": (_Pointer,),
    "cuEventCreate": (_Pointer, ctypes.c_uint),
    "cuEventRecord": (_Pointer, _Pointer),
    "cuEventElapsedTime": (_Pointer, _Pointer, _Pointer),
    "cuGetErrorName": (_Int, _Pointer),
    "cuGetErrorString": (_Int, _Pointer),
}


class _LaunchAttribute(ctypes.Structure):
    """CUlaunchAttribute: which one, and a union of 64 bytes."""

    _fields_ = (("id", ctypes.c_uint), ("padding", ctypes.c_uint), ("value", ctypes.c_uint * 16))

    def __init__(self, number: int, value: Sequence[int]) -> None:
        super().__init__(number, 0, (ctypes.c_uint * 16)(*value))


class _LaunchConfig(ctypes.Structure):
    """CUlaunchConfig."""

    _fields_ = (
        ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("shared_bytes", ctypes.c_uint),
        ("stream", _Pointer),
        ("attributes", ctypes.POINTER(_LaunchAttribute)),
        ("count", ctypes.c_uint),
    )


class DeviceError(Exception):
    """A driver call failed: which one, and what the driver calls the error."""

    def __init__(self, call: str, name: str, description: str) -> None:
        super().__init__(f"{call}: {name} ({description})")
        self.call, self.name = call, name


class Driver:
    """One context on one card, with one stream; a process has one of these, and ends with it."""

    def __init__(self, ordinal: int = 0) -> None:
        """Makes the context.

        Raises:
            OSError: there is no driver.
            DeviceError: there is no card, or it does not work.
        """
        self._library = ctypes.CDLL(os.environ.get(LIBRARY) or "libcuda.so.1")
        for name, arguments in _SIGNATURES.items():
            function = getattr(self._library, name, None)
            if function is None:
                raise DeviceError(name, "EVOKERN_OLD_DRIVER", "not in this driver; CUDA 12.4 or later is needed")
            function.restype, function.argtypes = _Int, arguments
        self._call("cuInit", 0)
        device = _Int()
        self._call("cuDeviceGet", ctypes.byref(device), ordinal)
        self._device = device.value
        self._call("cuCtxSetCurrent", self._made("cuDevicePrimaryCtxRetain", self._device))
        self._is_persistent = self.capability >= 80
        self.stream = self._made("cuStreamCreate", 1)  # does not wait for the default stream
        self._events = (self._made("cuEventCreate", 0), self._made("cuEventCreate", 0))

    @property
    def name(self) -> str:
        text = ctypes.create_string_buffer(256)
        self._call("cuDeviceGetName", text, 256, self._device)
        return text.value.decode()

    @property
    def version(self) -> int:
        """Of CUDA that the driver knows, e.g. 13000."""
        found = _Int()
        self._call("cuDriverGetVersion", ctypes.byref(found))
        return found.value

    @property
    def capability(self) -> int:
        """90 for compute capability 9.0."""
        return 10 * self._attribute(_MAJOR) + self._attribute(_MINOR)

    @property
    def multiprocessors(self) -> int:
        return self._attribute(_MULTIPROCESSORS)

    @property
    def l2_bytes(self) -> int:
        return self._attribute(_L2_BYTES)

    @property
    def free_bytes(self) -> int:
        """Of the card's memory, now."""
        free, total = _Size(), _Size()
        self._call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value

    def allocate(self, size: int) -> int:
        """Address of `size` bytes (one at least), aligned to 256."""
        return self._made("cuMemAlloc_v2", max(1, size))

    def free(self, address: int) -> None:
        self._call("cuMemFree_v2", address)

    def register(self, address: int, size: int) -> bool:
        """Pins host memory so that copies run at the bus's speed; False where the system does not allow it."""
        try:
            self._call("cuMemHostRegister_v2", address, size, 0)
        except DeviceError:
            return False
        return True

    def upload(self, to: int, source: int, size: int) -> None:
        """Host to device, in stream order."""
        if size:
            self._call("cuMemcpyHtoDAsync_v2", to, source, size, self.stream)

    def download(self, to: int, source: int, size: int) -> None:
        """Device to host, in stream order."""
        if size:
            self._call("cuMemcpyDtoHAsync_v2", to, source, size, self.stream)

    def copy(self, to: int, source: int, size: int) -> None:
        """Device to device, in stream order."""
        self._call("cuMemcpyDtoDAsync_v2", to, source, size, self.stream)

    def fill(self, address: int, word: int, size: int) -> None:
        """Fills `size` bytes, a multiple of 4, with a 32-bit word, in stream order."""
        if size:
            self._call("cuMemsetD32Async", address, word & 0xFFFFFFFF, size // 4, self.stream)

    def load(self, image: bytes) -> int:
        """A module made from a cubin, or from PTX text."""
        return self._made("cuModuleLoadData", image + b"\0")

    def unload(self, module: int) -> None:
        self._call("cuModuleUnload", module)

    def function(self, module: int, name: str, shared_bytes: int = 0) -> int:
        """A kernel of a module, allowed to be launched with so much dynamic shared memory."""
        found = self._made("cuModuleGetFunction", module, name.encode())
        if shared_bytes > _PLAIN_SHARED_BYTES:
            self._call("cuFuncSetAttribute", found, _MOST_DYNAMIC_SHARED_BYTES, shared_bytes)
        return found

    def parameters(self, function: int) -> tuple[int, ...]:
        """Bytes of each parameter that a kernel takes: the driver reads as many, whatever it is given."""
        sizes: list[int] = []
        offset, size = _Size(), _Size()
        while not self._library.cuFuncGetParamInfo(function, len(sizes), ctypes.byref(offset), ctypes.byref(size)):
            sizes.append(size.value)
        return tuple(sizes)

    def launch(
        self,
        function: int,
        grid: Sequence[int],
        block: Sequence[int],
        shared_bytes: int,
        arguments: Sequence[Any],
        cluster_blocks: int = 1,
    ) -> None:
        """Launches a kernel, or adds it to the graph that is being captured.

        Args:
            arguments: ctypes values, one for each parameter.
            cluster_blocks: how many blocks, neighbours along x, make a cluster.
        """
        places = (_Pointer * max(1, len(arguments)))(*(ctypes.addressof(value) for value in arguments))
        if cluster_blocks == 1:
            self._call("cuLaunchKernel", function, *grid, *block, shared_bytes, self.stream, places, None)
            return
        attributes = (_LaunchAttribute * 2)(
            _LaunchAttribute(_CLUSTER_DIMENSION, (cluster_blocks, 1, 1)),
            _LaunchAttribute(_CLUSTER_SCHEDULING, (_SPREAD,)),
        )
        sizes = (ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*block)
        config = _LaunchConfig(*sizes, shared_bytes, self.stream, attributes, len(attributes))
        self._call("cuLaunchKernelEx", ctypes.byref(config), function, places, None)

    def capture(self) -> Capture:
        """A ``with`` block whose launches become a graph instead of running."""
        return Capture(self)

    def start_profile(self) -> None:
        """From here on a profiler that watches this process shall look ..."""
        self._call("cuProfilerStart")

    def stop_profile(self) -> None:
        """... to here; without one, nothing happens."""
        self._call("cuProfilerStop")

    def start_clock(self) -> None:
        """From here on in stream order ..."""
        self._call("cuEventRecord", self._events[0], self.stream)

    def stop_clock(self) -> None:
        """... to here."""
        self._call("cuEventRecord", self._events[1], self.stream)

    def clocked_ns(self) -> float:
        """Between the two, once the stream stands still; steps of about half a microsecond."""
        found = ctypes.c_float()
        self._call("cuEventElapsedTime", ctypes.byref(found), *self._events)
        return found.value * 1e6

    def synchronise(self) -> None:
        """Waits until everything so far is done; what went wrong on the card is raised here."""
        self._call("cuStreamSynchronize", self.stream)

    def forget_persisting(self) -> None:
        """Nothing in the L2 is kept longer than anything else, whatever earlier kernels asked for.

        Cards older than Ampere know no such thing.
        """
        if self._is_persistent:
            self._call("cuCtxResetPersistingL2Cache")

    def forbid_persisting(self) -> None:
        """No part of the L2 is set aside in this context."""
        if self._is_persistent:
            self._call("cuCtxSetLimit", _PERSISTING_L2_LIMIT, 0)

    def _attribute(self, number: int) -> int:
        found = _Int()
        self._call("cuDeviceGetAttribute", ctypes.byref(found), number, self._device)
        return found.value

    def _made(self, name: str, *arguments: Any) -> int:
        """Calls a function whose first argument takes the handle or address that it makes."""
        handle = ctypes.c_uint64()
        self._call(name, ctypes.byref(handle), *arguments)
        return handle.value

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        if code:
            words = []
            for question in (self._library.cuGetErrorName, self._library.cuGetErrorString):
                text = ctypes.c_char_p()
                question(code, ctypes.byref(text))
                words.append((text.value or f"error {code}".encode()).decode())
            raise DeviceError(name, *words)


class Capture:
    """Launches made in its ``with`` block, as a graph that can be launched; `close` it afterwards."""

    def __init__(self, driver: Driver) -> None:
        self._driver, self._graph, self._executable = driver, 0, 0

    def __enter__(self) -> Capture:
        self._driver._call("cuStreamBeginCapture_v2", self._driver.stream, _THREAD_LOCAL_CAPTURE)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        graph = ctypes.c_uint64()
        ended = self._driver._library.cuStreamEndCapture(self._driver.stream, ctypes.byref(graph))
        self._graph = graph.value
        if kind is None:
            if ended:
                self._driver._call("cuStreamEndCapture", self._driver.stream, ctypes.byref(graph))
            self._executable = self._driver._made("cuGraphInstantiateWithFlags", self._graph, 0)
            self._driver._call("cuGraphUpload", self._executable, self._driver.stream)

    def launch(self) -> None:
        """Runs the whole graph, in stream order."""
        self._driver._call("cuGraphLaunch", self._executable, self._driver.stream)

    def close(self) -> None:
        if self._executable:
            self._driver._call("cuGraphExecDestroy", self._executable)
        if self._graph:
            self._driver._call("cuGraphDestroy", self._graph)

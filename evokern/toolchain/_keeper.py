"""One thread that lives as long as the process and starts the processes which must die with it.

Linux sends PR_SET_PDEATHSIG when the *thread* that forked ends, not when its process does. A process that asks for the
signal and was started from a thread of a pool would therefore die with that thread.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

_Made = TypeVar("_Made")
_Work = tuple[Future[object], Callable[[], object]]
_queues: dict[int, queue.SimpleQueue[_Work]] = {}
_lock = threading.Lock()


def on_lasting_thread(make: Callable[[], _Made]) -> _Made:
    """What `make` returns or raises, called on a thread that ends only with this process.

    The thread is a daemon: nothing waits for it when the process ends, and other threads end before it.
    """
    future: Future[_Made] = Future()
    with _lock:
        key = os.getpid()  # a fork has none of its parent's threads
        if key not in _queues:
            _queues[key] = queue.SimpleQueue()
            threading.Thread(target=_work, args=(_queues[key],), name="keeper", daemon=True).start()
        _queues[key].put((future, make))  # type: ignore[arg-type]
    return future.result()


def _work(waiting: queue.SimpleQueue[_Work]) -> None:
    while True:
        future, make = waiting.get()
        try:
            future.set_result(make())
        except Exception as error:  # raised again in the thread that asked
            future.set_exception(error)

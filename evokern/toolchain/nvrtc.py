"""Finds NVRTC, NVIDIA's compiler as a library, and the headers that device code includes."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def find_nvrtc() -> Path | None:
    """NVRTC's library: of the PyPI wheel, else of a toolkit or the system; None when there is none."""
    specification = importlib.util.find_spec("nvidia")
    wheels = specification.submodule_search_locations if specification else None
    folders = [Path(folder) for folder in wheels or ()]
    toolkits = [Path("/usr/local/cuda"), Path("/usr/lib/x86_64-linux-gnu"), Path("/usr/lib64")]
    patterns = [(folder, "*/lib/libnvrtc.so.*") for folder in folders]
    patterns += [(folder, "lib64/libnvrtc.so.*") for folder in toolkits] + [(toolkits[1], "libnvrtc.so.*")]
    for folder, pattern in patterns:
        libraries = sorted(folder.glob(pattern), key=lambda path: len(path.name))
        if libraries:
            return libraries[0]
    return None


def header_folders() -> list[Path]:
    """Where cuda_fp16.h and its like are: a toolkit, or Triton's wheel."""
    folders = [Path("/usr/local/cuda/include")]
    if (specification := importlib.util.find_spec("triton")) and specification.origin:
        folders.append(Path(specification.origin).parent / "backends" / "nvidia" / "include")
    return [folder for folder in folders if (folder / "cuda_fp16.h").exists()][:1]

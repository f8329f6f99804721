"""Finds plug-ins: the modules of the discovered folders and the entry points of other people's packages.

A module of `operators/`, `operators/rewrites/`, `verifiers/` or `archives/` names its plug-in class as ``PLUGIN``;
modules that start with an underscore are private to their folder. Another package registers a class under the
entry-point group of the same name, e.g. ``[project.entry-points."evokern.operators"]``.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from evokern.records.errors import EvokernError


def discover(folder: str) -> dict[str, type[Any]]:
    """The plug-in classes of `folder` by their ``name``, e.g. of ``"operators"`` or ``"operators.rewrites"``.

    Raises:
        EvokernError: a module has no ``PLUGIN``, it does not import, or two plug-ins share a name.
    """
    package = f"evokern.{folder}"
    modules = [
        f"{package}.{module.name}"
        for module in pkgutil.iter_modules(_places(package))
        if not module.ispkg and not module.name.startswith("_")
    ]
    found = [(name, _plugin_of(name)) for name in sorted(modules)]
    found += [(point.value, _loaded(point)) for point in sorted(entry_points(group=package))]
    plugins: dict[str, type[Any]] = {}
    for origin, plugin in found:
        name = getattr(plugin, "name", None)
        if not isinstance(plugin, type) or not isinstance(name, str):
            raise EvokernError(f"{origin}: expected PLUGIN to be a class with a `name`, got {plugin!r}")
        if name in plugins:
            raise EvokernError(f"two plug-ins of {folder} are named {name!r}: {origin} and {plugins[name].__module__}")
        plugins[name] = plugin
    return plugins


def chosen(folder: str, names: Sequence[str] | None) -> dict[str, Any]:
    """Instances of the plug-ins of `folder` that `names` lists; of all of them when it is None.

    Raises:
        EvokernError: there is no plug-in of that name.
    """
    plugins = discover(folder)
    for name in names or ():
        if name not in plugins:
            raise EvokernError(f"no plug-in {name!r} in {folder}; there are {', '.join(sorted(plugins))}")
    return {name: plugins[name]() for name in (plugins if names is None else names)}


def folder(name: str) -> Path:
    """Where the built-in plug-ins of `name` lie, with the files beside them, e.g. ``operators/prompts``."""
    return Path(next(iter(importlib.import_module(f"evokern.{name}").__path__)))


def _places(package: str) -> list[str]:
    """Where the modules of a plug-in folder lie; nowhere, where only other packages have plug-ins of the kind."""
    try:
        found = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        return []
    return list(found.submodule_search_locations or ()) if found else []


def _loaded(point: EntryPoint) -> object:
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise EvokernError(
            f"expected the plug-in {point.name} of {point.group} at {point.value}, got: {error}; "
            "mend or uninstall the package that registers it"
        ) from error


def _plugin_of(module_name: str) -> object:
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise EvokernError(f"{module_name} does not import: {error}") from error
    if not hasattr(module, "PLUGIN"):
        raise EvokernError(f"{module_name} defines no PLUGIN; add `PLUGIN = <the class>`, or start its name with _")
    plugin: object = module.PLUGIN
    return plugin

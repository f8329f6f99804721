"""A traced target as files: the reference, which is the user's own code and a wrapper, and the task's YAML."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from pathlib import Path

from evokern.frontends.found import Argument, Found
from evokern.records.errors import EvokernError

_WRAPPER = """

# evokern: {name} as a function of its inputs{and_parameters}. What stands above is {file}, unchanged.
import functools as _functools  # noqa: E402
{local}
import torch as _torch  # noqa: E402
from torch.utils import _pytree as _pytree  # noqa: E402

_target = {name}

{module}
def reference({arguments}):
{body}    _leaves = [_leaf for _leaf in _pytree.tree_leaves(_result) if isinstance(_leaf, _torch.Tensor)]
    return _leaves[0] if len(_leaves) == 1 else tuple(_leaves)
"""

_MODULE = """
@_functools.cache
def _module(dtype):
    with _torch.random.fork_rng(devices=[]):
        _torch.manual_seed(0)
        return {constructor}.eval().to(dtype)


"""


def reference(found: Found, file: Path) -> str:
    """The text of the reference: `file`, then a function that binds parameters and calls the target.

    Local modules that the file imports are carried along as text.

    Raises:
        EvokernError: a local file that it imports cannot be read.
    """
    source = file.read_text(encoding="utf-8").rstrip() + "\n"
    names = ", ".join(argument.name for argument in found.arguments)
    state = ", ".join(f'"{one.origin}": {one.name}' for one in found.arguments if one.origin)
    given = ", ".join(found.call) + ("," if len(found.call) == 1 else "")
    if found.is_module:
        floats = [one.name for one in found.arguments if "float" in one.dtype and one.value is None]
        dtype = f"{floats[0]}.dtype" if floats else "_torch.float32"
        body = f"    _result = _torch.func.functional_call(_module({dtype}), {{{state}}}, ({given}))\n"
        module = _MODULE.format(constructor=found.constructor.replace(f"{found.name}(", "_target(", 1))
    else:
        body, module = f"    _result = _target({', '.join(found.call)})\n", ""
    wrapper = _WRAPPER.format(
        name=found.name,
        file=file.name,
        and_parameters=" and parameters" if state else "",
        local="",
        module=module,
        arguments=names,
        body=body,
    )
    if found.name == "reference":
        wrapper = wrapper.replace("_target = reference", "_target = globals()['reference']")
    if not module:
        wrapper = wrapper.replace("import functools as _functools  # noqa: E402\n", "")
    return _carried(source, file) + wrapper.replace("\n\n\n\n", "\n\n\n")


def yaml(found: Found, reference_name: str, task_name: str, backward: bool = False) -> str:
    """The task file, ready to be edited."""
    lines = [
        f"# evokern run {task_name}.yaml",
        "task:",
        f"  name: {task_name}",
        f"  reference: {reference_name}",
        "  arguments:",
        *(f"    {one.name}: {_typed(one)}" for one in found.arguments),
        "  returns:",
        *(f"    {one.name}: {_typed(one)}" for one in found.returns),
        *_shapes("check", found.check, "small and odd sizes: correctness"),
        *_shapes(
            "time", found.time, "speed" if found.time[0] == found.asked else f"speed; asked for {_shape(found.asked)}"
        ),
        *(_shapes("held_out", found.held_out, "judged once, at the end") if found.held_out else ()),
        *(("  backward: true",) if backward else ()),
    ]
    return "\n".join(lines) + "\n"


def summary(found: Found) -> str:
    """What was found, in a few lines."""
    tensors = [*found.arguments, *found.returns]
    size = sum(_bytes(one, found.time[0]) for one in tensors if one.value is None)
    lines = [f"arguments: {', '.join(f'{one.name} {_plain(one)}' for one in found.arguments)}"]
    lines += [f"returns: {', '.join(f'{one.name} {_plain(one)}' for one in found.returns)}"]
    for dimension in found.dimensions:
        tied = f", tied: {' = '.join(dimension.where)}" if len(dimension.where) > 1 else ""
        lines.append(f"free: {dimension.name} ({dimension.size} in the example{tied})")
    lines += [f"fixed: {one}" for one in found.fixed]
    lines += [f"folded in: {one.name} = {one.value}" for one in found.folded]
    lines += [f"kept as data: {one}" for one in found.kept]
    lines += [f"values of {one.name}: [{one.low}, {one.high}), since {one.why}" for one in found.arguments if one.why]
    if found.time[0] != found.asked:
        lines.append(
            f"timed at {_shape(found.time[0])} instead of {_shape(found.asked)}: more would not fit this machine"
        )
    flops = f", {found.flops / 1e9:.3g} GFLOP in products at the example" if found.flops else ""
    lines.append(f"a call moves {size / 1e6:.3g} MB at least{flops}")
    return "\n".join([*lines, *found.notes])


def _typed(argument: Argument) -> str:
    if argument.value is not None:
        return repr(argument.value) if not isinstance(argument.value, bool) else str(argument.value).lower()
    if argument.low is not None:
        return f'{{type: "{_plain(argument)}", range: [{argument.low}, {argument.high}]}}'
    return f'"{_plain(argument)}"'


def _plain(argument: Argument) -> str:
    return str(argument.value) if argument.value is not None else f"{argument.dtype}[{', '.join(argument.dims)}]"


def _shapes(key: str, shapes: Sequence[dict[str, int]], why: str) -> list[str]:
    return [f"  {key}:  # {why}", *(f"    - {_shape(shape)}" for shape in shapes)]


def _shape(shape: dict[str, int]) -> str:
    return "{" + ", ".join(f"{name}: {size}" for name, size in shape.items()) + "}"


def _bytes(argument: Argument, shape: dict[str, int]) -> int:
    from evokern.records.task import DType, Tensor

    return Tensor(argument.name, DType(argument.dtype), argument.dims).bytes(shape)


def _carried(source: str, file: Path) -> str:
    """`source`, before it the local modules that it imports, so that the reference is complete in itself."""
    local: dict[str, str] = {}
    _gather(source, file.parent, local)
    if not local:
        return source
    parts = re.match(r"((?:from __future__ import .*\n|#.*\n|\s*\n|\"\"\"[\s\S]*?\"\"\"\n)*)", source)
    at = parts.end() if parts else 0
    texts = "\n".join(f"_sources[{name!r}] = {text!r}" for name, text in local.items())
    loader = f"""import sys as _sys
import types as _types

_sources = {{}}
{texts}
for _name, _text in _sources.items():
    _sys.modules[_name] = _made = _types.ModuleType(_name)
    exec(compile(_text, f"{{_name}}.py", "exec"), _made.__dict__)

"""
    return source[:at] + loader + source[at:]


def _gather(source: str, folder: Path, found: dict[str, str]) -> None:
    """Adds the local modules that `source` imports, those that they import first."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        elif isinstance(node, ast.ImportFrom):
            raise EvokernError(f"line {node.lineno}: expected absolute imports of local files, got a relative one")
        else:
            continue
        for name in names:
            path = folder / f"{name}.py"
            if "." in name and (folder / name.split(".")[0]).is_dir():
                raise EvokernError(
                    f"line {node.lineno}: imports {name} from a local package; expected single files beside the target"
                )
            if "." not in name and path.is_file() and name not in found:
                text = path.read_text(encoding="utf-8")
                _gather(text, folder, found)
                found.setdefault(name, text)

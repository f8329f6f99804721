"""What device code of a Triton kernel may say: an allow-list of names and attributes of the language.

Where there is no GPU a kernel is interpreted, and where there is one it is compiled. A name that leads into Triton's
machinery (``.handle``, ``tl.core``, ``isinstance``, a format of a tensor) can tell one from the other, and a kernel
could be right in one and wrong in the other. Only what means the same in both is let through; the rest is refused where
it stands.
"""

from __future__ import annotations

import ast
import re

from evokern.records.arithmetic import Unsayable


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


LANGUAGE = "triton.language"
LIBDEVICE = ("triton.language.extra.libdevice", "triton.language.extra.cuda.libdevice")
MODULES = (
    "triton",
    LANGUAGE,
    "triton.language.extra",
    "triton.language.extra.cuda",
    "triton.language.math",
    *LIBDEVICE,
)
"""What a module may import, whole or by name."""

TYPES = _words(
    """bfloat16 float16 float32 float64 float8e4b15 float8e4b8 float8e4nv float8e5 float8e5b16 int1 int8 int16 int32
    int64 uint8 uint16 uint32 uint64"""
)
MATH = _words("abs ceil cos div_rn erf exp exp2 fdiv floor fma log log2 rsqrt sin sqrt sqrt_rn umulhi")
FUNCTIONS = MATH | _words(
    """add advance arange argmax argmin associative_scan assume atomic_add atomic_and atomic_cas atomic_max atomic_min
    atomic_or atomic_xchg atomic_xor broadcast broadcast_to cast cat cdiv clamp constexpr cumprod cumsum debug_barrier
    device_assert device_print dot dot_scaled expand_dims flip full gather histogram interleave join load
    load_tensor_descriptor make_block_ptr make_tensor_descriptor map_elementwise max max_constancy max_contiguous
    maximum min minimum mul multiple_of num_programs pair_uniform_to_normal permute philox pointer_type program_id rand
    rand4x randint randint4x randn randn4x range ravel reduce reduce_or reshape sigmoid softmax sort split squeeze
    static_assert static_range store store_tensor_descriptor sub sum swizzle2d topk trans uint_to_uniform_float
    unsqueeze view where xor_sum zeros zeros_like"""
)
METHODS = _words(
    """T abs advance argmax argmin associative_scan atomic_add atomic_and atomic_cas atomic_max atomic_min atomic_or
    atomic_xchg atomic_xor broadcast_to cast cdiv ceil cos cumprod cumsum erf exp exp2 expand_dims flip floor gather
    histogram load log log2 logical_and logical_or max min permute ravel reduce reduce_or reshape rsqrt scatter sigmoid
    sin softmax sort split sqrt sqrt_rn store sum to trans view xor_sum"""
)
"""Of tensors and tensor descriptors."""
FACTS = _words(
    """dtype element_ty scalar shape primitive_bitwidth is_floating is_int is_int_signed is_int_unsigned is_fp16 is_fp32
    is_fp64 is_bf16 is_fp8"""
)
"""Attributes of tensors and types that the compiler and the interpreter agree on."""
BUILTINS = _words("range min max float int len True False None")
_PROPAGATION = frozenset({"PropagateNan.ALL", "PropagateNan.NONE"})
_HINTS = ("int", "float", "bool", "tl.tensor", "triton.language.tensor")
"""Annotations that say nothing about how a parameter is passed."""
CONSTEXPR = frozenset({"tl.constexpr", "constexpr", f"{LANGUAGE}.constexpr", '"tl.constexpr"', "'tl.constexpr'"})
_WORD = re.compile(r"[\w.+-]*")
_STATEMENTS = (
    ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.If, ast.For, ast.While, ast.Return, ast.Pass, ast.Assert,
)  # fmt: skip
_EXPRESSIONS = (
    ast.Name, ast.Attribute, ast.Call, ast.Constant, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp,
    ast.Subscript, ast.Slice, ast.Tuple, ast.List, ast.ListComp,
)  # fmt: skip
_PARTS = (
    ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.keyword, ast.comprehension,
)  # fmt: skip


def names_of(path: str) -> frozenset[str]:
    """What may be taken from a module by name; modules among them as well."""
    if path in LIBDEVICE:
        return frozenset({"*"})
    return {
        "triton": frozenset({"jit", "language", "cdiv", "next_power_of_2"}),
        LANGUAGE: FUNCTIONS | TYPES | {"math", "extra", "PropagateNan"},
        "triton.language.math": MATH,
        "triton.language.extra": frozenset({"libdevice", "cuda"}),
        "triton.language.extra.cuda": frozenset({"libdevice"}),
    }.get(path, frozenset())


class Names:
    """What the names of a module mean: imports by their path, constants, and device functions."""

    def __init__(self) -> None:
        self.imported: dict[str, str] = {}
        """Name → dotted path of what it is."""
        self.constants: set[str] = set()
        self.functions: set[str] = set()

    def take(self, statement: ast.Import | ast.ImportFrom) -> None:
        """Notes an import.

        Raises:
            Unsayable: it is of nothing that a device has.
        """
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                if alias.name not in MODULES:
                    _refuse(statement, f"import {alias.name}")
                name = alias.asname or alias.name.partition(".")[0]
                self.imported[name] = alias.name if alias.asname else name
            return
        path = statement.module or ""
        for alias in statement.names:
            if statement.level or (alias.name not in names_of(path) and "*" not in names_of(path)):
                _refuse(statement, ast.unparse(statement))
            if not re.fullmatch(r"[a-z]\w*|PropagateNan", alias.name):
                _refuse(statement, ast.unparse(statement))
            self.imported[alias.asname or alias.name] = f"{path}.{alias.name}"

    def path(self, node: ast.expr) -> str | None:
        """The dotted path of a name or an attribute that begins at an import; None for others."""
        if isinstance(node, ast.Name):
            return self.imported.get(node.id)
        if isinstance(node, ast.Attribute) and (above := self.path(node.value)) is not None:
            return f"{above}.{node.attr}"
        return None


def is_of_the_language(path: str) -> bool:
    """Whether device code may say it."""
    if path in MODULES:
        return True
    above, _, name = path.rpartition(".")
    if path.removeprefix(f"{LANGUAGE}.") in _PROPAGATION:
        return True
    names = names_of(above) - {"jit"}
    return name in names or ("*" in names and re.fullmatch(r"[a-z]\w*", name) is not None and name != "core")


def is_constexpr(annotation: ast.expr | None) -> bool:
    return annotation is not None and ast.unparse(annotation) in CONSTEXPR


def check_annotation(parameter: ast.arg) -> None:
    """A parameter's annotation: ``tl.constexpr``, or a hint that changes nothing.

    Raises:
        Unsayable: it would have Triton's own launcher pass another type.
    """
    told = parameter.annotation
    if told is None or is_constexpr(told) or ast.unparse(told).strip("'\"") in _HINTS:
        return
    raise Unsayable(
        parameter,
        f"expected tl.constexpr, int, float, bool or nothing behind {parameter.arg}:, got `{ast.unparse(told)}`; "
        "the types of arguments come from the plan",
    )


def check_word(node: ast.Constant) -> None:
    """A string of device code or of a constant: a word, never a format.

    Raises:
        Unsayable: it could be one.
    """
    if isinstance(node.value, str) and not _WORD.fullmatch(node.value):
        _refuse(node, repr(node.value)[:60])
    if not isinstance(node.value, str | int | float | bool | None):
        _refuse(node, repr(node.value)[:60])


def check_function(definition: ast.FunctionDef, names: Names) -> None:
    """Refuses what a device function says outside the language.

    Raises:
        Unsayable: with the place of the first such thing.
    """
    local = {parameter.arg for parameter in definition.args.args}
    local |= {
        node.id for node in ast.walk(definition) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
    }
    for name in sorted(local & (names.imported.keys() | names.functions | BUILTINS)):
        raise Unsayable(definition, f"expected another name for {name} in {definition.name}: it has a meaning already")
    body = definition.body[1:] if ast.get_docstring(definition) is not None else definition.body
    for statement in body:
        _check(statement, names, local)


def _refuse(node: ast.AST, what: str) -> None:
    raise Unsayable(
        node,
        f"expected only what Triton's language means alike interpreted and compiled, got `{what}`; the manual of "
        "Triton kernels lists names and attributes that device code may say",
    )


def _check(node: ast.AST, names: Names, local: set[str]) -> None:
    """One node and, unless it was looked at as a whole, what is below it."""
    below = list(ast.iter_child_nodes(node))
    match node:
        case ast.Attribute() if (path := names.path(node)) is not None:
            if not is_of_the_language(path):
                _refuse(node, ast.unparse(node))
            return
        case ast.Attribute(attr=attribute):
            if attribute not in METHODS | FACTS or isinstance(node.value, ast.Constant):
                _refuse(node, f".{attribute}")
        case ast.Name(id=name):
            if name in names.imported:
                if not is_of_the_language(names.imported[name]):
                    _refuse(node, name)
            elif name not in local | names.constants | names.functions | BUILTINS:
                _refuse(node, name)
        case ast.Call(func=function):
            _check_call(function, names)
            for word in node.keywords:
                if word.arg is None or word.arg.startswith("_"):
                    _refuse(node, f"{word.arg or '**'}=")
            texts = ("device_assert", "static_assert", "device_print")
            if (names.path(function) or "").rpartition(".")[2] in texts:  # words for people, which nothing computes on
                below = [one for one in below if not (isinstance(one, ast.Constant) and isinstance(one.value, str))]
        case ast.Assert(msg=ast.Constant(value=str())):
            below = [node.test]
        case ast.Compare(ops=operators, comparators=others):
            for operator, other in zip(operators, others, strict=True):
                if isinstance(operator, ast.In | ast.NotIn):
                    _refuse(node, ast.unparse(node)[:60])
                is_none = isinstance(other, ast.Constant) and other.value is None
                if isinstance(operator, ast.Is | ast.IsNot) and not is_none:
                    _refuse(node, ast.unparse(node)[:60])
        case ast.BinOp(left=left, right=right):
            if any(isinstance(one, ast.Constant) and isinstance(one.value, str) for one in (left, right)):
                _refuse(node, ast.unparse(node)[:60])
        case ast.AnnAssign(annotation=annotation):
            if not is_constexpr(annotation) and ast.unparse(annotation) not in _HINTS:
                _refuse(annotation, ast.unparse(annotation))
            below = [one for one in below if one is not annotation]
        case ast.Subscript(ctx=ast.Store() | ast.Del()):
            _refuse(node, ast.unparse(node)[:60])
        case ast.Constant():
            check_word(node)
        case _:
            pass
    if not isinstance(node, (*_STATEMENTS, *_EXPRESSIONS, *_PARTS)):
        _refuse(node, (ast.unparse(node).splitlines() or [type(node).__name__])[0][:60])
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a comment in quotation marks
    for one in below:
        _check(one, names, local)


def _check_call(function: ast.expr, names: Names) -> None:
    """What is called is a function of the language or of the module, or a method; never a value."""
    if names.path(function) is not None or isinstance(function, ast.Attribute):
        return
    known = names.functions | (BUILTINS - {"True", "False", "None"})
    if not (isinstance(function, ast.Name) and function.id in known):
        _refuse(function, f"{ast.unparse(function)[:60]}(")

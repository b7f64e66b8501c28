"""Gates G1 and G2: what a source text may be made of. Nothing is executed here, and nothing is imported.

Two functions and their helpers in a small part of Python: arithmetic, `jax.numpy` and `jax.lax` by their listed names,
loops over `range`, tuples, lists and dicts. At the top level stand imports, helper functions and named numbers, so
that nothing runs when the functions are defined: no decorators, defaults, annotations, classes or comprehensions there.

This is defense in depth and gives early, plain sentences. The boundary is the cage, and what may leave it.
"""

from __future__ import annotations

import ast
import builtins
import io
import keyword
import tokenize
import unicodedata
from collections.abc import Iterator

from covey.authored.refusal import Refused


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FUNCTIONS = ("prior_policy", "reward")
"""What a source text has to define, each with the parameters `view` and `p`."""

IMPORTS = {
    "import jax": "jax",
    "import jax.numpy as jnp": "jnp",
    "from jax import numpy as jnp": "jnp",
    "from jax import lax": "lax",
    "import jax.lax as lax": "lax",
}
"""The imports that are understood, and the names they give."""

BUILTINS = _words("range len enumerate zip float int bool abs min max sum tuple list dict reversed")

JNP = _words(
    """
    abs absolute add all any arange arccos arccosh arcsin arcsinh arctan arctan2 arctanh argmax argmin argsort array
    array_equal asarray atan2 atleast_1d atleast_2d average bool_ broadcast_to cbrt ceil clip column_stack concatenate
    cos cosh cross cumprod cumsum deg2rad degrees diag diagonal diff divide dot e einsum equal exp exp2 expand_dims
    expm1 eye flip float32 floor floor_divide full full_like greater greater_equal heaviside hstack identity
    inner int32 isfinite isnan less less_equal linalg linspace log log10 log1p log2 logaddexp logical_and
    logical_not logical_or logical_xor matmul max maximum mean min minimum mod moveaxis multiply negative newaxis
    not_equal ones ones_like outer pad pi power prod ptp rad2deg radians reciprocal remainder repeat reshape rint roll
    round select sign sin sinc sinh sort split sqrt square squeeze stack subtract sum swapaxes take
    take_along_axis tan tanh tensordot tile trace transpose tri tril triu true_divide trunc uint8 vdot vecdot
    vstack where zeros zeros_like
    """
)
LAX = _words(
    """
    abs add argmax argmin atan2 broadcast_in_dim ceil clamp concatenate cond convert_element_type cos cummax cummin
    cumprod cumsum div dot dot_general dynamic_index_in_dim dynamic_slice dynamic_slice_in_dim dynamic_update_slice eq
    erf exp expm1 floor fori_loop full ge gt integer_pow iota le log log1p logistic lt max min mul ne neg pad pow
    reciprocal rem reshape rev rsqrt scan select select_n sign sin slice slice_in_dim sort sqrt square squeeze
    stop_gradient sub switch tan tanh top_k transpose
    """
)
NN = _words(
    "elu gelu hard_sigmoid hard_tanh leaky_relu log_sigmoid log_softmax logsumexp one_hot relu relu6 sigmoid silu "
    "soft_sign softmax softplus squareplus swish tanh"
)
MODULES = {
    "jax": frozenset({"numpy", "lax", "nn", "vmap"}),
    "jax.numpy": JNP,
    "jax.lax": LAX,
    "jax.nn": NN,
    "jax.numpy.linalg": frozenset({"norm", "vector_norm"}),
}
ALIASES = {"jax": "jax", "jnp": "jax.numpy", "lax": "jax.lax"}

METHODS = _words(
    "T all any append argmax argmin argsort astype at clip cumsum dot dtype flatten items keys max mean min multiply "
    "ndim add get prod ravel reshape round set shape size sort squeeze sum swapaxes transpose values"
)
"""Attributes of anything that is not a module."""

EVERYWHERE = (
    ast.Module, ast.FunctionDef, ast.arguments, ast.arg, ast.Return, ast.Assign, ast.AugAssign, ast.Expr, ast.If,
    ast.IfExp, ast.For, ast.Break, ast.Continue, ast.Pass, ast.Import, ast.ImportFrom, ast.alias, ast.BinOp,
    ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Call, ast.keyword, ast.Attribute, ast.Subscript, ast.Slice, ast.Name,
    ast.Constant, ast.Tuple, ast.List, ast.Dict, ast.Starred, ast.Lambda, ast.ListComp, ast.GeneratorExp,
    ast.comprehension, ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop,
)  # fmt: skip
"""The kinds of syntax that are allowed; all others are refused by their name."""

TOO_BIG = 10**6
"""Whole numbers in the text stay below it, and so do the loops that they bound."""


def parse(source: str) -> ast.Module:
    """The syntax tree (G1), with both functions and their parameters; Refused where there is none."""
    _check_characters(source)
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        place = f" (line {error.lineno})" if isinstance(error, SyntaxError) and error.lineno else ""
        said = error.msg if isinstance(error, SyntaxError) else "it is nested too deeply or holds a strange character"
        raise Refused("G1", f"the source is no valid Python: {said}{place}.") from error
    for name in FUNCTIONS:
        found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
        if len(found) != 1:
            count = "no function" if not found else f"{len(found)} functions"
            raise Refused("G1", f"the source has {count} {name!r} at its top level: define it once.")
        args = found[0].args
        others = [*args.posonlyargs, *args.kwonlyargs, args.vararg, args.kwarg]
        if [arg.arg for arg in args.args] != ["view", "p"] or any(others):
            raise Refused("G1", f"the function {name!r} must take the two parameters `view` and `p` and no others.")
    return tree


def check_static(tree: ast.Module) -> None:
    """Refused (G2) where the tree holds anything beyond the allow-list."""
    for statement in tree.body:
        _check_top_level(statement)
    known = _bound_names(tree) | BUILTINS | set(ALIASES)
    try:
        for node in ast.walk(tree):
            if not isinstance(node, EVERYWHERE):
                raise _refusal(node, f"`{type(node).__name__}` is not part of the language that is understood")
            _check(node, known)
    except RecursionError:
        raise Refused("G2", "an expression is nested too deeply.") from None


# ---------------------------------------------------------------------------------------------------------------------
# Characters and names


def _check_characters(source: str) -> None:
    """G1: names in ASCII, and no character that is not seen."""
    for number, line in enumerate(source.split("\n"), 1):
        for character in line:
            if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") and character != "\t":
                sort = f"the invisible character U+{ord(character):04X}"
                raise Refused("G1", f"line {number} holds {sort}: use printed characters only.")
    try:
        names = [t for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type == tokenize.NAME]
    except (tokenize.TokenError, SyntaxError, RecursionError):
        names = []  # the parser says what is wrong
    for token in names:
        if not token.string.isascii():
            raise Refused("G1", f"line {token.start[0]} has a name with characters beyond ASCII: use plain letters.")


def _bound_names(tree: ast.Module) -> set[str]:
    """Every name that the source itself gives: functions, parameters, targets."""
    names = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.arg(arg=name):
                names.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
    return names


# ---------------------------------------------------------------------------------------------------------------------
# Statements


def _check_top_level(node: ast.stmt) -> None:
    match node:
        case ast.FunctionDef() | ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant(value=str())):
            return
        case ast.Assign(targets=[ast.Name()], value=value) if _is_number(value):
            return
    raise _refusal(
        node,
        "only imports, functions and `NAME = number` may stand at the top level, because anything else runs when the "
        "functions are defined",
    )


def _is_number(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        node = node.operand
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)


def _check(node: ast.AST, known: set[str]) -> None:
    match node:
        case ast.Import() | ast.ImportFrom():
            if ast.unparse(node) not in IMPORTS:
                raise _refusal(node, f"`{_cut(ast.unparse(node))}` is not allowed: {', '.join(IMPORTS)} are")
        case ast.FunctionDef():
            _check_definition(node)
        case ast.Lambda(args=args):
            _check_arguments(node, args)
        case ast.arg(arg=name, annotation=annotation):
            _check_name(node, name)
            if annotation is not None:
                raise _refusal(node, "annotations are evaluated at definition: leave them out")
        case ast.Name(id=name):
            _check_name(node, name, stores=isinstance(node.ctx, ast.Store))
            if name not in known:
                raise _refusal(node, f"the name {name!r} is not known here")
        case ast.Attribute():
            _check_attribute(node)
        case ast.Constant(value=value):
            _check_constant(node, value)
        case ast.keyword(arg=str(name)):
            _check_name(node, name, stores=False)
        case ast.Expr(value=value) if not isinstance(value, (ast.Constant, ast.Call)):
            raise _refusal(node, "an expression that stands alone has no effect: assign or return it")
        case ast.For(iter=source) | ast.comprehension(iter=source):
            _check_loop(node, source)
        case ast.Call(keywords=keywords) if any(entry.arg is None for entry in keywords):
            raise _refusal(node, "`**` in a call is not allowed: write the arguments out")


def _check_definition(node: ast.FunctionDef) -> None:
    _check_name(node, node.name)
    if node.decorator_list:
        raise _refusal(node, f"the function {node.name!r} has a decorator, which runs at definition: leave it out")
    if node.returns is not None:
        raise _refusal(node, "annotations are evaluated at definition: leave them out")
    if getattr(node, "type_params", None):
        raise _refusal(node, "type parameters are not allowed")
    _check_arguments(node, node.args)


def _check_arguments(node: ast.AST, args: ast.arguments) -> None:
    if args.defaults or any(args.kw_defaults):
        raise _refusal(node, "default values are evaluated at definition: leave them out")
    if args.vararg or args.kwarg:
        raise _refusal(node, "`*args` and `**kwargs` are not allowed: name every parameter")


def _check_name(node: ast.AST, name: str, stores: bool = True) -> None:
    if name.startswith("_") and name != "_":
        raise _refusal(node, f"the name {_cut(name)!r} begins with an underscore")
    if not name.isascii():
        raise _refusal(node, "a name has characters beyond ASCII")
    if stores and (name in ALIASES or hasattr(builtins, name) or keyword.iskeyword(name)):
        raise _refusal(node, f"the name {name!r} is taken: choose another")


def _check_constant(node: ast.AST, value: object) -> None:
    if not (value is None or value is Ellipsis or type(value) in (bool, int, float, str)):
        raise _refusal(node, f"constants of type {type(value).__name__} are not allowed")
    if type(value) is int and abs(value) > TOO_BIG:
        raise _refusal(node, f"whole numbers beyond {TOO_BIG} are not allowed: write a float")
    if type(value) is float and value in (float("inf"),):
        raise _refusal(node, "the number is infinite: use a large one, such as 1e9")


def _check_loop(node: ast.AST, source: ast.expr) -> None:
    called = isinstance(source, ast.Call) and isinstance(source.func, ast.Name)
    listed = isinstance(source, (ast.Tuple, ast.List))
    if not (listed or (called and source.func.id in ("range", "enumerate", "zip", "reversed"))):  # type: ignore[union-attr]
        raise _refusal(source, "loops run over `range`, `enumerate`, `zip` or a written-out tuple")


def _check_attribute(node: ast.Attribute) -> None:
    if isinstance(node.value, ast.Attribute):
        _check_attribute(node.value)  # first, because it says more
    module, name = _module_of(node.value), node.attr
    allowed = METHODS if module is None else MODULES[module]
    if name not in allowed:
        owner = "" if module is None else f" of {module}"
        raise _refusal(node, f"the attribute {_cut(name)!r}{owner} is not on the list of what may be used")
    if not isinstance(node.ctx, ast.Load):
        raise _refusal(node, f"the attribute {name!r} cannot be assigned")


def _module_of(node: ast.expr) -> str | None:
    """The module that an expression names: `jnp.linalg` -> "jax.numpy.linalg"; None for any other value."""
    match node:
        case ast.Name(id=name):
            return ALIASES.get(name)
        case ast.Attribute(value=value, attr=name):
            owner = _module_of(value)
            path = f"{owner}.{name}"
            return path if owner is not None and path in MODULES else None
    return None


def _refusal(node: ast.AST, what: str) -> Refused:
    line = getattr(node, "lineno", None)
    return Refused("G2", f"{'' if line is None else f'line {line}: '}{what}.")


def _cut(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """The tree's top-level statements without imports, whose names the child supplies itself."""
    return (node for node in tree.body if not isinstance(node, (ast.Import, ast.ImportFrom)))

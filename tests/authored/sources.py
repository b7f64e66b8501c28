"""Source texts as a language model would write them: some good, most not. Every payload is harmless.

A payload that got through would write a file into the folder that the test watches, or take a little more than a small
limit that the test sets.
"""

from __future__ import annotations

GREEDY = '''"""Go to the nearest landmark; a step is good where some landmark is close."""
import jax.numpy as jnp
from jax import lax

SPEED = 0.25
SIDE = 10.0
CLOSE = 1.0


def gaps(view):
    return view["landmarks"] * SIDE


def prior_policy(view, p):
    gap = gaps(view)
    distance = jnp.sqrt(jnp.sum(gap * gap, axis=-1) + 1e-12)
    nearest = jnp.argmin(distance)
    return gap[nearest] * jnp.minimum(1.0, SPEED / distance[nearest])


def reward(view, p):
    distance = jnp.sqrt(jnp.sum(gaps(view) ** 2, axis=-1) + 1e-12)
    close = jnp.min(distance) < CLOSE
    return jnp.where(close, 1.0, 0.0), {"close": jnp.where(close, 1.0, 0.0)}
'''

PURSUE = '''import jax.numpy as jnp
from jax import lax


def prior_policy(view, p):
    """Where the prey will be in the best of a few steps."""
    prey, velocity = view["prey"][0] * 10.0, view["prey_velocity"][0] * 0.25

    def step(carry, k):
        place, best = carry
        place = place + velocity
        better = jnp.sum(place**2) < jnp.sum(best**2)
        return (place, jnp.where(better, place, best)), jnp.sum(place)

    (_, best), _ = lax.scan(step, (prey, prey), jnp.arange(4))
    length = jnp.sqrt(jnp.sum(best**2) + 1e-12)
    return best * jnp.minimum(1.0, 0.25 / length)


def reward(view, p):
    distance = jnp.linalg.norm(view["prey"][0] * 10.0)
    crowd = jnp.stack([jnp.sum(view["mates"][k] ** 2) for k in range(2)])
    near = jnp.exp(-distance)
    return jnp.clip(near, 0.0, 1.0), {"near": (distance < 0.5) * 1.0, "alone": (jnp.min(crowd) > 0.01) * 1.0}
'''


def with_prior(*lines: str) -> str:
    """A source whose prior begins with these lines, and does as it should after them."""
    body = "".join(f"    {line}\n" for line in lines)
    return GREEDY.replace("    gap = gaps(view)\n", f"{body}    gap = gaps(view)\n", 1)


def with_top(*lines: str) -> str:
    """A source with these lines at its top level."""
    return GREEDY.replace("SPEED = 0.25\n", "SPEED = 0.25\n" + "".join(f"{line}\n" for line in lines), 1)


def returning(value: str, reward: bool = False) -> str:
    """A source whose prior (or reward) returns an expression of `gap` [3, 2] and `view`."""
    name = "reward" if reward else "prior_policy"
    other = "prior_policy" if reward else "reward"
    kept = GREEDY[: GREEDY.index("\n\ndef prior_policy")]
    rest = GREEDY[GREEDY.index(f"def {other}") :].split("\n\n\n")[0]
    return f"{kept}\n\n{rest}\n\n\ndef {name}(view, p):\n    gap = gaps(view)\n    return {value}\n"


WRITE = "open('MARK', 'w')"
"""What a payload does; tests put the path of a file into a folder of theirs for MARK."""

EXTRACTED = {
    "prose alone": ("I would head for the nearest landmark.", "has no function 'prior_policy'"),
    "nothing": ("", "has no function"),
    "one function of two": (GREEDY[: GREEDY.index("def reward")], "has no function 'reward'"),
    "a function with a look-alike name": (GREEDY.replace("def reward", "def rew\u0430rd"), "has no function 'reward'"),
    "two blocks": (f"```python\n{GREEDY}```\nor\n```python\n{GREEDY}```\n", "2 blocks of Python"),
    "a block that is cut off": (f"Here it is:\n```python\n{GREEDY}", "cut off"),
    "too long": (GREEDY + "# filler\n" * 2_000, "more than 16384"),
    "far too long": ("x" * 2_000_000, "far too long"),
    "a zero byte": (GREEDY + "\0", "no text"),
    "half a character": (GREEDY + "# \ud800", "characters that no text has"),
    "fences without end": ("```\n" * 100_001, "cut off"),
}
"""G0: answers, and words of the refusal."""

PARSED = {
    "syntax error": (with_prior("gap = = 1"), "no valid Python"),
    "other language": (GREEDY + "\nfunction prior() { return 0; }\n", "no valid Python"),
    "tabs and spaces": (with_prior("if True:", "\tgap = 1", "        gap = 2"), "no valid Python"),
    "nested too deeply": (with_prior("x = " + "(" * 3_000 + ")" * 3_000), "no valid Python"),
    "signs without end": (with_prior("x = " + "-" * 12_000 + "1"), "no valid Python"),
    "defined twice": (GREEDY + "\ndef reward(view, p):\n    return 1.0\n", "2 functions 'reward'"),
    "only inside another": (
        GREEDY.replace("def reward(view, p):", "def outer():\n  def reward(view, p):\n    pass\ndef other(view, p):"),
        "no function 'reward'",
    ),
    "other parameters": (GREEDY.replace("def reward(view, p)", "def reward(view)"), "must take the two parameters"),
    "more parameters": (GREEDY.replace("def reward(view, p)", "def reward(view, p, *more)"), "two parameters"),
    "asynchronous": (GREEDY.replace("def reward", "async def reward"), "no function 'reward'"),
    "Cyrillic letters in a name": (with_prior("g\u0430p = 1"), "characters beyond ASCII"),
    "full-width exec": (with_prior("\uff45\uff58\uff45\uff43('1')"), "characters beyond ASCII"),
    "mathematical letters": (with_prior("\U0001d41e\U0001d42f\U0001d41a\U0001d425('1')"), "characters beyond ASCII"),
    "a name from right to left": (with_prior("x = 1  # \u202e } ;"), "invisible character U+202E"),
    "zero-width joiner": (with_prior("g\u200dap = 1"), "invisible character U+200D"),
    "form feed": (with_prior("x = 1\f"), "invisible character U+000C"),
}
"""G1."""

STATIC = {
    # imports
    "import os": (with_top("import os"), "`import os` is not allowed"),
    "import inside": (with_prior("import os", "os.mkdir('MARK')"), "`import os` is not allowed"),
    "from import": (with_top("from os import mkdir"), "is not allowed"),
    "star import": (with_top("from jax.numpy import *"), "is not allowed"),
    "other name for jax": (with_top("import jax as jnp"), "is not allowed"),
    "hidden modules of jax": (with_top("from jax._src import core"), "is not allowed"),
    "import of ctypes": (with_top("import ctypes"), "`import ctypes` is not allowed"),
    "import of pickle": (with_top("import pickle"), "`import pickle` is not allowed"),
    "relative import": (with_top("from . import child"), "is not allowed"),
    "__import__": (with_prior("x = __import__('os')"), "begins with an underscore"),
    # calls that reach out
    "open": (with_prior(WRITE), "name 'open' is not known"),
    "eval": (with_prior("x = eval('1')"), "name 'eval' is not known"),
    "exec": (with_prior(f'exec("{WRITE}")'), "name 'exec' is not known"),
    "compile": (with_prior("x = compile('1', '', 'eval')"), "name 'compile' is not known"),
    "getattr": (with_prior("x = getattr(jnp, 'save')"), "name 'getattr' is not known"),
    "globals": (with_prior("x = globals()"), "name 'globals' is not known"),
    "vars": (with_prior("x = vars(jnp)"), "name 'vars' is not known"),
    "type": (with_prior("x = type(view)"), "name 'type' is not known"),
    "input": (with_prior("x = input()"), "name 'input' is not known"),
    "print": (with_prior("print(view)"), "name 'print' is not known"),
    "breakpoint": (with_prior("breakpoint()"), "name 'breakpoint' is not known"),
    "setattr": (with_prior("setattr(jnp, 'sum', None)"), "name 'setattr' is not known"),
    "super": (with_prior("super()"), "name 'super' is not known"),
    "memoryview": (with_prior("x = memoryview(b'')"), "name 'memoryview' is not known"),
    # attributes
    "subclasses": (with_prior("x = ().__class__.__base__.__subclasses__()"), "'__class__' is not on the list"),
    "globals of a function": (with_prior("x = gaps.__globals__"), "attribute '__globals__'"),
    "a method of pickling": (with_prior("x = view.__reduce__()"), "attribute '__reduce__'"),
    "a pickled array": (with_prior("x = jnp.frombuffer(view['landmarks'])"), "attribute 'frombuffer' of jax.numpy"),
    "code of a function": (with_prior("gaps.__code__ = reward.__code__"), "attribute '__code__'"),
    "builtins of a function": (with_prior("x = gaps.__builtins__['open']"), "attribute '__builtins__'"),
    "dict of a module": (with_prior("x = jnp.__dict__['save']"), "attribute '__dict__' of jax.numpy"),
    "saving arrays": (with_prior("jnp.save('MARK', view['landmarks'])"), "attribute 'save' of jax.numpy"),
    "loading arrays": (with_prior("x = jnp.load('MARK', allow_pickle=True)"), "attribute 'load' of jax.numpy"),
    "arrays of a file": (with_prior("x = jnp.fromfile('MARK')"), "attribute 'fromfile' of jax.numpy"),
    "format string": (with_prior("x = '{0.__class__}'.format(view)"), "attribute 'format'"),
    "format mapping": (with_prior("x = '{a}'.format_map(view)"), "attribute 'format_map'"),
    "f-string": (with_prior("x = f'{view}'"), "`JoinedStr` is not part"),
    "writing bytes": (with_prior("view['landmarks'].tofile('MARK')"), "attribute 'tofile'"),
    "a buffer of an array": (with_prior("x = view['landmarks'].data"), "attribute 'data'"),
    "frame of a generator": (with_prior("x = (k for k in range(3)).gi_frame"), "attribute 'gi_frame'"),
    "traceback": (with_prior("x = view.with_traceback"), "attribute 'with_traceback'"),
    "a method of a method": (with_prior("x = gap.sum.__self__"), "attribute '__self__'"),
    "assigning to a module": (with_prior("jnp.sum = gaps"), "cannot be assigned"),
    "a module under another name": (with_prior("m = jnp", "m.save('MARK', 1)"), "attribute 'save'"),
    "jax.config": (with_prior("x = jax.config"), "attribute 'config' of jax"),
    "jax.experimental": (with_prior("x = jax.experimental"), "attribute 'experimental' of jax"),
    "native calls": (with_prior("x = jax.ffi.ffi_call"), "attribute 'ffi' of jax"),
    "callback": (with_prior("x = jax.pure_callback(gaps, view, view)"), "attribute 'pure_callback' of jax"),
    "debug print": (with_prior("jax.debug.print('x')"), "attribute 'debug' of jax"),
    "debug callback": (with_prior("jax.debug.callback(gaps, view)"), "attribute 'debug' of jax"),
    "random numbers": (with_prior("x = jax.random.key(0)"), "attribute 'random' of jax"),
    "linear algebra by a library": (with_prior("x = jnp.linalg.inv(view['landmarks'])"), "'inv' of jax.numpy.linalg"),
    "unbounded loop of JAX": (with_prior("x = lax.while_loop(gaps, gaps, view)"), "'while_loop' of jax.lax"),
    "infinity": (with_prior("x = jnp.inf"), "attribute 'inf' of jax.numpy"),
    # definition time
    "decorator": (GREEDY.replace("def gaps", "@print\ndef gaps"), "has a decorator"),
    "decorator with a call": (GREEDY.replace("def gaps", f'@exec("{WRITE}")\ndef gaps'), "has a decorator"),
    "default value": (GREEDY.replace("def gaps(view)", f"def gaps(view, x={WRITE})"), "default values"),
    "comprehension in a default": (
        GREEDY.replace("def gaps(view)", f"def gaps(view, x=[{WRITE} for k in range(1)])"),
        "default values",
    ),
    "annotation in a string": (
        GREEDY.replace("def gaps(view)", f'def gaps(view: "{WRITE}")'),
        "annotations are evaluated",
    ),
    "keyword default": (GREEDY.replace("def gaps(view)", f"def gaps(view, *, x={WRITE})"), "default values"),
    "default of a lambda": (with_prior("f = lambda x=open: x"), "default values"),
    "annotation": (GREEDY.replace("def gaps(view)", f"def gaps(view: {WRITE})"), "annotations are evaluated"),
    "annotation of the result": (GREEDY.replace("def gaps(view)", f"def gaps(view) -> {WRITE}"), "annotations"),
    "annotated variable": (with_top(f"x: {WRITE} = 1"), "may stand at the top level"),
    "class": (with_top("class Policy:", f"    {WRITE}"), "may stand at the top level"),
    "class inside": (with_prior("class Policy:", f"    {WRITE}"), "`ClassDef` is not part"),
    "metaclass": (with_top("class Policy(metaclass=print):", "    pass"), "may stand at the top level"),
    "comprehension on top": (with_top(f"X = [{WRITE} for k in range(1)]"), "may stand at the top level"),
    "call on top": (with_top(WRITE), "may stand at the top level"),
    "number by a call": (with_top("X = float('1')"), "may stand at the top level"),
    "if on top": (with_top("if True:", f"    {WRITE}"), "may stand at the top level"),
    "loop on top": (with_top("for k in range(1):", f"    {WRITE}"), "may stand at the top level"),
    "try on top": (with_top("try:", f"    {WRITE}", "finally:", "    pass"), "may stand at the top level"),
    "walrus": (with_prior("x = (y := 1)"), "`NamedExpr` is not part"),
    # other syntax
    "while": (with_prior("while True:", "    pass"), "`While` is not part"),
    "try": (with_prior("try:", "    x = 1", "except Exception:", "    x = 2"), "`Try` is not part"),
    "with": (with_prior("with view:", "    x = 1"), "`With` is not part"),
    "global": (with_prior("global SPEED", "SPEED = 1.0"), "`Global` is not part"),
    "nonlocal": (with_prior("def f():", "    nonlocal view", "    view = 1"), "`Nonlocal` is not part"),
    "raise": (with_prior("raise view"), "`Raise` is not part"),
    "assert": (with_prior("assert view"), "`Assert` is not part"),
    "delete": (with_prior("del view"), "`Delete` is not part"),
    "yield": (with_prior("x = yield view"), "`Yield` is not part"),
    "match": (with_prior("match view:", "    case {'x': y}:", "        pass"), "is not part"),
    "set": (with_prior("x = {1, 2}"), "`Set` is not part"),
    "dict comprehension": (with_prior("x = {k: k for k in range(3)}"), "`DictComp` is not part"),
    "bytes": (with_prior("x = b'payload'"), "constants of type bytes"),
    "complex number": (with_prior("x = 1j"), "constants of type complex"),
    "large whole number": (with_prior("x = 9999999999"), "whole numbers beyond"),
    "infinite number": (with_prior("x = 1e999"), "the number is infinite"),
    "loop over a value": (with_prior("for row in view:", "    pass"), "loops run over"),
    "variable arguments": (GREEDY.replace("def gaps(view)", "def gaps(*view)"), "`*args`"),
    "arguments by a dict": (with_prior("x = jnp.sum(**view)"), "`**` in a call"),
    "a builtin of their own": (with_prior("range = 3"), "name 'range' is taken"),
    "a parameter called jnp": (GREEDY.replace("def gaps(view)", "def gaps(jnp)"), "name 'jnp' is taken"),
    "a name with an underscore": (with_prior("_x = 1"), "begins with an underscore"),
    "attributes without end": (with_prior("x = view" + ".T" * 2_500), "nested too deeply"),
    "an expression alone": (with_prior("view['landmarks']"), "stands alone"),
    "a name that nobody gave": (with_prior("x = secret"), "name 'secret' is not known"),
}
"""G2."""

TRACED = {
    "a branch on a value": (with_prior("if view['landmarks'][0, 0] > 0:", "    return gaps(view)[0]"), "TracerBool"),
    "a loop over a value": (with_prior("for k in range(view['velocity'][0]):", "    pass"), "cannot be traced"),
    "an unknown field": (with_prior("x = view['neighbors']"), "cannot be traced: KeyError"),
    "recursion": (with_prior("return prior_policy(view, p)"), "RecursionError"),
    "wrong shape": (returning("gap"), "returns float32[3, 2], and has to return float32[2]"),
    "wrong type": (returning("jnp.argmin(gap, axis=0)"), "returns int32[2]"),
    "nothing returned": (returning("None"), "returns"),
    "a reward for many": (returning("gap[:, 0]", reward=True), "returns float32[3], and has to return float32[]"),
    "a reward of a comparison": (returning("gap[0, 0] > 0", reward=True), "returns bool[]"),
    "sub-goals in a list": (returning("(0.5, [1.0])", reward=True), "a dict of named sub-goals"),
    "a sub-goal that is a vector": (returning("(gap[0, 0], {'a': gap[0]})", reward=True), "the sub-goal 'a' returns"),
    "shapes that do not fit": (returning("gap @ gap"), "cannot be traced: TypeError"),
    "a string": (returning("'north'"), "returns"),
}
"""G3."""

TRANSLATED = {
    "an infinite constant": (returning("gap[0] * float('inf')"), "not finite"),
    "a constant that is no number": (returning("jnp.nan_to_num(gap[0])"), "attribute 'nan_to_num'"),
    "unsigned numbers": (returning("gap[0] * jnp.bitwise_count(jnp.uint8(3))"), "attribute 'bitwise_count'"),
    "too long a scan": (returning("lax.fori_loop(0, 1000, lambda k, x: x * 0.5, gap[0])"), "runs 1000 times"),
    "a loop without a bound": (returning("lax.fori_loop(0, gap.astype(jnp.int32)[0, 0], lambda k, x: x, gap[0])"),
                               "a loop without a known bound"),
    "too many equations": (with_prior("for k in range(3000):", "    view = {'landmarks': view['landmarks'] * 0.5}"),
                           "more than 2000"),
    "too large a value": (returning("jnp.ones((2000, 2000)).sum() * gap[0]"), "more than 1000000 elements"),
    "too much work": (returning("(jnp.ones((900, 900)) @ jnp.ones((900, 900))).sum() * gap[0]"),
                      "computes more than"),
}  # fmt: skip
"""G4 (some of them are seen in G2 already)."""

NUMERIC = {
    "not a number at zero distance": (returning("gap[0] / jnp.linalg.norm(gap[0]) * 0.2"), "not finite"),
    "logarithm of zero": (
        returning("jnp.clip(-gap[0, 0] * jnp.log(jnp.abs(gap[0, 0])), 0.0, 1.0)", reward=True),
        "not finite",
    ),
    "beyond the bounds": (returning("gap[0]"), "must stay in [-0.25, 0.25]"),
    "always at the bounds": (returning("jnp.where(gap[0] > 0, 0.25, -0.25)"), "stands at its bounds"),
    "a constant prior": (returning("jnp.array([0.1, 0.1])"), "is the same on all"),
    "a constant reward": (returning("0.5", reward=True), "is the same on all"),
    "a reward without bounds": (returning("jnp.sum(gap * gap)", reward=True), "must stay in [0, 1]"),
    "a reward below zero": (returning("-jnp.exp(-jnp.sum(gap * gap))", reward=True), "must stay in [0, 1]"),
    "overflow": (returning("jnp.tanh(jnp.exp(jnp.abs(gap[0])) - jnp.exp(jnp.abs(gap[0]))) + 0.1"), "not finite"),
}
"""G5."""

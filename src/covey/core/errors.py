"""The one exception that is meant for people.

Anything a user can get wrong (a flag, a file, an environment, a number) raises `BadInput` with one sentence that says
what is wrong and how to mend it. The command line prints that sentence and exits with code 2; Python users see it
as an ordinary `ValueError`. Everything else that is raised is a bug in covey.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BadInput(ValueError):
    """Input that covey cannot use: the message is one sentence, what is wrong and how to mend it."""

    details = ""
    """What is shown above the sentence, on lines of its own."""


def unknown(what: str, name: str, known: Iterable[str]) -> BadInput:
    """`BadInput` for a name that is not in `known`, with the nearest name where one is near."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names) or 'none'}."
    return BadInput(f"{what} {name!r} is unknown; {hint}")


def require_extra(module: str, extra: str, why: str) -> BadInput:
    """`BadInput` for an optional package that is not installed, with the line that installs it."""
    return BadInput(f"{why} needs the package {module!r}: run `pip install 'covey[{extra}]'`.")


class Diverged(BadInput):
    """Training produced parameters that are not finite: a setting (mostly a learning rate) has to change."""

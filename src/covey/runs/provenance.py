"""Authored functions that a run depends on, kept with it: copies in the run folder, and their SHA-256 in config.yaml.

    RUN/authored/<digest>/program.json     what is read from then on; beside it source.py and report.json, to be read by
                                           people
    RUN/config.yaml                        authored: {authored/by-hand: <SHA-256 of program.json>}

The other design keeps the digest alone, and reads the folder that was named. Then a run could no longer be opened once
that folder was moved, written anew or left behind on another machine. With a copy, a run folder is complete: it is
resumed, evaluated and repeated without the folder and without the model. The named folder is read only where there is
no copy, as for a configuration that was written by hand; whichever is read has to have the digest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax

from covey.authored import folder as authored
from covey.authored.functions import Authored, Kept
from covey.authored.reward import Rewarded
from covey.authored.rule import AuthoredRule
from covey.core.errors import BadInput
from covey.core.registry import conform
from covey.runs.files import content, reading, write_atomically, writing

COPIES = "authored"
SHORT = 16
"""Hexadecimal digits of a digest that name the folder of a copy."""


class Places(NamedTuple):
    """Where the files are that the names in a configuration stand for.

    folder: where relative names begin (None: the current folder). run: the run folder, which may have copies (None:
    there is none). digests: SHA-256 of the programs that the run was trained with, by name.
    """

    folder: Path | None = None
    run: Path | None = None
    digests: dict[str, str] = {}  # noqa: RUF012

    def find(self, name: str) -> Path:
        """The folder or file that is called `name`."""
        if name in self.digests and self.run is not None:
            copy = copy_of(self.run, self.digests[name])
            if (copy / authored.PROGRAM).is_file():
                return copy
        if self.folder is not None and (self.folder / name.partition("@")[0]).exists():
            return self.folder / name
        return Path(name)

    def load(self, name: str, environment: Any) -> Authored:
        """The authored functions that are called `name`; BadInput where they are not those of the training."""
        return authored.load(self.find(name), environment, name=name, sha256=self.digests.get(name))

    def without(self, names: Iterable[str]) -> Places:
        """The same, but that these names are looked up anew, whatever was trained with."""
        left = {name: digest for name, digest in self.digests.items() if name not in set(names)}
        return self._replace(digests=left)


HERE = Places()
"""The current folder."""


def places(file: Path, folder: Path, digests: Any) -> Places:
    """Of a configuration in `file`, whose entry `authored` is `digests`; BadInput where these are none."""
    kept = conform(digests, dict, f"in {file} the entry 'authored'")
    for name, digest in kept.items():
        if not (isinstance(name, str) and isinstance(digest, str) and re.fullmatch(r"[0-9a-f]{64}", digest)):
            raise BadInput(f"in {file} the entry 'authored' must give names their SHA-256, got {name!r}: {digest!r}.")
    return Places(folder, file.parent, kept)


def kept(environment: Any, algorithm: Any) -> dict[str, Kept]:
    """By name, the authored folders from which parts of a run were read."""
    rules = jax.tree.leaves(algorithm, is_leaf=lambda part: isinstance(part, AuthoredRule))
    functions = [rule.authored for rule in rules if isinstance(rule, AuthoredRule)]
    functions += [environment.authored] if isinstance(environment, Rewarded) else []
    return {function.kept.name: function.kept for function in functions if function.kept is not None}


def copy_of(run: Path, digest: str) -> Path:
    """Where a run folder has its copy of the program with this SHA-256."""
    return run / COPIES / digest[:SHORT]


def keep(run: Path, found: dict[str, Kept]) -> None:
    """Copy these authored folders into a run folder, where they are not there yet."""
    for one in found.values():
        target = copy_of(run, one.sha256)
        if one.file.parent.resolve() == target.resolve():
            continue
        with writing(f"the folder {target}"):
            target.mkdir(parents=True, exist_ok=True)
        for name in (*authored.TEXTS.values(), authored.REPORT):
            with reading(f"the file {one.file.parent / name}"):
                text = content(one.file.parent / name) if one.file.name == authored.PROGRAM else None
            if text is not None:
                write_atomically(target / name, text)
        write_atomically(target / authored.PROGRAM, one.document)

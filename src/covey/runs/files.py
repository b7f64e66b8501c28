"""Run folders: one run per folder at a time, and nothing that leads out of it. Single files: `covey.core.files`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from covey.core.errors import BadInput
from covey.core.files import content, reading, sync, write_atomically, writing

__all__ = ["content", "demand_plain", "locked", "reading", "sync", "sync_tree", "write_atomically", "writing"]


def demand_plain(folder: Path) -> None:
    """BadInput where something in a folder is neither file nor folder, or is a link that leads out of it."""

    def refuse(error: OSError) -> None:
        raise error

    root = folder.resolve()
    if not folder.exists():
        return
    for place, folders, names in os.walk(folder, onerror=refuse):
        for path in (Path(place) / name for name in (*folders, *names)):
            target = path.resolve() if path.is_symlink() else None
            if target is not None and not target.is_relative_to(root):
                raise BadInput(
                    f"{path} is a link to {target}, outside the run folder, and the run was not trained by this user "
                    "on this machine: put what it points to in its place, or add `--trust` (in Python: `trust=True`)."
                )
            if path.exists() and not (path.is_file() or path.is_dir()):
                raise BadInput(f"{path} is neither a file nor a folder: remove it from the run folder.")


def sync_tree(folder: Path) -> None:
    """Flush everything below `folder`, and the folder itself."""
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            sync(Path(place) / name)
        sync(Path(place))


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process; BadInput where another one holds it.

    The lock belongs to the open file, so the system gives it back when its process ends, however that happens. A lock
    file that was left behind therefore locks nothing.
    """
    import fcntl

    with writing(f"the run folder {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "run.lock").open("a+")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise BadInput(
                f"the run folder {folder} is in use by process {file.read().strip() or 'another one'}: wait for it, "
                "stop it, or choose another folder."
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield

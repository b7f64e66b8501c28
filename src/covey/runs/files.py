"""Writing that never leaves half a file: write aside, flush to the disk, rename. And one run per folder at a time."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from covey.core.errors import BadInput


@contextlib.contextmanager
def writing(what: str) -> Iterator[None]:
    """Turn what the file system refuses (full, read-only, not a folder) into a `BadInput` about `what`."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # not about the file system
            raise
        mend = "free some space" if error.errno == errno.ENOSPC else "choose a folder that can be written"
        reason = os.strerror(error.errno).lower()
        raise BadInput(f"{what} cannot be written: {reason}; {mend} and run again.") from error


@contextlib.contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn what the file system refuses (no permission, no folder) into a `BadInput` about `what`."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # not about the file system
            raise
        raise BadInput(f"{what} cannot be read: {os.strerror(error.errno).lower()}.") from error


def content(path: Path) -> bytes | None:
    """The bytes of a file; None where there is none. Pipes and devices, which may never end, are not opened."""
    if not path.exists():
        return None
    if not path.is_file():
        raise OSError(errno.EINVAL, f"{path} is no regular file", str(path))
    return path.read_bytes()


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


def write_atomically(path: Path, content: bytes) -> None:
    """`content` under `path`, or what was there before; never anything in between."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with writing(f"the file {path}"):
        try:
            with aside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
        sync(path.parent)


def sync(path: Path) -> None:
    """Flush a file or a folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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

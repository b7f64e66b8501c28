"""Writing that never leaves half a file: write aside, flush to the disk, rename. And what files refuse, in words."""

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

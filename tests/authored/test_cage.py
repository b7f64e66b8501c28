"""The cage holds, whatever runs inside: payloads run here as the child itself, past every static gate.

They are harmless: each tries to leave a file in a folder of the test, or to take a little more than a small limit.
"""

from __future__ import annotations

import ast
import json
import os
import time
from pathlib import Path

import pytest

import covey
from covey.authored import cage
from covey.authored.cage import Job, ask, command, package_folders, run_child
from covey.authored.frames import frame
from covey.authored.limits import Limits
from covey.authored.refusal import Refused
from covey.authored.seccomp import seccomp_filter

PACKAGE = Path(covey.__file__).parent
LIMITS = Limits(answer_bytes=10_000)
JOB = Job("covey.authored.child", {"source": "x = 1", "contract": {}}, 10.0, "G3")


def payload(monkeypatch, isolated, code: str, seconds: float = 10.0, limits: Limits = LIMITS) -> str:
    """What `code` prints when it runs in place of the child."""
    monkeypatch.setattr(cage, "BOOT", code)
    job = JOB._replace(seconds=seconds)
    return run_child(command(job.module, isolated), b"", job, limits, isolated).decode()


TRY = """
import os, sys, socket, ctypes, threading, time
def tried(attempt):
    try:
        attempt()
    except (OSError, PermissionError) as error:
        print("refused")
    else:
        print("DONE")
"""

ATTEMPTS = {
    "write into the test's folder": "open({mark!r}, 'w').write('x')",
    "write into the root": "open('/mark', 'w')",
    "write into its folder": "open('mark', 'w')",
    "write into the temporary folder": "open('/tmp/mark', 'w')",
    "write into the packages": "open({package!r} + '/mark.py', 'w')",
    "make a folder": "os.mkdir('/mark')",
    "remove a module": "os.unlink({package!r} + '/__init__.py')",
    "read a file outside": "open({canary!r})",
    "list the folder of the test": "os.listdir(os.path.dirname({canary!r}))",
    "read the accounts": "open('/etc/passwd')",
    "list the home": "os.listdir({home!r} + '/.ssh')",
    "read of processes": "open('/proc/1/environ')",
    "read its own memory": "open('/proc/self/mem')",
    "open a socket": "socket.socket()",
    "open a socket for datagrams": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "open a local socket": "socket.socket(socket.AF_UNIX)",
    "open a socket of the kernel": "socket.socket(16, socket.SOCK_RAW)",
    "open a pair of sockets": "socket.socketpair()",
    "start a process": "os.fork() or os._exit(0)",
    "start a program": "os.posix_spawn(sys.executable or '/usr/bin/true', ['true'], {{}})",
    "become root": "os.setuid(0)",
    "change the root": "os.chroot('/usr')",
    "use a file left open": "[os.fstat(k) for k in range(3, 64)]",
    "signal others": "os.kill(1, 0) if os.getpid() != 1 and os.getppid() not in (0, 1) else os.kill(99999, 0)",
}


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS)
def test_what_a_child_cannot_do(attempt, isolated, monkeypatch, tmp_path):
    canary, mark = tmp_path / "canary", tmp_path / "mark"
    canary.write_text("secret")
    names = {"mark": str(mark), "canary": str(canary), "package": str(PACKAGE), "home": str(Path.home())}
    before = sorted(PACKAGE.iterdir())
    said = payload(monkeypatch, isolated, TRY + f"tried(lambda: {attempt.format(**names)})")
    assert said == "refused\n"
    assert list(tmp_path.iterdir()) == [canary]
    assert sorted(PACKAGE.iterdir()) == before


CALLS = {"unshare": 272, "ptrace": 101, "mount": 165, "bpf": 321, "keyctl": 250, "io_uring_setup": 425, "vfork": 58}


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers of these system calls are those of x86_64")
@pytest.mark.parametrize("number", CALLS.values(), ids=CALLS)
def test_system_calls_that_no_child_needs(number, isolated, monkeypatch):
    code = f"import ctypes; c = ctypes.CDLL(None, use_errno=True); print(c.syscall({number}, 0), ctypes.get_errno())"
    assert payload(monkeypatch, isolated, code) == "-1 1\n"  # EPERM


def test_the_environment_is_ours_alone(isolated, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "do not tell")
    said = payload(monkeypatch, isolated, "import os, json; print(json.dumps(dict(os.environ)))")
    assert set(json.loads(said)) <= {*cage.ENVIRONMENT, "PWD"}
    assert json.loads(said)["HOME"] == "/empty"


def test_descriptors_do_not_pass(isolated, monkeypatch, tmp_path):
    with open(tmp_path / "open", "w") as file:
        os.set_inheritable(file.fileno(), True)
        code = f"import os\ntry:\n    os.write({file.fileno()}, b'x')\nexcept OSError:\n    print('refused')"
        assert payload(monkeypatch, isolated, code) == "refused\n"
    assert (tmp_path / "open").read_text() == ""


# ---------------------------------------------------------------------------------------------------------------------
# Limits and messages


ENDLESS = {
    "silent": "import time; time.sleep(60)",
    "busy": "while True: pass",
    "its answer closed": "import os, time; os.close(1); time.sleep(60)",
    "deaf": "import signal, time; [signal.signal(k, signal.SIG_IGN) for k in (1, 2, 15)]; time.sleep(60)",
    "in a thread": "import threading, time; threading.Thread(target=time.sleep, args=(60,)).start()",
}


@pytest.mark.parametrize("code", ENDLESS.values(), ids=ENDLESS)
def test_work_without_an_end_is_ended(code, isolated, monkeypatch):
    began = time.monotonic()
    with pytest.raises(Refused, match=r"within 0\.5 s"):
        payload(monkeypatch, isolated, code, seconds=0.5)
    assert time.monotonic() - began < 3


def test_more_output_than_allowed(isolated, monkeypatch):
    with pytest.raises(Refused, match="wrote more than 10000 bytes"):
        payload(monkeypatch, isolated, "print('x' * 20_000)")


def test_output_on_the_other_channel_goes_nowhere(isolated, monkeypatch, capfd):
    assert payload(monkeypatch, isolated, "import sys; sys.stderr.write('x' * 20_000); print('done')") == "done\n"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("code", ["raise SystemExit(3)", "import os; os.abort()", "import ctypes; ctypes.string_at(8)"])
def test_a_child_that_breaks(code, isolated, monkeypatch):
    with pytest.raises(Refused, match="ended without an answer"):
        payload(monkeypatch, isolated, code)


LIMITED = "import sys; sys.path += sys.argv[2:]; from covey.authored.confinement import set_limits; set_limits({}); "
SMALL = {"memory_bytes": 2**28, "cpu_s": 1, "answer_bytes": 1_000}
MORE = {
    "memory": ("x = bytes(2**28)", "ended without an answer"),
    "processor time": ("while True: pass", "ended without an answer"),
    "descriptors": ("import os; [os.dup(0) for k in range(70)]", "ended without an answer"),
    "raised again": ("import resource as r; r.setrlimit(r.RLIMIT_AS, (2**40, 2**40))", "ended without an answer"),
}


@pytest.mark.parametrize(("code", "words"), MORE.values(), ids=MORE)
def test_more_than_a_limit(code, words, isolated, monkeypatch):
    with pytest.raises(Refused, match=words):
        payload(monkeypatch, isolated, LIMITED.format(SMALL) + "\n" + code, seconds=60.0)


FRAMES = {
    "nothing": ("", "does not begin with its length"),
    "words": ("print('hello')", "does not begin with its length"),
    "cut": ("print('50\\n{}', end='')", "cut off"),
    "twice": ("print('2\\n{}2\\n{}', end='')", "something follows it"),
    "no JSON": ("print('3\\n{a}', end='')", "no valid JSON"),
    "deep": ("print('99\\n' + '[' * 99, end='')", "nested more than 40 deep"),
    "a lie about its length": ("print('999999999\\n{}', end='')", "longer than"),
}


@pytest.mark.parametrize(("code", "words"), FRAMES.values(), ids=FRAMES)
def test_answers_of_a_fake_child(code, words, isolated, monkeypatch):
    monkeypatch.setattr(cage, "BOOT", code or "pass")
    with pytest.raises(Refused, match=words) as caught:
        ask(JOB, LIMITS, isolated)
    assert caught.value.gate == "G3"


# ---------------------------------------------------------------------------------------------------------------------
# The child looks for itself


HOLES = {
    "a file outside": (lambda line: [*line[:1], "--ro-bind", "{canary}", "{canary}", *line[1:]], "see a file outside"),
    "a root that can be written": (
        lambda line: [x for k, x in enumerate(line) if "--remount-ro" not in line[max(k - 1, 0) : k + 1]],
        "write a file",
    ),
    "sockets": (
        lambda line: [x for k, x in enumerate(line) if "--seccomp" not in line[max(k - 1, 0) : k + 1]],
        "open a socket",
    ),
    "an environment": (
        lambda line: [*line[: line.index("--chdir")], "--setenv", "TOKEN", "x", *line[line.index("--chdir") :]],
        "see the environment",
    ),
    "root": (lambda line: ["0" if x == "65534" else x for x in line], "be root"),
}


@pytest.mark.parametrize(("hole", "words"), HOLES.values(), ids=HOLES)
def test_a_cage_with_a_hole_is_noticed_before_any_text(hole, words, isolated, monkeypatch):
    """The child refuses with `cage` and not with G1, though its text is no Python at all."""
    whole = cage.run_child

    def broken(line, request, job, limits, locked):
        canary = json.loads(request.split(b"\n", 1)[1])["probes"]["outside"][0]
        return whole(
            [x.format(canary=canary) if x == "{canary}" else x for x in hole(line)], request, job, limits, locked
        )

    monkeypatch.setattr(cage, "run_child", broken)
    answer = ask(JOB._replace(request={"source": "= no Python =", "contract": {}}), Limits(), isolated)
    assert answer["refused"]["gate"] == "cage"
    assert words in answer["refused"]["sentence"]


def test_a_whole_cage_is_not_complained_of(isolated):
    answer = ask(JOB._replace(request={"source": "= no Python =", "contract": {}}), Limits(), isolated)
    assert answer["refused"]["gate"] == "G1"


def test_a_file_outside_is_seen_by_the_parent_too(isolated, monkeypatch):
    """Whatever a child says: if it left a file beside the canary, its answer does not count."""

    def leaking(line, request, job, limits, locked):
        canary = json.loads(request.split(b"\n", 1)[1])["probes"]["outside"][0]
        Path(canary).with_name("mark").write_text("x")
        return frame({"answer": {}})

    monkeypatch.setattr(cage, "run_child", leaking)
    with pytest.raises(Refused, match="the cage does not hold"):
        ask(JOB, Limits(), isolated)


def test_nothing_is_shown_that_is_not_needed(isolated):
    line = command("covey.authored.child", isolated)
    shown = [line[k + 1] for k, word in enumerate(line) if word in ("--ro-bind", "--bind", "--dev-bind")]
    assert str(Path.home()) not in shown
    assert "/" not in shown
    assert "--bind" not in line
    assert {str(path) for path in package_folders()} <= set(shown)


def test_filters_are_whole_instructions():
    for machine in ("x86_64", "aarch64"):
        sieve = seccomp_filter(machine)
        assert sieve is not None
        assert len(sieve) % 8 == 0
        assert len(sieve) // 8 < 4096
        assert sieve[-8:] == bytes([6, 0, 0, 0, 0, 0, 0xFF, 0x7F])
    assert seccomp_filter("vax") is None


# ---------------------------------------------------------------------------------------------------------------------
# Where text is executed


def calls(path: Path) -> set[str]:
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return {node.func.id for node in nodes if isinstance(node.func, ast.Name)}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_text_is_executed_in_one_module_alone():
    executing = [path for path in PACKAGE.rglob("*.py") if calls(path) & {"exec"}]
    assert [path.relative_to(PACKAGE).as_posix() for path in executing] == ["authored/child.py"]
    for path in (PACKAGE / "authored").glob("*.py"):
        assert not calls(path) & {"eval", "__import__"}
        if path.name != "child.py":
            assert "compile" not in calls(path)


def test_the_child_is_imported_by_nobody():
    for path in PACKAGE.rglob("*.py"):
        assert "covey.authored.child" not in imports(path)
    named = [p for p in PACKAGE.rglob("*.py") if '"covey.authored.child"' in p.read_text()]
    assert [path.name for path in named] == ["gates.py"]  # as what to run in the cage


def test_foreign_bytes_are_not_deserialized():
    barred = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "jax.export", "ast.literal_eval"}
    for path in (PACKAGE / "authored").glob("*.py"):
        assert not imports(path) & barred
        assert "literal_eval" not in path.read_text()

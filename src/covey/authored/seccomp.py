"""A seccomp filter for the cage, as the bytes that `bwrap --seccomp` reads: system calls that a child never needs.

No sockets, no processes (threads are made by the same call, with a flag), no tracing, no mounts, no namespaces, no
keys, no kernel interfaces of other kinds. Such a call fails with EPERM; the process goes on. The filter is classic BPF,
see seccomp(2): eight bytes per instruction, which are a code, two jumps and a constant.
"""

from __future__ import annotations

import errno
import platform
import struct

LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
"""Load a word; jump where it is equal, at least, or shares a bit; return."""

NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16
"""Where `struct seccomp_data` has them; both machines below are little-endian."""

KILL, FAIL, ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
CLONE_THREAD = 0x00010000

SHARED = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "pidfd_open": 434, "pidfd_getfd": 438,
    "mount_setattr": 442,
}  # fmt: skip
"""Newer calls have one number on all machines."""

X86_64 = {
    "socket": 41, "connect": 42, "accept": 43, "sendto": 44, "sendmsg": 46, "bind": 49, "listen": 50, "socketpair": 53,
    "accept4": 288, "fork": 57, "vfork": 58, "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311,
    "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "unshare": 272, "setns": 308, "keyctl": 250,
    "add_key": 248, "request_key": 249, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "kexec_load": 246,
    "kexec_file_load": 320, "init_module": 175, "finit_module": 313, "delete_module": 176, "open_by_handle_at": 304,
    "name_to_handle_at": 303, "quotactl": 179, "acct": 163, "swapon": 167, "reboot": 169,
}  # fmt: skip
AARCH64 = {
    "socket": 198, "socketpair": 199, "bind": 200, "listen": 201, "accept": 202, "connect": 203, "sendto": 206,
    "sendmsg": 211, "accept4": 242, "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "mount": 40,
    "umount2": 39, "pivot_root": 41, "chroot": 51, "unshare": 97, "setns": 268, "keyctl": 219, "add_key": 217,
    "request_key": 218, "bpf": 280, "perf_event_open": 241, "userfaultfd": 282, "kexec_load": 104,
    "kexec_file_load": 294, "init_module": 105, "finit_module": 273, "delete_module": 106, "open_by_handle_at": 265,
    "name_to_handle_at": 264, "quotactl": 60, "acct": 89, "swapon": 224, "reboot": 142,
}  # fmt: skip

CLONE3 = 435
MACHINES = {"x86_64": (0xC000003E, X86_64, 56), "aarch64": (0xC00000B7, AARCH64, 220)}
"""By `platform.machine()`: the kernel's name of the architecture, refused calls, and the number of `clone`."""


def seccomp_filter(machine: str | None = None) -> bytes | None:
    """The filter for this machine; None where its system calls are not known here."""
    known = MACHINES.get(machine or platform.machine())
    if known is None:
        return None
    architecture, refused, clone = known
    fail, missing = FAIL | errno.EPERM, FAIL | errno.ENOSYS
    lines = [(LOAD, 0, 0, ARCHITECTURE), (EQUAL, 1, 0, architecture), (RETURN, 0, 0, KILL), (LOAD, 0, 0, NUMBER)]
    if machine == "x86_64" or architecture == MACHINES["x86_64"][0]:
        lines += [(AT_LEAST, 0, 1, 0x40000000), (RETURN, 0, 0, KILL)]  # the calls of x32, by other numbers
    for number in sorted({*SHARED.values(), *refused.values()}):
        lines += [(EQUAL, 0, 1, number), (RETURN, 0, 0, fail)]
    lines += [
        (EQUAL, 0, 1, CLONE3),
        (RETURN, 0, 0, missing),
    ]  # its flags cannot be seen; C libraries fall back to clone
    lines += [(EQUAL, 0, 3, clone), (LOAD, 0, 0, FIRST_ARGUMENT), (ANY_BIT, 1, 0, CLONE_THREAD), (RETURN, 0, 0, fail)]
    lines += [(RETURN, 0, 0, ALLOW)]
    return b"".join(struct.pack("<HBBI", *line) for line in lines)

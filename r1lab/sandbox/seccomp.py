"""The system calls that no submission needs, as a seccomp filter: a wall behind the wall.

Refused are what would reach into other processes (ptrace, their limits), open a world of one's own in which the box's
limits do not hold (user namespaces, mounts), take memory that belongs to no process and so escapes the count (memfd,
System V IPC, pages given to a pipe), sockets that no network namespace holds (to a virtual machine's host) and other
families than the common ones, and parts of the kernel that are known for their holes (bpf, io_uring, userfaultfd,
keyrings). The program sees EPERM, or for clone3 ENOSYS, after which the C library falls back to clone, whose flags a
filter can read.

Where a watcher counts memory, two things that /proc does not show are refused as well: shared memory without a file (of
a mapping that is taken back but for one page, all pages stay, and one is shown), and sockets with larger buffers.

Source: linux/seccomp.h, linux/filter.h and the kernel's syscall tables.
"""

from __future__ import annotations

import platform
import struct

# name: (x86_64, aarch64)
REFUSED = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "mount_setattr": (442, 442),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "vmsplice": (278, 75),
    "io_setup": (206, 0),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "open_by_handle_at": (304, 265),
    "kexec_load": (246, 104),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "syslog": (103, 116),
}
CLONE, CLONE3, SOCKET, MMAP = (56, 220), 435, (41, 198), (9, 222)
FAMILIES = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6
SET_LIMITS = (302, 261)  # prlimit64, whose first argument is 0 where a process means itself
SET_OPTION, SEND_BUFFER = (54, 208), 7  # setsockopt, SO_SNDBUF
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column above, AUDIT_ARCH
NEW_NAMESPACES = 0x7E020000  # CLONE_NEWNS, …CGROUP, …UTS, …IPC, …USER, …PID, …NET
SHARED, ANONYMOUS = 0x01, 0x20  # of mmap's flags; SHARED is set in MAP_SHARED_VALIDATE as well, not in MAP_PRIVATE
LOAD, EQUAL, ATLEAST, ANY, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # BPF: ld word, jeq, jge, jset, ret
NUMBER, ARCH, FIRST_ARGUMENT, THIRD_ARGUMENT, FOURTH_ARGUMENT = 0, 4, 16, 32, 40  # offsets in struct seccomp_data
ALLOW, KILL, EPERM, ENOSYS, EAFNOSUPPORT = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026, 0x00050061
X32 = 0x40000000  # numbers of the x32 ABI, which the table above does not know


def supported() -> bool:
    """Whether there is a filter for this machine's processor."""
    return platform.machine() in MACHINES


def program(watched: bool = False) -> bytes:
    """The filter: instructions of 8 bytes (struct sock_filter), for `prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER)`.

    Args:
        watched: whether a watcher counts memory, not a cgroup.
    """
    column, arch = MACHINES[platform.machine()]
    code = [
        (LOAD, 0, 0, ARCH),
        (EQUAL, 1, 0, arch),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER),
        (ATLEAST, 0, 1, X32),
        (RETURN, 0, 0, EPERM),
        (EQUAL, 0, 1, CLONE3),
        (RETURN, 0, 0, ENOSYS),
    ]
    for numbers in REFUSED.values():
        code += [(EQUAL, 0, 1, numbers[column]), (RETURN, 0, 0, EPERM)]
    by_argument = {
        CLONE[column]: [
            (LOAD, 0, 0, FIRST_ARGUMENT),
            (ANY, 0, 1, NEW_NAMESPACES),
            (RETURN, 0, 0, EPERM),
        ],
        SOCKET[column]: [
            (LOAD, 0, 0, FIRST_ARGUMENT),
            *((EQUAL, len(FAMILIES) - place, 0, family) for place, family in enumerate(FAMILIES)),
            (RETURN, 0, 0, EAFNOSUPPORT),
        ],
        SET_LIMITS[column]: [
            (LOAD, 0, 0, FIRST_ARGUMENT),
            (EQUAL, 1, 0, 0),
            (RETURN, 0, 0, EPERM),
        ],
    }
    if watched:
        by_argument[MMAP[column]] = [
            (LOAD, 0, 0, FOURTH_ARGUMENT),
            (ANY, 0, 2, SHARED),
            (ANY, 0, 1, ANONYMOUS),
            (RETURN, 0, 0, EPERM),
        ]
        by_argument[SET_OPTION[column]] = [
            (LOAD, 0, 0, THIRD_ARGUMENT),
            (EQUAL, 0, 1, SEND_BUFFER),
            (RETURN, 0, 0, EPERM),
        ]
    for number, lines in by_argument.items():
        code += [(EQUAL, 0, len(lines) + 1, number), *lines, (RETURN, 0, 0, ALLOW)]
    code += [(RETURN, 0, 0, ALLOW)]
    return b"".join(struct.pack("HBBI", *line) for line in code)

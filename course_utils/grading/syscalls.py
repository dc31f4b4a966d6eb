"""The system calls that a student's kernel may not make, as the program of a seccomp filter.

The filter holds on every kernel and for every user, root included (`RLIMIT_NPROC` does not bind root, and
before Linux 5.14 counts all of a user's processes). Without new processes, the limits of one process are
the limits of the whole submission.
"""

import platform
import struct

# struct seccomp_data: int nr; u32 arch; u64 instruction_pointer; u64 args[6]. Both machines are little-endian.
_NUMBER, _MACHINE, _FIRST_ARGUMENT = 0, 4, 16
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_KILL, _ALLOW, _REFUSE, _UNKNOWN = 0x80000000, 0x7FFF0000, 0x00050001, 0x00050026  # EPERM is 1, ENOSYS 38
_CLONE_THREAD = 0x00010000
_X32 = 0x40000000  # the second numbering of x86-64: refused as a whole

# AUDIT_ARCH_…, clone, clone3, and what is refused. clone3 is answered "unknown", so that the C library falls
# back on clone, whose flags a filter can read: threads go through, processes don't.
_TABLES = {
    "x86_64": (
        0xC000003E,
        56,
        435,
        {
            "fork": 57,
            "vfork": 58,
            "ptrace": 101,
            "process_vm_readv": 310,
            "process_vm_writev": 311,
            "unshare": 272,
            "setns": 308,
            "mount": 165,
            "memfd_create": 319,  # memory that no limit counts
            "shmget": 29,
            "msgget": 68,
            "add_key": 248,
            "request_key": 249,
            "keyctl": 250,
            "bpf": 321,
            "perf_event_open": 298,
            "userfaultfd": 323,
            "io_uring_setup": 425,
        },
    ),
    "aarch64": (
        0xC00000B7,
        220,
        435,
        {
            "ptrace": 117,
            "process_vm_readv": 270,
            "process_vm_writev": 271,
            "unshare": 97,
            "setns": 268,
            "mount": 40,
            "memfd_create": 279,
            "shmget": 194,
            "msgget": 186,
            "add_key": 217,
            "request_key": 218,
            "keyctl": 219,
            "bpf": 280,
            "perf_event_open": 241,
            "userfaultfd": 282,
            "io_uring_setup": 425,
        },
    ),
}


def filter_program(machine: str = "") -> bytes:
    """The filter for `bwrap --seccomp`: no new process, no debugger, no namespace, no memory outside the limits.

    `machine` is `platform.machine()` of this computer if left empty. Raises ValueError for one without a table.
    """
    machine = machine or platform.machine()
    if machine not in _TABLES:
        raise ValueError(f"machine={machine!r}: the list of system calls is known for {', '.join(_TABLES)}")
    audit_arch, clone, clone3, refused = _TABLES[machine]
    program = [
        (_LOAD, 0, 0, _MACHINE),
        (_EQUAL, 1, 0, audit_arch),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _REFUSE),
        (_EQUAL, 0, 1, clone3),
        (_RETURN, 0, 0, _UNKNOWN),
    ]
    for number in refused.values():
        program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _REFUSE)]
    program += [
        (_EQUAL, 1, 0, clone),
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_ANY_BIT, 0, 1, _CLONE_THREAD),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)

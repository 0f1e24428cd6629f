"""The program that builds the sandbox around a command: started by `yulan.data.sandbox`, standard library alone.

New user, mount, process, network, IPC, host-name and cgroup namespaces; a root in memory that holds the interpreter's
and the system's programs, read-only, and one small writable folder; no /proc, no /etc, no device but null, zero and
urandom. The command runs without capabilities, as `nobody` where we are root, behind a system-call filter, under limits.
It is told what to run as JSON on stdin and tells how that ended as JSON on the descriptor given as its argument.
"""

import ctypes
import json
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable
from typing import Any

BOX = "/box"
NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = (
    0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000,
)  # fmt: skip
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
PDEATHSIG, CAPBSET_DROP, SECUREBITS, NO_NEW_PRIVS, SECCOMP = 1, 24, 28, 38, 22
NOROOT_LOCKED = 0b1111
"""uid 0 gets no capabilities at exec, uid changes fix nothing up, and neither can be undone."""
NOBODY = 65534
CALLS = {
    # How much memory they take is under no limit of a process, or they reach into the kernel, or make room for a way out.
    "x86_64": {
        "audit": 0xC000003E, "pivot_root": 155, "mount_setattr": 442, "capset": 126,
        "denied": (29, 30, 31, 41, 64, 68, 101, 155, 165, 166, 175, 240, 246, 248, 249, 250, 272, 298, 308, 310, 311, 313,
                   319, 320, 321, 323, 425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 442, 447),
    },
    "aarch64": {
        "audit": 0xC00000B7, "pivot_root": 41, "mount_setattr": 442, "capset": 91,
        "denied": (39, 40, 41, 97, 104, 105, 117, 180, 186, 190, 194, 195, 196, 198, 217, 218, 219, 241, 268, 270, 271,
                   273, 279, 280, 282, 294, 425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 442, 447),
    },
}  # fmt: skip
"""By machine: shmget, shmat, shmctl, socket, semget, msgget, ptrace, pivot_root, mount, umount2, init_module, mq_open,
kexec_load, add_key, request_key, keyctl, unshare, perf_event_open, setns, process_vm_readv, process_vm_writev,
finit_module, memfd_create, kexec_file_load, bpf, userfaultfd, io_uring_*, open_tree, move_mount, fsopen, fsconfig,
fsmount, fspick, pidfd_getfd, mount_setattr, memfd_secret. Sockets too: AF_VSOCK knows no network namespace."""

libc = ctypes.CDLL(None, use_errno=True)


def must(returned: int, what: str) -> None:
    if returned < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    words = (each.encode() if each is not None else None for each in (source, target, kind))
    must(libc.mount(*words, ctypes.c_ulong(flags), data.encode() if data else None), f"mount {target}")


def write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def unshare(uid: int, gid: int) -> None:
    """Enter the namespaces. Root maps itself and nobody, which takes a helper outside; others map themselves alone."""
    helper = _mapper(os.getpid()) if uid == 0 else None
    must(libc.unshare(NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET), "unshare")
    if helper is not None:
        if not helper():
            raise OSError("no user but root can be mapped")
    else:
        write("/proc/self/setgroups", "deny")
        write("/proc/self/uid_map", f"0 {uid} 1")
        write("/proc/self/gid_map", f"0 {gid} 1")


def _mapper(target: int) -> Callable[[], bool]:
    ready, go = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(go)
        os.read(ready, 1)
        try:
            for name in ("uid_map", "gid_map"):
                write(f"/proc/{target}/{name}", f"0 0 1\n1 {NOBODY} 1\n")
        except OSError:
            os._exit(1)
        os._exit(0)

    def finish() -> bool:
        os.write(go, b"1")
        os.close(go)
        os.close(ready)
        return os.waitpid(child, 0)[1] == 0

    return finish


def build_root(told: dict[str, Any], calls: dict[str, Any], owner: int) -> None:
    """Leave the machine's file system for one in memory."""
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    write("/proc/sys/user/max_user_namespaces", "0")
    # /proc is the one folder that is certainly there and that nothing needed lies in.
    root = "/proc"
    mount("tmpfs", root, "tmpfs", MS_NOSUID, "size=1m,nr_inodes=2k,mode=755")
    for path in told["readable"]:
        os.makedirs(root + path)
        mount(path, root + path, None, MS_BIND | MS_REC)
        # struct mount_attr: attr_set, attr_clr, propagation, userns_fd; read-only, nosuid, nodev for the whole tree.
        attributes = struct.pack("=QQQQ", MS_RDONLY | MS_NOSUID | MS_NODEV, 0, 0, 0)
        must(libc.syscall(calls["mount_setattr"], -1, (root + path).encode(), 0x8000, attributes, 32), f"mount_setattr {path}")
    for link, target in told["links"].items():
        os.symlink(target, root + link)
    os.mkdir(f"{root}/dev")
    for name in ("null", "zero", "urandom"):
        write(f"{root}/dev/{name}", "")
        mount(f"/dev/{name}", f"{root}/dev/{name}", None, MS_BIND)
    os.mkdir(root + BOX)
    size = f"size={told['disk']},nr_inodes=1k,mode=700,uid={owner},gid={owner}"
    mount("tmpfs", root + BOX, "tmpfs", MS_NOSUID | MS_NODEV, size)
    os.chdir(root)
    must(libc.syscall(calls["pivot_root"], b".", b"."), "pivot_root")
    must(libc.umount2(b".", 2), "umount")
    os.chdir("/")
    mount("none", "/", None, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID)
    for name, text in told["files"].items():
        path = os.path.join(BOX, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8", newline="", errors="surrogatepass") as file:
            file.write(text)
        os.chmod(path, 0o644)


def renounce(calls: dict[str, Any], owner: int) -> None:
    """No capabilities, no way to get any, and no call that a program of this kind has no use for."""
    must(libc.prctl(SECUREBITS, NOROOT_LOCKED, 0, 0, 0), "securebits")
    for capability in range(64):
        if libc.prctl(CAPBSET_DROP, capability, 0, 0, 0) < 0:
            break
    if owner:
        os.setgroups([])
        os.setresgid(owner, owner, owner)
        os.setresuid(owner, owner, owner)
    header, none = struct.pack("=II", 0x20080522, 0), bytes(24)
    must(libc.syscall(calls["capset"], header, none), "capset")
    must(libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    program = _filter(calls)
    buffer = ctypes.create_string_buffer(program, len(program))
    told = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    must(libc.prctl(SECCOMP, 2, told, 0, 0), "seccomp")


def _filter(calls: dict[str, Any]) -> bytes:
    """BPF: another machine's calls kill, the denied ones fail with EPERM, the rest pass."""
    load, equal, above, give = 0x20, 0x15, 0x35, 0x06
    refuse, kill, allow = 0x00050000 | 1, 0x80000000, 0x7FFF0000
    denied = calls["denied"]
    rows = [(load, 0, 0, 4), (equal, 1, 0, calls["audit"]), (give, 0, 0, kill), (load, 0, 0, 0)]
    # x32 calls carry this bit and would pass under other numbers.
    rows += [(above, 0, 1, 0x40000000), (give, 0, 0, kill)]
    rows += [(equal, len(denied) - at, 0, number) for at, number in enumerate(denied)]
    rows += [(give, 0, 0, allow), (give, 0, 0, refuse)]
    return b"".join(struct.pack("=HBBI", *row) for row in rows)


def limit(told: dict[str, Any]) -> None:
    bounds = {
        resource.RLIMIT_CPU: (told["cpu"], told["cpu"] + 1),
        resource.RLIMIT_AS: told["memory"],
        resource.RLIMIT_DATA: told["memory"],
        resource.RLIMIT_NPROC: told["processes"],
        resource.RLIMIT_FSIZE: told["disk"],
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    for kind, bound in bounds.items():
        resource.setrlimit(kind, bound if isinstance(bound, tuple) else (bound, bound))


def init(told: dict[str, Any], calls: dict[str, Any], owner: int) -> dict[str, Any]:
    """The first process of the sandbox: builds it, starts the command, waits; whatever is left dies with it."""
    libc.prctl(PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    build_root(told, calls, owner)
    broken, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.chdir(BOX)
            limit(told)
            renounce(calls, owner)
            os.execve(told["command"][0], told["command"], told["environment"])
        except OSError as error:
            os.write(tell, str(error).encode())
        os._exit(127)
    os.close(tell)
    if why := os.read(broken, 1000):
        return {"broken": why.decode()}
    while True:
        # Orphans of the command are init's to bury.
        ended, status = os.wait()
        if ended == child:
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            return {"status": os.waitstatus_to_exitcode(status), "cpu": used.ru_utime + used.ru_stime}


def main() -> None:
    # With Python's own handler in place the command could interrupt the first process of the sandbox.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    libc.prctl(PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    report = int(sys.argv[1])
    os.set_inheritable(report, False)
    told = json.load(sys.stdin)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    try:
        calls, uid = CALLS[os.uname().machine], os.getuid()
        owner = 1 if uid == 0 else 0
        unshare(uid, os.getgid())
        child = os.fork()
        if child == 0:
            try:
                ended = init(told, calls, owner)
            except OSError as error:
                ended = {"broken": str(error)}
            os.write(report, json.dumps(ended).encode())
            os._exit(0)
        os.waitpid(child, 0)
    except (OSError, KeyError) as error:
        os.write(report, json.dumps({"broken": str(error)}).encode())


if __name__ == "__main__":
    main()

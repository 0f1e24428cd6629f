"""The sandbox against programs that want out: each attack is a real one, run by the real thing."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from yulan.data import sandbox
from yulan.data.sandbox import Limits, Outcome, run, run_python
from yulan.errors import StateError

ROOT = Path(__file__).parents[3]
QUICK = Limits(cpu=1, wall=30.0)
pytestmark = pytest.mark.skipif(sandbox.why_not() is not None, reason=f"no sandbox here: {sandbox.why_not()}")


def says(program: str, limits: Limits = QUICK) -> str:
    found = run_python(program, limits)
    assert found.passed, found
    return found.output


def running(word: str) -> list[int]:
    """Processes of this machine, inside and outside, with a word of their own in their command line."""
    return [each.pid for each in psutil.process_iter(["cmdline"]) if word in (each.info["cmdline"] or [])]


def test_a_program_runs_in_an_empty_folder_and_its_words_come_back():
    assert says("import os, math\nprint(os.listdir('.'), math.comb(5, 2))") == "['main.py'] 10\n"


@pytest.mark.parametrize(
    ("program", "ended"),
    [
        ("raise ValueError", "failed"),
        ("import sys; sys.exit(0)", "early"),
        ("import os; os._exit(0)", "early"),
        ("import os; os.abort()", "signal"),
    ],
)
def test_only_a_program_that_reaches_its_end_passes(program: str, ended: str):
    found = run_python(program, QUICK)
    assert (found.ended, found.passed) == (ended, False)


def test_files_beside_it_can_be_read_and_its_folder_written():
    program = "open('b', 'w', newline='').write(open('d/a', newline='').read() * 2)\nprint(ascii(open('b', newline='').read()))"
    assert run_python(program, QUICK, {"d/a": "né\r\n"}).output == "'n\\xe9\\r\\nn\\xe9\\r\\n'\n"


def test_nothing_of_the_environment_comes_in(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("A_SECRET", "hunter2")
    assert says("import os; print(*sorted(os.environ))") == "HOME LANG LD_LIBRARY_PATH PATH\n"


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/etc/shadow", "/proc/self/environ", "/sys/kernel", "/home", str(ROOT / "README.md")]
)
def test_what_lies_outside_is_not_there(path: str):
    assert says(f"import os; print(os.path.lexists({path!r}))") == "False\n"


def test_devices_are_three():
    assert says("import os; print(sorted(os.listdir('/dev')))") == "['null', 'urandom', 'zero']\n"


@pytest.mark.parametrize("folder", ["/", "/usr", "/usr/lib", "/dev", "/lib64", sys.base_prefix])
def test_nothing_outside_its_folder_can_be_written(folder: str):
    name = "written-by-a-test-of-the-sandbox"
    program = f"import os\ntry:\n    open(os.path.join({folder!r}, {name!r}), 'w')\nexcept OSError as e:\n    print(e.errno)"
    assert says(program) in ("30\n", "13\n", "1\n")
    assert not (Path(folder) / name).exists()


def test_read_only_stays_so():
    remount = "c.mount(b'none', b'/usr', None, 32 | 4096, None), ctypes.get_errno()"
    assert says(f"import ctypes\nc = ctypes.CDLL(None, use_errno=True)\nprint({remount})") == "-1 1\n"


def test_no_new_namespace_and_no_capability():
    program = "import ctypes, os\nc = ctypes.CDLL(None, use_errno=True)\nprint(c.unshare(0x10000000), ctypes.get_errno())\n"
    program += "h = (ctypes.c_uint32 * 2)(0x20080522, 0)\nd = (ctypes.c_uint32 * 6)()\nc.capget(h, d)\nprint(list(d))\n"
    # clone3 with CLONE_NEWUSER, which no filter of numbers sees.
    program += "a = (ctypes.c_uint64 * 11)(0x10000000)\na[4] = 17\nr = c.syscall(435, a, 88)\n"
    program += "os._exit(0) if r == 0 else print(r, ctypes.get_errno() in (1, 28))\n"
    assert says(program) == "-1 1\n[0, 0, 0, 0, 0, 0]\n-1 True\n"


def test_there_is_no_network():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        port = server.getsockname()[1]
        attack = f"import socket\ntry:\n    socket.create_connection(('127.0.0.1', {port}), 1)\n    print('out')\n"
        attack += "except OSError as e:\n    print(e.errno)"
        assert says(attack) == "1\n"
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_fork_bomb_has_few_children_and_leaves_none():
    bomb = (
        "import os, time\nn = 0\ntry:\n    while True:\n        if os.fork() == 0:\n            time.sleep(60)\n        n += 1\n"
    )
    bomb += "except OSError:\n    print(n)"
    before = len(psutil.pids())
    assert 0 < int(says(bomb)) < Limits().processes
    assert len(psutil.pids()) < before + 50
    spread = run_python(
        "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass", Limits(cpu=1, wall=3.0)
    )
    assert spread.ended == "time"


def test_memory_is_bounded():
    assert "MemoryError" in run_python("x = bytearray(4 << 30)", QUICK).output
    grow = "x = []\nwhile True:\n    x.append(bytearray(1 << 24))"
    assert run_python(grow, Limits(cpu=5, wall=10.0)).ended == "failed"


def test_memory_outside_address_space_is_refused():
    program = "import ctypes\nc = ctypes.CDLL(None, use_errno=True)\nprint(c.shmget(0, 1 << 30, 0o1600), c.memfd_create(b'a', 0))"
    assert says(program) == "-1 -1\n"


def test_its_disk_is_bounded():
    program = "import errno\nn = 0\ntry:\n    for i in range(9):\n        with open(str(i), 'wb') as f:\n"
    program += "            n += f.write(bytes(8 << 20))\n"
    program += "except OSError as e:\n    print(n <= 16 << 20, e.errno == errno.ENOSPC)"
    assert says(program) == "True True\n"


@pytest.mark.parametrize(
    "program",
    [
        "while True: pass",
        "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass",
        "import time; time.sleep(60)",
        "10 ** 10 ** 10",
    ],
)
def test_an_endless_program_is_ended(program: str):
    begun = time.monotonic()
    assert run_python(program, Limits(cpu=1, wall=2.5)).ended == "time"
    assert time.monotonic() - begun < 30


def test_a_flood_of_output_is_cut():
    found = run_python("while True: print('x' * 1000)", Limits(cpu=5, wall=10.0, output=10_000))
    assert (found.ended, len(found.output)) == ("output", 10_000)


def test_signals_reach_nobody_outside():
    heard: list[int] = []
    old = {
        number: signal.signal(number, lambda n, _: heard.append(n)) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    }
    try:
        attack = f"import os, signal\nfor pid in (os.getppid(), {os.getpid()}, {os.getppid()}, 1):\n    for n in (15, 2, 10):\n"
        attack += "        try:\n            os.kill(pid, n)\n        except OSError:\n            pass\nprint(os.getpid() < 10)"
        assert says(attack) == "True\n"
        run([*sandbox.interpreter(), "-c", "import os; os.kill(-1, 9)"], {}, QUICK)
        run([*sandbox.interpreter(), "-c", "import os; os.killpg(0, 15)"], {}, QUICK)
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
    assert heard == []


def test_what_it_leaves_running_dies_with_it():
    word = f"left-{os.getpid()}"
    sleeper = f"[sys.executable, '-I', '-S', '-c', 'import time; time.sleep(60)', {word!r}]"
    leave = f"import subprocess, sys\nnone = subprocess.DEVNULL\nsubprocess.Popen({sleeper}, stdout=none, stderr=none)"
    begun = time.monotonic()
    says(leave)
    assert time.monotonic() - begun < 30
    time.sleep(0.3)
    assert running(word) == []


def test_who_kills_the_caller_kills_the_sandbox():
    word = f"orphan-{os.getpid()}"
    command = f"[*interpreter(), '-c', 'import time; time.sleep(60)', {word!r}]"
    caller = f"from yulan.data.sandbox import run, interpreter\nrun({command}, {{}})"
    with subprocess.Popen([sys.executable, "-c", caller], cwd=ROOT) as process:
        deadline = time.monotonic() + 20
        while not running(word) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert running(word)
        process.kill()
    deadline = time.monotonic() + 5
    while running(word) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert running(word) == []


def test_many_at_once_do_not_meet():
    found: dict[int, Outcome] = {}

    def one(number: int) -> None:
        found[number] = run_python(f"open('a', 'x').write('{number}')\nprint(open('a').read())", QUICK)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[number].output for number in range(6)] == [f"{number}\n" for number in range(6)]


def test_a_program_that_is_not_there_is_one_line():
    with pytest.raises(StateError, match="the sandbox cannot be set up: ") as caught:
        run(["/usr/bin/no-such-program"], {})
    assert "No such file" in str(caught.value)


def test_without_a_sandbox_nothing_is_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(sandbox, "why_not", lambda: "unshare: Operation not permitted")
    with pytest.raises(StateError, match="the sandbox cannot be set up: unshare"):
        run_python("open('x', 'w')")

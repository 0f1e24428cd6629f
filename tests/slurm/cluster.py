"""A real Slurm of two nodes on this machine: munged, slurmctld and two slurmd, all files below one folder.

Needs root and Debian's `slurm-wlm` and `munge`. Without containers or cgroups a node is a daemon with a name and a port.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "srun")
CONF = """
ClusterName=rehearsal
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobRequeue=1
KillWait=20
MinJobAge=600
ReturnToService=2
SchedulerParameters=batch_sched_delay=1,sched_interval=5,sched_min_interval=0
SlurmctldPort={port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={first} CPUs=1
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={second} CPUs=1
PartitionName=all Nodes=n[1-2] Default=YES MaxTime=60 State=UP
"""


def missing() -> list[str]:
    """What this machine lacks for a cluster."""
    return [name for name in NEEDED if shutil.which(name) is None] + ["root"] * (os.geteuid() != 0)


def ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for each in held:
        each.bind(("127.0.0.1", 0))
    found = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return found


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Yields: the environment in which Slurm's commands reach it."""
    folder.mkdir(parents=True, exist_ok=True)
    # munged wants a folder that others may enter and nobody may write.
    folder.chmod(0o755)
    (folder / "state").mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    port, first, second = ports(3)
    host = socket.gethostname().partition(".")[0]
    (folder / "slurm.conf").write_text(CONF.format(folder=folder, host=host, port=port, first=first, second=second))
    env = {"SLURM_CONF": str(folder / "slurm.conf")}
    munge = [f"--{name}-file={folder}/munge.{name}" for name in ("pid", "log", "seed", "key")]
    commands = [
        ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *munge],
        ["slurmctld", "-D"],
        ["slurmd", "-D", "-N", "n1"],
        ["slurmd", "-D", "-N", "n2"],
    ]
    running: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            with (folder / f"{command[0]}.out").open("ab") as out:
                running.append(subprocess.Popen(command, env=os.environ | env, stdin=subprocess.DEVNULL, stdout=out, stderr=out))
            time.sleep(1)
        wait_until(lambda: _idle(env) == 2, 60, f"two idle nodes (logs below {folder})")
        yield env
    finally:
        # The daemons of a job's steps outlive the others.
        subprocess.run(["scancel", "--me", "--full", "--signal=KILL"], env=os.environ | env, check=False)
        for process in reversed(running):
            process.terminate()
        for process in running:
            process.wait()


def _idle(env: dict[str, str]) -> int:
    done = subprocess.run(["sinfo", "-h", "-N", "-o", "%T"], env=os.environ | env, capture_output=True, text=True, check=False)
    return done.stdout.split().count("idle")


def wait_until(law, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not law():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.2)

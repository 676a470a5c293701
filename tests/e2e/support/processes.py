"""The processes of a pod's containers, as the machine sees them. Only on the tests' own cluster, whose containers are
processes of this machine."""
import os
import signal

from support.kube import name_of


def of_pod(pod: dict, program: str) -> list[int]:
    """Process ids in that pod whose program ends with that name. A container's HOSTNAME is its pod's name."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/environ", "rb") as environ, open(f"/proc/{entry}/cmdline", "rb") as command:
                ours = f"HOSTNAME={name_of(pod)}".encode() in environ.read().split(b"\0")
                if ours and command.read().split(b"\0")[0].decode(errors="replace").endswith(program):
                    found.append(int(entry))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended, or was never ours
    return found


def kill(pod: dict, program: str) -> None:
    """SIGKILL, as the kernel does it when memory runs out."""
    processes = of_pod(pod, program)
    if not processes:
        raise AssertionError(f"no process of {program} in pod {name_of(pod)}")
    for process in processes:
        os.kill(process, signal.SIGKILL)

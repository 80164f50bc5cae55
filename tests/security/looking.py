"""A live process as the kernel shows it to others: what it was given and what it holds (Linux)."""

import os
import resource
from contextlib import suppress
from pathlib import Path

import psutil

SECRETS = {
    "PATH": "/usr/bin:/bin",
    "HOME": os.environ.get("HOME", "/"),
    "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
    "OPENAI_API_KEY": "sk-secret",
    "HF_TOKEN": "hf_secret",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "DATABASE_URL": "postgres://user:secret@host/db",
    "ROUNDHOUSE_API_KEY": "secret",
    "LD_PRELOAD": "",
    "SSH_AUTH_SOCK": "/run/secret.sock",
    "KUBECONFIG": "/home/somebody/.kube/secret",
}
"""An environment as a service may well have one; each secret has the word in it."""


class Looked:
    """What there is to see of one process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._folder = Path(f"/proc/{pid}")

    def environment(self) -> dict[str, str]:
        rows = (self._folder / "environ").read_bytes().split(b"\0")
        return dict(row.decode().split("=", 1) for row in rows if row)

    def targets(self) -> list[str]:
        """What each of its descriptors leads to; one that is closed while we look leads nowhere."""
        found = []
        for link in sorted((self._folder / "fd").iterdir(), key=lambda one: int(one.name)):
            with suppress(FileNotFoundError):
                found.append(os.readlink(link))
        return found

    def mapped(self, file_name: str) -> set[str]:
        """How the process has mapped a file: what it may do with the pages."""
        lines = (self._folder / "maps").read_text().splitlines()
        return {line.split()[1] for line in lines if line.endswith(f"/{file_name}")}

    def files(self) -> list[str]:
        """Names of the files that it has open."""
        return [
            os.path.basename(target) for target in self.targets() if target.startswith("/") and target != os.devnull
        ]

    def kinds(self) -> list[str]:
        """The same without numbers: ``socket``, ``pipe``, or a path."""
        return [target.partition(":")[0] for target in self.targets()]

    def shared_with_parent(self) -> set[str]:
        """What both it and this process hold, ``/dev/null`` not counted."""
        own = {os.readlink(f"/proc/self/fd/{number}") for number in _numbers()}
        return {target for target in self.targets() if target in own and ":[" in target and "anon_inode" not in target}

    def output_pipe(self) -> set[str]:
        """What it prints to: our end of it is the one thing that may be shared."""
        return {os.readlink(self._folder / "fd" / "1"), os.readlink(self._folder / "fd" / "2")}

    def listening(self) -> list[object]:
        return [one for one in psutil.Process(self.pid).net_connections("all") if one.status == psutil.CONN_LISTEN]

    def network(self) -> list[object]:
        """Sockets with an address, in a network or in the file system."""
        connections = psutil.Process(self.pid).net_connections("all")
        return [one for one in connections if one.laddr or one.raddr]

    def leads_its_session(self) -> bool:
        return os.getsid(self.pid) == self.pid

    def folder(self) -> str:
        return os.readlink(self._folder / "cwd")

    def address_space_max(self) -> int:
        return resource.prlimit(self.pid, resource.RLIMIT_AS)[0]


def _numbers() -> list[str]:
    """Descriptors of this process that are still there."""
    return [name for name in os.listdir("/proc/self/fd") if os.path.islink(f"/proc/self/fd/{name}")]

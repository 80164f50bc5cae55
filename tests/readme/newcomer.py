"""A new user's machine, as far as one process can have one: an empty HOME, a bare PATH, a copy of the checkout.

What belongs to the machine and not to the user is kept: where packages come from, certificates, and pip's cache. The
cache holds the engine that was compiled once; without it every run of these tests would compile it again. To see that
too, set ROUNDHOUSE_README_COMPILE=1: then the cache is empty as well. The engine gets one thread, as in every test.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.checkout import ROOT

KEPT = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "http_proxy", "https_proxy", "no_proxy")
USER_SETTINGS = (
    ".config/pip/pip.conf",
    ".pip/pip.conf",
    "Library/Application Support/pip/pip.conf",
)
"""Where pip keeps a user's settings, below HOME."""


@dataclass(frozen=True)
class Newcomer:
    """Someone who has just cloned the repository.

    Attributes:
        folder: holds `checkout`, `home` and `bin`.
    """

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def checkout(self) -> Path:
        return self.folder / "checkout"

    def run(self, line: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """One line typed into a shell, at the root of the checkout."""
        return subprocess.run(
            ["bash", "-c", line],
            cwd=self.checkout,
            env={**self.environment, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, line: str, **variables: str) -> subprocess.Popen[str]:
        """The same for a command that goes on; both its streams come as one."""
        return subprocess.Popen(
            ["bash", "-c", f"exec {line}"],
            cwd=self.checkout,
            env={**self.environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def arrive(folder: Path) -> Newcomer:
    """Makes the machine in an empty folder."""
    for name in ("checkout", "home", "bin"):
        (folder / name).mkdir()
    _copy_sources(folder / "checkout")
    _provide_python(folder / "bin" / "python3")
    return Newcomer(folder, _environment(folder, os.environ))


def _copy_sources(target: Path) -> None:
    """What a clone of the work tree would hold: tracked files, and new ones that are not ignored."""
    listing = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, capture_output=True, check=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def _provide_python(path: Path) -> None:
    """`python3` on the bare PATH is the interpreter below this environment, wherever it is installed."""
    interpreter = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(str(interpreter))} "$@"\n')
    path.chmod(0o755)


def _environment(folder: Path, machine: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in machine.items() if name in KEPT or name.startswith("PIP_")}
    settings = [Path.home() / name for name in USER_SETTINGS if (Path.home() / name).exists()]
    return {
        **({"PIP_CONFIG_FILE": str(settings[0])} if settings else {}),
        **kept,
        "HOME": str(folder / "home"),
        "PATH": f"{folder / 'bin'}:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "ROUNDHOUSE_THREADS": "1",
        "PIP_CACHE_DIR": str(folder / "cache") if "ROUNDHOUSE_README_COMPILE" in machine else _pip_cache(),
        "PIP_CONSTRAINT": str(ROOT / "constraints.txt"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def _pip_cache() -> str:
    command = [sys.executable, "-m", "pip", "cache", "dir"]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()

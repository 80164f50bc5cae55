"""Which environment variables a runner gets: those on a list, and no others.

A runner executes native code on files that may be hostile, and its crash reports go to logs. The service's own
environment often holds secrets (tokens, API keys, database addresses), so nothing is inherited unless it is named here.
"""

import os
from collections.abc import Mapping

import msgspec


class EnvironmentClass(msgspec.Struct, frozen=True):
    """What is fixed when a runner process is spawned: any process of one class is as good as any other.

    Attributes:
        task: what it is started for.
        memory_bytes: limit of its address space; None for none.
        variables: set in its environment beside those that every runner gets.
    """

    task: str
    memory_bytes: int | None = None
    variables: Mapping[str, str] = {}


ALLOWED: Mapping[str, str] = {
    "HOME": "GPU drivers keep compiled kernels below it",
    "XDG_CACHE_HOME": "the same, where it has been moved",
    "TMPDIR": "where temporary files may be made",
    "LANG": "encoding of native messages",
    "LC_ALL": "the same",
    "LC_CTYPE": "the same",
    "TZ": "times in native messages",
    "PYTHONHOME": "how this interpreter found its library",
    "PYTHONPATH": "how this interpreter found the runner, when it is not installed",
    "LD_LIBRARY_PATH": "GPU libraries outside the system's folders (Linux)",
    "DYLD_LIBRARY_PATH": "the same (macOS)",
    "LLAMA_CPP_LIB_PATH": "another build of the engine's libraries",
    "CUDA_VISIBLE_DEVICES": "which GPUs there are, and in which order (NVIDIA)",
    "CUDA_DEVICE_ORDER": "the same",
    "NVIDIA_VISIBLE_DEVICES": "the same, in containers",
    "HIP_VISIBLE_DEVICES": "the same (AMD)",
    "ROCR_VISIBLE_DEVICES": "the same (AMD)",
    "HSA_OVERRIDE_GFX_VERSION": "lets AMD's library drive cards that it does not list",
    "ONEAPI_DEVICE_SELECTOR": "which GPUs there are (Intel)",
    "ZE_AFFINITY_MASK": "the same (Intel)",
    "GGML_VK_VISIBLE_DEVICES": "the same (Vulkan)",
    "VK_DRIVER_FILES": "which Vulkan drivers there are",
    "VK_ICD_FILENAMES": "the same, its older name",
}
"""Name to the reason why a runner needs it."""

FIXED: Mapping[str, str] = {
    # A failed assertion would start a debugger for a backtrace, which takes seconds and may stop a container.
    "GGML_NO_BACKTRACE": "1",
    # Waiting threads give their core away: two runners that spin run at a fiftieth of their speed (design, rule 16).
    "OMP_WAIT_POLICY": "passive",
    # What is printed reaches the log at once and in the order of native output.
    "PYTHONUNBUFFERED": "1",
}
"""What every runner gets, whatever the service was started with."""


def runner_environment(own: Mapping[str, str]) -> dict[str, str]:
    """A runner's whole environment, out of the service's own."""
    environment = {name: own[name] for name in ALLOWED if name in own}
    if "PYTHONPATH" in environment:
        environment["PYTHONPATH"] = _absolute(environment["PYTHONPATH"])
    return {**environment, **FIXED}


def _absolute(search_path: str) -> str:
    """The same folders for a process that runs in another one; an empty entry means the current folder."""
    return os.pathsep.join(os.path.abspath(folder) for folder in search_path.split(os.pathsep))

"""Ollama's variables: how those are read that have a setting here, and what to do about the others.

Values are read as Ollama reads them. ``docs/how-to/come-from-ollama.md`` has both tables.
"""

from collections.abc import Mapping, Sequence

from service.durations import parse_keep_alive
from statemachines.units import FOREVER_NS

_LEVELS = {"-2": "error", "-1": "warning", "0": "info", "f": "info", "false": "info", "1": "debug", "2": "debug"}

UNREAD: Mapping[str, str] = {
    "OLLAMA_AUTH": "there is no account",
    "OLLAMA_CLOUD_BASE_URL": "there is no cloud",
    "OLLAMA_DEBUG_LOG_REQUESTS": "prompts and answers are never written down",
    "OLLAMA_EDITOR": "`roundhouse run` has no editor",
    "OLLAMA_FLASH_ATTENTION": "it is off, so that a text depends on its prompt alone",
    "OLLAMA_GO_TEMPLATE": "the template in the model file counts",
    "OLLAMA_GPU_OVERHEAD": "a GPU's memory is not planned yet; for the host there is host_overhead",
    "OLLAMA_IGPU_ENABLE": "choose devices with CUDA_VISIBLE_DEVICES and the like",
    "OLLAMA_KV_CACHE_TYPE": "the cache is f16",
    "OLLAMA_LLM_LIBRARY": "the engine's build decides",
    "OLLAMA_MAX_TRANSFER_STREAMS": "nothing is pulled",
    "OLLAMA_MODELS": "its folder has another layout; models names a folder of *.gguf files",
    "OLLAMA_NO_CLOUD": "there is no cloud",
    "OLLAMA_NOHISTORY": "`roundhouse run` keeps no history",
    "OLLAMA_NOPRUNE": "nothing is ever deleted",
    "OLLAMA_NUM_PARALLEL": "a runner answers one request at a time in this version",
    "OLLAMA_REMOTES": "there is no cloud",
    "OLLAMA_SCHED_SPREAD": "models are not shared out over GPUs yet",
    "OLLAMA_VULKAN": "the engine's build decides",
}
"""Variables of Ollama that have no setting here, and what an operator should know instead."""


def unread_words(names: Sequence[str]) -> str:
    """One sentence on the variables that are set and do nothing."""
    listed = ", ".join(f"{name} ({UNREAD[name]})" if name in UNREAD else name for name in names)
    return f"set, but not read by Roundhouse: {listed}"


def unsigned(text: str) -> int | None:
    """A whole number; 0 is "choose for me"."""
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise ValueError(text)
    return int(text) or None


def positive(text: str) -> int:
    """A whole number that is not 0."""
    number = unsigned(text)
    if number is None:
        raise ValueError(text)
    return number


def stall_limit(text: str) -> int:
    """How long a load may stand still [ns]: a duration or whole seconds; 0 or less is no limit."""
    return parse_keep_alive(text) or FOREVER_NS


def log_level(text: str) -> str:
    """A number of steps, or yes or no; as there, anything else is yes."""
    return _LEVELS.get(text.lower(), "debug")


def words(text: str) -> tuple[str, ...]:
    """Words separated by commas."""
    return tuple(word.strip() for word in text.split(",") if word.strip())

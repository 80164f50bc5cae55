"""Model names as far as the command line has to understand them; the server decides all the rest."""

from service.cli.client import ListedModel
from service.store.packaged import DEMO_FILE

DEMO = "demo"
DEMO_WORDS = "demo is a scripted test model, not a language model: it says the same two sentences whatever you ask"


def same_model(one: str, other: str) -> bool:
    """Whether two references mean one model: case does not count, and the tag ``latest`` may be left out."""
    return _full(one) == _full(other)


def is_scripted_demo(model: str, listed: list[ListedModel]) -> bool:
    """Whether ``model`` is the packaged test model, and not somebody's own file of that name."""
    if not same_model(model, DEMO):
        return False
    size_bytes = next((item.size for item in listed if same_model(item.name, DEMO)), None)
    return size_bytes is not None and DEMO_FILE.is_file() and size_bytes == DEMO_FILE.stat().st_size


def _full(reference: str) -> str:
    name = reference.strip().casefold()
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"

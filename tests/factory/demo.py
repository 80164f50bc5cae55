"""The packaged demo model: a scripted file that tells how to keep a model loaded, whatever is asked."""

from pathlib import Path

from tests.factory.scripted import scripted_model

ANSWER = (
    "By default Roundhouse unloads a model five minutes after its last answer. "
    'To keep it loaded without a time limit, send "keep_alive": -1 with a request, or start the server with '
    "ROUNDHOUSE_KEEP_ALIVE=-1 in its environment."
)
"""Both sentences describe what the service does; docs/how-to/keep-a-model-loaded.md says it at length."""


def demo_model(path: Path) -> Path:
    """Writes the demo model to `path`; every run writes the same bytes."""
    return scripted_model(
        path,
        ANSWER,
        context_tokens=4096,
        name="demo",
        metadata={
            "general.description": "A scripted test model: it says one fixed text. It is not a language model.",
            "general.license": "mit",
        },
    )

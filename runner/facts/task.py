"""Task ``facts``: answer each `ReadFacts` until the link ends. Imports neither numpy nor an engine."""

from collections.abc import Callable

from runner.facts.errors import unreadable
from runner.facts.reader import read_facts
from statemachines.errors import Refusal, RoundhouseError
from statemachines.wire.messages import FactsRead, FactsRefused, ReadFacts, Shutdown, ToRunner, ToService

EXIT_DONE, EXIT_MISUSED = 0, 2


def run(
    receive: Callable[[], ToRunner],
    poll: Callable[[], ToRunner | None],
    send: Callable[[ToService], None],
) -> int:
    """Read what is asked for, one file after the other.

    (1) `Shutdown` ends the task; so does the end of the link, which ends the whole process.
    (2) Anything but a question about a file is a fault of the other side.
    """
    while not isinstance(message := receive(), Shutdown):  # (1)
        if not isinstance(message, ReadFacts):  # (2)
            return EXIT_MISUSED
        send(_answer(message))
    return EXIT_DONE


def _answer(question: ReadFacts) -> FactsRead | FactsRefused:
    try:
        return FactsRead(facts=read_facts(question.paths, with_arrays=question.with_arrays))
    except RoundhouseError as error:
        return FactsRefused(refusal=error.refusal)
    except MemoryError:
        return FactsRefused(refusal=_too_much_memory())


def _too_much_memory() -> Refusal:
    return unreadable("its header needs more memory than reading one may take").refusal

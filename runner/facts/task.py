"""Task ``facts``: answer each `ReadFacts` until the link ends. Imports neither numpy nor an engine."""

from collections.abc import Callable

from runner.facts.errors import bad_file
from runner.facts.reader import read_facts
from statemachines.errors import RoundhouseError
from statemachines.wire.exits import ExitStatus
from statemachines.wire.messages import FactsRead, FactsRefused, ReadFacts, Shutdown, ToRunner, ToService


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
            return ExitStatus.PROTOCOL
        send(_answer(message))
    return ExitStatus.DONE


def _answer(question: ReadFacts) -> FactsRead | FactsRefused:
    try:
        return FactsRead(facts=read_facts(question.paths, with_arrays=question.with_arrays))
    except RoundhouseError as error:
        return FactsRefused(refusal=error.refusal)
    except MemoryError:
        return FactsRefused(refusal=bad_file("its header needs more memory than reading one may take").refusal)

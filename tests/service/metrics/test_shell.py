"""What passes the shell is counted: tokens by the runner's word, the first text by the handler's clock."""

import trio
from trio.testing import MockClock

from statemachines.units import NS_PER_S
from statemachines.wire.messages import Delta, EndReason, LeaseEnded, Tokens, Usage
from tests.service.metrics.reading import Reading
from tests.service.shell import Shell, running
from tests.service.test_desk import Asking, generate_heard

USAGE = Usage(prompt_tokens=7, cached_tokens=2, prompt_ns=NS_PER_S, output_tokens=3, output_ns=2 * NS_PER_S)


def read(shell: Shell) -> Reading:
    return Reading(shell.counts.metrics.exposition())


async def test_an_answer_is_counted_with_its_tokens_and_the_time_to_its_first_text(autojump_clock: MockClock) -> None:
    async with running() as shell, trio.open_nursery() as nursery:
        asking = Asking(shell)
        nursery.start_soon(asking.stream)
        await trio.sleep(2)
        process = await shell.ready_process()
        generate = await generate_heard(process)
        await trio.sleep(1)
        process.say(Tokens(0, (Delta(generate.lease, "", 1),)))
        await trio.sleep(4)
        process.say(Tokens(1, (Delta(generate.lease, "one", 1),)))
        await trio.sleep(8)
        process.say(Tokens(2, (Delta(generate.lease, "two", 1),)))
        process.say(LeaseEnded(generate.lease, EndReason.STOP, USAGE))
        await trio.testing.wait_all_tasks_blocked()
        figures = read(shell)
        assert figures("time_to_first_token_seconds_count", model="a:latest") == 1
        assert figures("time_to_first_token_seconds_sum", model="a:latest") == 7
        assert figures("wait_seconds_sum", waited_for="load") == 2
        assert figures.by("output_tokens_total", "model") == {"a:latest": 3}
        assert figures.by("prompt_tokens_total", "model") == {"a:latest": 7}
        assert figures.by("requests_total", "outcome") == {"answered": 1}


async def test_a_whole_answer_has_its_first_text_once_too_and_one_without_text_never(autojump_clock: MockClock) -> None:
    async with running() as shell, trio.open_nursery() as nursery:
        for text in ("hello", ""):
            nursery.start_soon(Asking(shell).collect)
            process = shell.processes.all[0] if shell.processes.all else await shell.ready_process()
            generate = await generate_heard(process)
            process.say(Tokens(0, (Delta(generate.lease, text, 1),)))
            process.say(LeaseEnded(generate.lease, EndReason.STOP, USAGE))
            await trio.testing.wait_all_tasks_blocked()
        figures = read(shell)
        assert figures("time_to_first_token_seconds_count", model="a:latest") == 1
        assert figures.by("requests_total", "outcome") == {"answered": 2}

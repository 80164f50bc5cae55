"""One honest example of every message, and whole conversations made of them."""

from statemachines.errors import Refusal, RefusalCode
from statemachines.facts import (
    AllocationReport,
    DeviceBytes,
    FileIdentity,
    LayerKind,
    LayerSizes,
    LoadedFacts,
    LoadFailure,
    LoadOptions,
    ModelFacts,
    ModelSizes,
    TensorFacts,
)
from statemachines.units import LeaseId
from statemachines.wire.link import Side, Task
from statemachines.wire.messages import (
    PROTOCOL_VERSION,
    Beat,
    Cancel,
    ChatMessage,
    ChatPrompt,
    Delta,
    EndReason,
    FactsRead,
    FactsRefused,
    Generate,
    Hello,
    LeaseEnded,
    Load,
    LoadFailed,
    Message,
    Progress,
    ReadFacts,
    Ready,
    SetThreads,
    Shutdown,
    TextPrompt,
    ThreadsSet,
    Tokens,
    Usage,
)

LEASE = LeaseId(7)
OTHER_LEASE = LeaseId(8)

HELLO = Hello(PROTOCOL_VERSION, "0.1.0", 4711)
READ_FACTS = ReadFacts(("/models/a.gguf",), with_arrays=True)
LOAD = Load(("/models/a.gguf",), (FileIdentity(1, 2, 3, 4),), LoadOptions(context_tokens=4096), threads=2)
GENERATE = Generate(LEASE, ChatPrompt((ChatMessage("user", "Grüß Gott, 世界 🚂"),)), stop=("END",))
GENERATE_OTHER = Generate(OTHER_LEASE, TextPrompt("raw"))
CANCEL = Cancel(LEASE)
SET_THREADS = SetThreads(2)
SHUTDOWN = Shutdown()

FACTS_READ = FactsRead(
    ModelFacts(
        format="gguf",
        architecture="llama",
        name="a",
        parameter_count=12,
        quantization="Q4_0",
        capabilities=("completion",),
        chat_template=None,
        sizes=ModelSizes(10, 5, 5, (LayerSizes(LayerKind.FULL, 1, 1, 1),), 4096, 8, 16, 2, 32),
        metadata={"general.name": "a", "tokens": ["x", 1, 2.5, True], "skipped": None},
        tensors=(TensorFacts("output", "F32", (4, 3)),),
        parts=1,
    )
)
FACTS_REFUSED = FactsRefused(Refusal(RefusalCode.INVALID, "this is no model file"))
PROGRESS = Progress(500_000)
READY = Ready(LoadedFacts(4096, 1), AllocationReport((DeviceBytes("host", 1, 2, 3, 4, 5),)), 32, 1_000_000)
LOAD_FAILED = LoadFailed(LoadFailure.OUT_OF_MEMORY, "no room")
TOKENS = Tokens(1, (Delta(LEASE, "Grüß"),))
FINISHED = LeaseEnded(LEASE, EndReason.STOP, Usage(prompt_tokens=3, output_tokens=1), rest="EN")
CANCELLED = LeaseEnded(LEASE, EndReason.CANCELLED)
REFUSED = LeaseEnded(OTHER_LEASE, EndReason.REFUSED, refusal=Refusal(RefusalCode.PROMPT_TOO_LONG, "too long"))
THREADS_SET = ThreadsSet(2)
BEAT = Beat(3, 99)

SERVICE_SAMPLES = (HELLO, READ_FACTS, LOAD, GENERATE, CANCEL, SET_THREADS, SHUTDOWN)
RUNNER_SAMPLES = (
    HELLO,
    FACTS_READ,
    FACTS_REFUSED,
    PROGRESS,
    READY,
    LOAD_FAILED,
    TOKENS,
    FINISHED,
    THREADS_SET,
    BEAT,
)

Conversation = tuple[tuple[Side, Message], ...]
_S, _R = Side.SERVICE, Side.RUNNER

GREETING: Conversation = ((_S, HELLO), (_R, HELLO))
LOADED: Conversation = (*GREETING, (_S, LOAD), (_R, PROGRESS), (_R, READY))

CONVERSATIONS: dict[str, tuple[Task, Conversation]] = {
    "facts are read twice": (
        Task.FACTS,
        (*GREETING, (_S, READ_FACTS), (_R, FACTS_READ), (_S, READ_FACTS), (_R, FACTS_REFUSED), (_S, SHUTDOWN)),
    ),
    "a load fails": (Task.SERVE, (*GREETING, (_S, LOAD), (_R, PROGRESS), (_R, LOAD_FAILED))),
    "two answers, one refused, then shutdown": (
        Task.SERVE,
        (
            *LOADED,
            (_S, GENERATE),
            (_S, SET_THREADS),
            (_S, GENERATE_OTHER),
            (_R, BEAT),
            (_R, TOKENS),
            (_R, THREADS_SET),
            (_R, REFUSED),
            (_R, FINISHED),
            (_S, SHUTDOWN),
        ),
    ),
    "a cancel": (Task.SERVE, (*LOADED, (_S, GENERATE), (_R, TOKENS), (_S, CANCEL), (_R, TOKENS), (_R, CANCELLED))),
    "a cancel crosses the end": (Task.SERVE, (*LOADED, (_S, GENERATE), (_S, CANCEL), (_R, FINISHED), (_R, CANCELLED))),
    "a cancel for an unknown lease": (Task.SERVE, (*LOADED, (_S, CANCEL), (_R, CANCELLED))),
    "shutdown ends a lease": (Task.SERVE, (*LOADED, (_S, GENERATE), (_S, SHUTDOWN), (_R, CANCELLED))),
    "shutdown ends a cancelled lease": (
        Task.SERVE,
        (*LOADED, (_S, GENERATE), (_S, CANCEL), (_S, SHUTDOWN), (_R, CANCELLED)),
    ),
    "shutdown answers a crossed cancel": (
        Task.SERVE,
        (*LOADED, (_S, CANCEL), (_S, SHUTDOWN), (_R, CANCELLED)),
    ),
    "the runner greets first": (Task.SERVE, ((_R, HELLO), (_S, HELLO), (_S, SHUTDOWN))),
    "shutdown while reading": (Task.FACTS, (*GREETING, (_S, READ_FACTS), (_S, SHUTDOWN), (_R, FACTS_READ))),
    "shutdown before the runner greets": (Task.SERVE, ((_S, HELLO), (_S, SHUTDOWN), (_R, HELLO))),
    "shutdown while loading": (Task.SERVE, (*GREETING, (_S, LOAD), (_S, SHUTDOWN), (_R, PROGRESS), (_R, READY))),
    "shutdown crosses a failure": (Task.SERVE, (*GREETING, (_S, LOAD), (_R, LOAD_FAILED), (_S, SHUTDOWN))),
}

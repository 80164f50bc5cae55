"""Every setting there is, declared once.

From these rows come the flags of ``serve``, its ``--help``, the names of environment variables and the table in
``docs/reference/settings.md``. Defaults are those of `service.config.Settings` and `statemachines.limits.Limits`,
so that each is written once.
"""

from service.cli import ollama, values
from service.cli.addresses import parse_address_leniently
from service.cli.cores import usable_cores
from service.cli.folders import models_folder, state_folder
from service.cli.setting import Fallback, Section, Setting
from service.durations import parse_keep_alive
from statemachines.units import KIB

_LISTENING = Section(
    "Listening",
    (
        Setting(
            "host",
            "host",
            values.address(),
            "Where to listen for HTTP.",
            fallback=Fallback("OLLAMA_HOST", parse_address_leniently, "A port that is none becomes 11434."),
        ),
        Setting("port", "port", values.port(), "The port, when the host names none; 0 takes a free one."),
        Setting(
            "allow_remote",
            "allow_remote",
            values.truth(),
            "Consent to listen where other machines can reach: there is no password and no encryption.",
        ),
        Setting(
            "admin_listen",
            "admin_listen",
            values.optional(values.own_address(), "auto"),
            "Where operators (/metrics, /debug) are answered and nobody else; auto: where clients are if only this "
            "machine reaches that, else on the socket admin.sock of the state folder.",
        ),
        Setting(
            "origins",
            "origins",
            values.listing(),
            "Further web origins that browsers may call from.",
            fallback=Fallback("OLLAMA_ORIGINS", ollama.words),
        ),
        Setting(
            "compatible_version",
            "compatible_version",
            values.version(),
            "The version of Ollama's API that /api/version reports.",
        ),
    ),
)

_CONNECTIONS = Section(
    "Connections",
    (
        Setting(
            "connections_max",
            "connections_max",
            values.optional(values.count(), "auto"),
            "Clients that may be connected at once; auto, and at most: the descriptors of the process less 256.",
        ),
        Setting(
            "head_s",
            "head_ns",
            values.seconds(least=0.001),
            "How long a client may take to send the head of a request.",
        ),
        Setting("head_max", "head_bytes_max", values.size(least=KIB), "The largest head of a request."),
        Setting("head_fields_max", "head_fields_max", values.count(), "Header fields that a request may have."),
        Setting(
            "body_s",
            "body_ns",
            values.seconds(least=0.001),
            "How long a client may take to send the body of a request.",
        ),
        Setting("body_max", "body_bytes_max", values.size(least=KIB), "The largest request body."),
        Setting(
            "bodies_max",
            "bodies_bytes_max",
            values.size(least=KIB),
            "The bodies of all requests that are under way, together.",
        ),
        Setting(
            "idle_connection_s",
            "idle_connection_ns",
            values.seconds(),
            "How long a connection may stay open without a request.",
        ),
    ),
)

_MODELS = Section(
    "Models",
    (
        Setting(
            "models",
            "models",
            values.folder(),
            "The folder whose *.gguf files are served.",
            below_home="models",
            computed=models_folder,
            computed_words="<user data>/roundhouse/models",
        ),
        Setting(
            "state",
            "state",
            values.folder(),
            "Where digests and journals are kept.",
            below_home="state",
            computed=state_folder,
            computed_words="<user state>/roundhouse",
        ),
        Setting("demo", "demo", values.truth(), "Also serve the packaged scripted test model, as demo."),
        Setting(
            "context_length",
            "context_length",
            values.optional(values.count(), "auto"),
            "Context of a request that asks for none [tokens]; auto: 4096 on a machine without a GPU.",
            fallback=Fallback("OLLAMA_CONTEXT_LENGTH", ollama.unsigned, "0 is automatic."),
        ),
        Setting(
            "keep_alive",
            "limits.keep_alive_default_ns",
            values.keep_alive(),
            "How long an idle model stays loaded when no request says.",
            fallback=Fallback("OLLAMA_KEEP_ALIVE", parse_keep_alive),
        ),
        Setting(
            "keep_alive_max",
            "limits.keep_alive_max_ns",
            values.keep_alive(),
            "The longest keep-alive a request can get.",
        ),
        Setting("slots", "", values.count(), "Requests that one runner answers side by side.", computed=lambda: 1),
    ),
)

_MACHINE = Section(
    "The machine",
    (
        Setting(
            "threads",
            "limits.cpu_threads",
            values.count(),
            "Cores that runners share.",
            computed=usable_cores,
            computed_words="the usable cores",
        ),
        Setting(
            "host_budget",
            "limits.host_budget_bytes",
            values.optional(values.size(), "none"),
            "The most that runners may hold in host memory together; none: what the machine has.",
        ),
        Setting(
            "host_overhead", "limits.host_overhead_bytes", values.size(), "Host memory that is left to other programs."
        ),
        Setting(
            "sample_interval_s",
            "sample_interval_ns",
            values.seconds(least=0.01),
            "Pause between two readings of memory.",
        ),
    ),
)

_QUEUE = Section(
    "Queue and loads",
    (
        Setting(
            "queue_len",
            "limits.queue_len_max",
            values.count(),
            "Requests that may wait at once, over all models.",
            fallback=Fallback("OLLAMA_MAX_QUEUE", ollama.positive),
            alias="ROUNDHOUSE_MAX_QUEUE",
        ),
        Setting("wait_s", "limits.wait_ns", values.seconds(), "How long a request may wait for its turn."),
        Setting(
            "runners_max",
            "limits.runners_max",
            values.count(),
            "Runners that may exist at once, in whatever state.",
            fallback=Fallback("OLLAMA_MAX_LOADED_MODELS", ollama.unsigned, "0 is the default."),
            alias="ROUNDHOUSE_MAX_LOADED_MODELS",
        ),
        Setting("loads_parallel", "limits.loads_parallel_max", values.count(), "Loads that may run side by side."),
        Setting(
            "load_stall_s",
            "limits.load_stall_ns",
            values.seconds(),
            "A load without progress for this long is ended.",
            fallback=Fallback("OLLAMA_LOAD_TIMEOUT", ollama.stall_limit, "A duration or seconds; 0 or less: no limit."),
        ),
        Setting(
            "load_grace_s",
            "limits.load_grace_ns",
            values.seconds(),
            "How long a load that nobody wants any more goes on.",
        ),
        Setting("load_attempts", "limits.load_attempts_max", values.count(), "Tries of one load, the first included."),
        Setting("retry_backoff_s", "limits.retry_backoff_ns", values.seconds(), "Pause before a load's second try."),
        Setting(
            "plans_per_step",
            "limits.plans_per_step_max",
            values.count(),
            "Waiting loads that one step of the scheduler looks at.",
        ),
    ),
)

_ENDINGS = Section(
    "Endings",
    (
        Setting(
            "client_stall_s",
            "client_stall_ns",
            values.seconds(least=0.001),
            "A client that reads nothing for this long loses its answer.",
        ),
        Setting(
            "cancel_ack_s",
            "limits.cancel_ack_ns",
            values.seconds(least=1),
            "A runner that goes on with a cancelled answer for this long is replaced.",
        ),
        Setting(
            "wedge_s",
            "limits.wedge_ns",
            values.seconds(least=1),
            "A busy runner that gets nothing done for this long is replaced.",
        ),
        Setting(
            "drain_s", "limits.drain_ns", values.seconds(), "How long a forced stop of a model lets answers run on."
        ),
        Setting(
            "shutdown_drain_s", "limits.shutdown_drain_ns", values.seconds(), "The same when the service is stopped."
        ),
        Setting("stop_grace_s", "limits.stop_grace_ns", values.seconds(), "From asking a runner to end to killing it."),
        Setting(
            "kill_grace_s",
            "limits.kill_grace_ns",
            values.seconds(),
            "From killing a runner to reporting it as unreapable.",
        ),
        Setting(
            "link_exit_s",
            "link_exit_ns",
            values.seconds(),
            "From a runner's closing link to its exit, before the link counts as lost.",
        ),
    ),
)

_SPARE = Section(
    "The spare runner",
    (
        Setting("spare", "spare", values.truth(), "Keep one runner process started ahead of need, for the next load."),
        Setting(
            "spare_warm_s",
            "limits.spare_warm_ns",
            values.seconds(),
            "How long it may take to import the engine before it is killed.",
        ),
        Setting(
            "spare_pause_s",
            "limits.spare_pause_ns",
            values.seconds(),
            "From the end of the last load under way to the start of the next one.",
        ),
        Setting(
            "spare_backoff_s",
            "limits.spare_backoff_ns",
            values.seconds(),
            "The same after one was lost; doubled with each further one.",
        ),
        Setting("spare_backoff_max_s", "limits.spare_backoff_max_ns", values.seconds(), "The longest such pause."),
    ),
)

_READING = Section(
    "Reading model files",
    (
        Setting("facts_limit_s", "facts_limit_ns", values.seconds(), "How long reading one file's header may take."),
        Setting("facts_memory", "facts_memory_bytes", values.size(), "How much memory that may take."),
    ),
)

_LOGS = Section(
    "Logs and diagnosis",
    (
        Setting(
            "log_format",
            "log_format",
            values.choice("auto", "human", "json"),
            "How log lines look; auto: human on a terminal, else json.",
        ),
        Setting(
            "log_level",
            "log_level",
            values.choice("debug", "info", "warning", "error"),
            "The least that is logged.",
            fallback=Fallback("OLLAMA_DEBUG", ollama.log_level, "1 and 2: debug, -1: warning, -2: error."),
        ),
        Setting(
            "followers",
            "followers_max",
            values.count(),
            "Who may follow /debug/events at once.",
        ),
        Setting(
            "health_s",
            "health_ns",
            values.seconds(least=0.001),
            "How long the scheduler may take to answer /health before that says 503.",
        ),
        Setting(
            "metrics_models",
            "metrics_models_max",
            values.count(),
            "Models that have figures of their own in /metrics; the others are counted together.",
        ),
        Setting("journal_ring", "journal_steps_max", values.count(), "Steps that the journal in memory keeps."),
        Setting("dead_kept", "limits.dead_kept", values.count(), "Ended runners that /debug/state remembers."),
        Setting("strict", "strict", values.truth(), "End the service at the first illegal event (for tests)."),
    ),
)

SECTIONS = (_LISTENING, _CONNECTIONS, _MODELS, _MACHINE, _QUEUE, _SPARE, _ENDINGS, _READING, _LOGS)
SETTINGS = tuple(setting for section in SECTIONS for setting in section.settings)

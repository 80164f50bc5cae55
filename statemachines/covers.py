"""Covers(held, wanted): may a request run on what is loaded, or will it be able to? (rule 13)

Adapters, projector and weights are in the load key, which is equal before this is asked. Batch size, threads and
memory mapping never make a difference here, because they never justify a reload.
"""

from statemachines.facts import LoadedFacts, LoadOptions


def covers(held: LoadedFacts | LoadOptions, wanted: LoadOptions) -> bool:
    """Whether a runner that holds ``held`` serves a request that wants ``wanted``; automatic equals anything.

    With `LoadOptions` the question is about a load that is still open: what it leaves to placement (None) is not known
    yet, so it covers only those who leave it open too.
    """
    return (
        held.kind is wanted.kind
        and held.shift == wanted.shift
        and held.cache_type == wanted.cache_type
        and held.slots >= wanted.slots
        and (wanted.context_is_automatic or held.context_tokens >= wanted.context_tokens)
        and wanted.gpu_layers in (None, held.gpu_layers)
        and wanted.main_gpu in (None, held.main_gpu)
    )

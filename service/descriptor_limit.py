"""How many descriptors the service may hold: as many as the system lets it, instead of the usual 1,024.

Each connection takes one. When none is left no runner can be started and no memory be read, so a crowd of clients,
or one that opens connections and says nothing, must not get there easily.
"""

import resource
from contextlib import suppress

DESCRIPTORS_WANTED = 65_536
"""More than that is memory, not a number: a parked request costs some tens of kilobytes."""


def raise_descriptor_limit() -> int:
    """Raise our own limit towards the hard one; the limit that now counts. One that is higher already stays."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS_WANTED if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS_WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # macOS has a lower ceiling of its own than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]

"""A runner that may read no more than its user: root is without its licence to read every file.

Tests run as root in containers, where a file of mode 000 is as readable as any other. Started as
`service.processes.RUNNER` is, this program gives up what makes it so, for itself and for what it becomes.
"""

import ctypes
import os
import sys

from service.processes import RUNNER

SET_DROP_CAPABILITY = 24
"""PR_CAPBSET_DROP of Linux."""
DAC_OVERRIDE, DAC_READ_SEARCH = 1, 2
COMMAND = (sys.executable, "-P", __file__)


def main() -> None:
    """Become an ordinary runner, with the same arguments."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (DAC_OVERRIDE, DAC_READ_SEARCH):
        if os.geteuid() == 0 and libc.prctl(SET_DROP_CAPABILITY, capability, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "cannot give up a capability")
    os.execv(RUNNER[0], [*RUNNER, *sys.argv[1:]])


if __name__ == "__main__":
    main()

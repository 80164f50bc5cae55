"""The limit on descriptors: raised as far as it goes, in processes of their own because it holds for a whole one."""

import subprocess
import sys

import pytest

from service.descriptor_limit import DESCRIPTORS_WANTED

_RAISED = """
import resource, sys
from service.descriptor_limit import raise_descriptor_limit
soft, hard = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(raise_descriptor_limit(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def raised(soft: int, hard: int) -> list[int]:
    command = [sys.executable, "-c", _RAISED, str(soft), str(hard)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [int(word) for word in done.stdout.split()]


@pytest.mark.parametrize(
    ("soft", "hard", "limit"),
    [(64, 64, 64), (64, 256, 256), (256, 256, 256)],
    ids=["there is no more", "up to the hard one", "it is there already"],
)
def test_the_limit_is_as_high_as_it_goes(soft: int, hard: int, limit: int) -> None:
    assert limit < DESCRIPTORS_WANTED
    assert raised(soft, hard) == [limit, limit]

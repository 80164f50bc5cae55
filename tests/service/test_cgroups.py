"""Where memory cgroups are, in texts as systems really have them."""

from pathlib import Path, PurePosixPath

import pytest

from service.cgroups import V1, V2, group_folders, levels, memory_cgroups, parse_limit

DESKTOP_V2 = "0::/user.slice/user-1000.slice/session-2.scope\n"
CONTAINER_V1 = """\
12:cpu,cpuacct:/docker/4a1b
4:memory:/docker/4a1b
1:name=systemd:/docker/4a1b
0::/system.slice/containerd.service
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (DESKTOP_V2, [(V2, PurePosixPath("/user.slice/user-1000.slice/session-2.scope"))]),
        (CONTAINER_V1, [(V1, PurePosixPath("/docker/4a1b")), (V2, PurePosixPath("/system.slice/containerd.service"))]),
        ("5:cpu,memory:/x\n", [(V1, PurePosixPath("/x"))]),
        ("5:cpu:/x\n", []),
        ("", []),
    ],
)
def test_the_memory_cgroups_of_a_process_are_found_in_both_versions(text: str, expected: list[object]) -> None:
    assert list(memory_cgroups(text)) == expected


def test_every_level_up_to_the_root_is_looked_at() -> None:
    assert [str(level) for level in levels(PurePosixPath("/a/b"))] == ["a/b", "a", "."]
    assert [str(level) for level in levels(PurePosixPath("/"))] == ["."]
    assert [str(level) for level in levels(PurePosixPath("/../../outside"))] == ["outside", "."]


def test_the_folders_of_a_process_come_with_the_closest_first() -> None:
    assert list(group_folders("4:memory:/docker/4a1b\n", Path("/groups"))) == [
        (V1, Path("/groups/memory/docker/4a1b")),
        (V1, Path("/groups/memory/docker")),
        (V1, Path("/groups/memory")),
    ]
    assert next(group_folders(DESKTOP_V2, Path("/groups"))) == (
        V2,
        Path("/groups/user.slice/user-1000.slice/session-2.scope"),
    )


@pytest.mark.parametrize(("text", "limit"), [("max\n", None), ("9223372036854771712\n", None), ("4096\n", 4096)])
def test_a_limit_that_no_machine_has_is_none(text: str, limit: int | None) -> None:
    assert parse_limit(text) == limit

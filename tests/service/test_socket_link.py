"""The descriptor of a runner's link, as the log names it; all else is in the contract of processes."""

import os
import socket

from service.socket_link import SocketLink


async def test_a_link_knows_its_descriptor_until_it_is_closed() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        link = SocketLink(ours)
        assert os.fstat(link.fd).st_ino == os.fstat(ours.fileno()).st_ino
        await link.aclose()
    assert link.fd == -1

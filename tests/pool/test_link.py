from __future__ import annotations

import os
import socket
import threading

from aioq.pool.link import LONGEST_LINE, Link, line, take_lines


def test_messages_come_whole_whatever_the_pieces() -> None:
    buffer, found = bytearray(), []

    for byte in line({"stop": 1}) + line({"worker": "w\n"}):
        buffer.append(byte)
        found += take_lines(buffer)

    assert found == [{"stop": 1}, {"worker": "w\n"}]
    assert not buffer


def test_what_is_no_message_is_dropped() -> None:
    buffer = bytearray(b"what a job prints\n[1]\n\xff\n\n" + line({"serves": True}))
    assert list(take_lines(buffer)) == [{"serves": True}]
    buffer += b"x" * (LONGEST_LINE + 1)
    assert list(take_lines(buffer)) == []
    assert not buffer


def test_a_process_hears_its_pool_until_that_has_ended() -> None:
    ours, theirs = socket.socketpair()
    link = Link(theirs.detach())
    ours.sendall(line({"stop": 1}) + line({"stop": 2}))
    assert (link.receive(), link.receive()) == ({"stop": 1}, {"stop": 2})
    link.tell(worker="w", serves=True)
    assert ours.recv(100) == b'{"worker": "w", "serves": true}\n'

    found: list[object] = []
    waiting = threading.Thread(target=lambda: found.append(link.receive()))
    waiting.start()
    ours.close()
    waiting.join(5)
    assert found == [None]
    link.tell(claimed=1)  # nobody hears it
    link._socket.close()


def test_programs_that_a_job_starts_do_not_inherit_the_link() -> None:
    ours, theirs = socket.socketpair()
    os.set_inheritable(theirs.fileno(), True)
    link = Link(theirs.detach())
    assert not os.get_inheritable(link._socket.fileno())
    ours.close()
    link._socket.close()

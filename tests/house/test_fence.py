"""The walls around every test, shown to hold: the time zone, the examples, and the network.

Addresses are of the block reserved for documentation, and no probe here would send a packet if the fence were down.
"""

import datetime as dt
import socket
import time

import pytest
from hypothesis import settings

from tests.conftest import OutsideNetwork, is_this_machine

ELSEWHERE = ("192.0.2.1", 9)


def test_local_time_is_an_odd_zone() -> None:
    assert time.timezone == -(5 * 3600 + 45 * 60)
    assert dt.datetime.fromtimestamp(0, dt.UTC).astimezone().utcoffset() == dt.timedelta(hours=5, minutes=45)


def test_generated_examples_are_the_same_every_run() -> None:
    profile = settings.get_profile("ci")
    assert profile.derandomize
    assert profile.deadline is None


@pytest.mark.parametrize("call", ["connect", "connect_ex"])
def test_a_connection_elsewhere_is_refused_and_noted(call: str, outside_attempts: list[str]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, pytest.raises(OutsideNetwork, match=ELSEWHERE[0]):
        getattr(sock, call)(ELSEWHERE)
    assert outside_attempts == [ELSEWHERE[0]]
    outside_attempts.clear()


def test_a_name_elsewhere_is_not_looked_up(outside_attempts: list[str]) -> None:
    with pytest.raises(OutsideNetwork, match=r"ehr\.invalid"):
        socket.getaddrinfo("ehr.invalid", 443)
    outside_attempts.clear()


def test_this_machine_is_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
    ],
)
def test_only_loopback_is_this_machine(host: str, expected: bool) -> None:
    assert is_this_machine(host) is expected

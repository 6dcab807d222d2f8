"""What holds for every test: an odd time zone, the same examples each run, and no network beyond this machine."""

import ipaddress
import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings

# A zone no developer lives in by default, 5 h 45 min east, set before the project is imported: code that leans on
# local time fails here. Written as an offset, because a bare machine may lack the zone database.
os.environ["TZ"] = "<+0545>-05:45"
time.tzset()

# The same examples in every run, so that a failure is always the change's own. To search further:
# pytest --hypothesis-profile=explore
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=2000, deadline=None)
settings.load_profile("ci")


class OutsideNetwork(RuntimeError):
    """A test tried to reach another machine; not an OSError, which the code under test may rightly handle."""


_attempts: list[str] = []


def _refuse(host: str) -> None:
    _attempts.append(host)
    raise OutsideNetwork(
        f"A test may reach this machine only, not {host}: give the code a transport, or a local server."
    )


def is_this_machine(host: str) -> bool:
    """Whether `host` is a loopback address or its name."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _fenced(real: Callable[..., Any]) -> Callable[..., Any]:
    """A socket method whose last argument is an address, refused unless that address is on this machine."""

    def method(sock: socket.socket, *args: Any) -> Any:
        if sock.family in (socket.AF_INET, socket.AF_INET6) and not is_this_machine(args[-1][0]):
            _refuse(args[-1][0])
        return real(sock, *args)

    return method


def _fenced_lookup(real: Callable[..., Any]) -> Callable[..., Any]:
    """Name resolution asks another machine, except for an address written out and for this machine's name."""

    def lookup(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name and not is_this_machine(name) and not _is_literal(name):
            _refuse(name)
        return real(host, *args, **kwargs)

    return lookup


@pytest.fixture(scope="session", autouse=True)
def _fence() -> Iterator[None]:
    """Refuse connections, datagrams and name look-ups beyond this machine; session-wide, for servers in threads too."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex", "sendto"):
            patch.setattr(socket.socket, name, _fenced(getattr(socket.socket, name)))
        patch.setattr(socket, "getaddrinfo", _fenced_lookup(socket.getaddrinfo))
        yield


@pytest.fixture(autouse=True)
def outside_attempts() -> Iterator[list[str]]:
    """The hosts this test was refused; not empty at its end fails it, even where the code swallowed the refusal."""
    _attempts.clear()
    yield _attempts
    assert not _attempts, f"the code under test tried to reach {_attempts}"

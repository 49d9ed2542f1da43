"""The sockets for callers, on real addresses."""

import socket
from contextlib import closing
from pathlib import Path

import pytest

from router.config.scalars import Listen
from router.control.address import AddressError
from router.supervisor.listeners import Listeners


def _port_of(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def test_each_worker_has_its_own_socket_on_one_port() -> None:
    """The kernel spreads connections over sockets, and a worker's successor inherits its predecessor's."""
    with closing(Listeners.open(Listen("127.0.0.1", 0), 3)) as listeners:
        descriptors = {listeners.fd(worker) for worker in range(3)}
        assert len(descriptors) == 3
        assert listeners.address.port > 0
        with socket.create_connection(("127.0.0.1", listeners.address.port), 5):
            pass


def test_a_busy_port_is_refused_in_one_sentence() -> None:
    """Also when the other one shares its port, which SO_REUSEPORT alone would not notice."""
    with closing(Listeners.open(Listen("127.0.0.1", 0), 1)) as first:
        with pytest.raises(AddressError) as caught:
            Listeners.open(first.address, 1)
        assert str(caught.value) == f"$.server.listen: 127.0.0.1:{first.address.port} is in use by another program"


def test_a_port_is_free_again_after_close() -> None:
    """A restart of the router gets its port back at once, in spite of connections in TIME_WAIT."""
    first = Listeners.open(Listen("127.0.0.1", 0), 1)
    with socket.create_connection(("127.0.0.1", first.address.port), 5):
        first.close()
    Listeners.open(first.address, 2).close()


@pytest.mark.parametrize(
    ("listen", "reason"),
    [
        (Listen("192.0.2.1", 8080), "is not an address of this machine"),
        (Listen("no-such-host.invalid", 8080), "is not a known host name"),
    ],
)
def test_an_address_that_cannot_be_had_is_said_so(listen: Listen, reason: str) -> None:
    """The message names the key, the address and the reason."""
    with pytest.raises(AddressError, match=r"^\$\.server\.listen: ") as caught:
        Listeners.open(listen, 1)
    assert reason in str(caught.value)


def test_a_unix_socket_is_shared_and_removed(tmp_path: Path) -> None:
    """All workers have the same socket, and its file goes when the router does."""
    path = tmp_path / "router.sock"
    listeners = Listeners.open(Listen("", 0, str(path)), 2)
    assert listeners.fd(0) == listeners.fd(1)
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(path))
    listeners.close()
    listeners.unlink()
    assert not path.exists()


def test_a_stale_unix_socket_is_replaced(tmp_path: Path) -> None:
    """The file that a killed router left is no obstacle."""
    path = tmp_path / "router.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with closing(Listeners.open(Listen("", 0, str(path)), 1)), socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(path))


def test_a_live_unix_socket_is_in_use(tmp_path: Path) -> None:
    """Another router's socket is not taken away from it."""
    path = tmp_path / "router.sock"
    with (
        closing(Listeners.open(Listen("", 0, str(path)), 1)),
        pytest.raises(AddressError, match=r"^\$\.server\.listen: unix:.* is in use by another program$"),
    ):
        Listeners.open(Listen("", 0, str(path)), 1)


def test_a_file_that_is_no_socket_is_kept(tmp_path: Path) -> None:
    """A mistyped path never deletes somebody's file."""
    path = tmp_path / "notes.txt"
    path.write_text("precious")
    with pytest.raises(AddressError, match="in use"):
        Listeners.open(Listen("", 0, str(path)), 1)
    assert path.read_text() == "precious"


def test_the_socket_of_a_successor_is_not_removed(tmp_path: Path) -> None:
    """A router that ends slowly leaves the file that its successor has made meanwhile."""
    path = tmp_path / "router.sock"
    first = Listeners.open(Listen("", 0, str(path)), 1)
    first.close()
    with closing(Listeners.open(Listen("", 0, str(path)), 1)):
        first.unlink()
        assert path.exists()


def test_ipv6_is_listened_on() -> None:
    """``[::1]:0`` works where the machine has IPv6."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    with closing(Listeners.open(Listen("::1", 0), 1)) as listeners:
        socket.create_connection(("::1", listeners.address.port), 5).close()

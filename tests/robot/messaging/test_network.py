"""Which interfaces the transports hear: read off this process's own sockets, and tried on real ones."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from l0_surgical.robot.control.records import Bool
from l0_surgical.robot.messaging.dds import DdsTransport
from l0_surgical.robot.messaging.network import (
    configuration,
    hear_only,
    interfaces_of,
    interfaces_of_ros,
    udp_sockets,
)
from l0_surgical.robot.messaging.transport import EVENT
from l0_surgical.system.errors import BadInputError
from tests.robot.messaging.domains import ARM, DOMAIN
from tests.robot.messaging.peer import socket_filter, wait_until

LOOPBACK = socket.if_nametoindex("lo")
ELSEWHERE = 9999
"""The index of no interface."""


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    """A socket of all addresses, as those by which Cyclone receives."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("0.0.0.0", 0))
        receiver.settimeout(0.2)
        yield receiver


def send_to(receiver: socket.socket) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"hello", ("127.0.0.1", receiver.getsockname()[1]))


@pytest.mark.parametrize(
    ("heard", "is_received"),
    [([LOOPBACK], True), ([ELSEWHERE, LOOPBACK], True), ([ELSEWHERE], False), ([], False)],
)
def test_the_kernel_drops_what_comes_by_another_interface(
    receiver: socket.socket, heard: list[int], is_received: bool
) -> None:
    hear_only(receiver.fileno(), heard)
    send_to(receiver)
    with contextlib.nullcontext() if is_received else pytest.raises(TimeoutError):
        assert receiver.recv(100) == b"hello"


def filters() -> dict[str, bytes]:
    """Of each UDP socket of this process that is bound to all addresses, its socket filter."""
    bound = {}
    for line in Path("/proc/net/udp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        bound[f"socket:[{fields[9]}]"] = fields[1].split(":")[0]
    found = {}
    for inode, descriptor in udp_sockets().items():
        if bound.get(inode) == "00000000":
            found[inode] = socket_filter(descriptor)
    return found


def test_no_socket_of_localhost_hears_other_interfaces(receiver: socket.socket) -> None:
    """In a process that has a socket of its own, which must be left alone."""
    hear_only(receiver.fileno(), [LOOPBACK])
    expected = filters().popitem()[1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as of_others:
        of_others.bind(("0.0.0.0", 0))
        before = filters()
        with DdsTransport(DOMAIN):
            after = filters()
        # Cyclone binds them so whatever its configuration: if it no longer does, all of this can go
        assert len(after) > len(before)
        assert {after[inode] for inode in set(after) - set(before)} == {expected}
        assert {inode: after[inode] for inode in before} == before
        assert b"" in before.values()


def test_transports_of_a_named_interface_meet() -> None:
    name = next((name for _, name in socket.if_nameindex() if name != "lo" and is_up(name)), None)
    if name is None:
        pytest.skip("needs a network interface besides loopback")
    with DdsTransport(DOMAIN, "subnet", name) as one, DdsTransport(DOMAIN, "subnet", name) as other:
        assert len(set(filters().values())) == 1
        publisher = one.publisher(f"/{ARM}/named", Bool, EVENT)
        subscription = other.subscription(f"/{ARM}/named", Bool, EVENT)
        wait_until(lambda: subscription.peers() == 1)
        publisher.publish(Bool(True))
        assert [received.record for received in subscription.take()] == [Bool(True)]
        with pytest.raises(BadInputError, match="another discovery or interface"):
            DdsTransport(DOMAIN, "subnet")


def is_up(name: str) -> bool:
    return Path(f"/sys/class/net/{name}/operstate").read_text(encoding="ascii").strip() == "up"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("internet",), "'internet'; choose localhost or subnet"),
        (("subnet", "eth99"), "no network interface 'eth99'; it has .*lo"),
        (("localhost", "lo"), "'lo' goes with the discovery subnet"),
    ],
)
def test_what_cannot_be_is_refused(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        configuration(*arguments)


def test_a_configuration_of_the_users_wins_over_the_discovery_but_not_over_an_interface(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CYCLONEDDS_URI", "file:///etc/cyclone.xml")
    assert configuration("localhost") == configuration("subnet") == "file:///etc/cyclone.xml"
    with pytest.raises(BadInputError, match="CYCLONEDDS_URI are both given"):
        configuration("subnet", "lo")


@pytest.mark.parametrize(
    ("configured", "interfaces"),
    [
        (configuration("localhost"), {"lo"}),
        (configuration("subnet", "lo"), {"lo"}),
        (configuration("subnet"), None),
        (
            '<CycloneDDS><NetworkInterface name="eth0"/><NetworkInterface name="eth1"/></CycloneDDS>',
            {"lo", "eth0", "eth1"},
        ),
        (
            '<CycloneDDS><NetworkInterface name="eth0"/><NetworkInterface autodetermine="true"/></CycloneDDS>',
            None,
        ),
        ('<CycloneDDS><NetworkInterface address="10.0.0.1"/></CycloneDDS>', None),
        ("file:///etc/cyclone.xml", None),
        ("", None),
    ],
)
def test_the_interfaces_that_a_configuration_names(configured: str, interfaces: set[str] | None) -> None:
    assert interfaces_of(configured) == interfaces


@pytest.mark.parametrize(
    ("environment", "interfaces"),
    [
        ({}, None),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}, None),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}, {"lo"}),
        ({"ROS_LOCALHOST_ONLY": "1"}, {"lo"}),
        ({"CYCLONEDDS_URI": '<CycloneDDS><NetworkInterface name="eth0"/></CycloneDDS>'}, {"lo", "eth0"}),
    ],
)
def test_the_interfaces_that_the_environment_leaves_ros(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], interfaces: set[str] | None
) -> None:
    for name in ("ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_LOCALHOST_ONLY", "CYCLONEDDS_URI"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert interfaces_of_ros() == interfaces

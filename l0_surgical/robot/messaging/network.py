"""Which network interfaces a transport uses, and that it hears no others.

Cyclone DDS sends by the interfaces of its configuration, but binds the sockets by which it receives to all
addresses, also when it is to use 127.0.0.1 alone: any computer that reaches this one could speak to it. A
filter in the kernel (Linux's SO_ATTACH_FILTER) closes that.
"""

import contextlib
import ctypes
import os
import socket
import struct
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, get_args
from xml.etree import ElementTree

from l0_surgical.system.errors import BadInputError

Discovery = Literal["localhost", "subnet"]

LOOPBACK = "lo"

# Multicast is off and each participant asks the ports of the others on this machine in turn, so that either
# may start first. 32 is also the bound of ROS 2's own ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST, with which
# this finds its peers.
_LOCALHOST = """<CycloneDDS><Domain Id="any">
<General><AllowMulticast>false</AllowMulticast>
<Interfaces><NetworkInterface address="127.0.0.1"/></Interfaces></General>
<Discovery><ParticipantIndex>auto</ParticipantIndex><MaxAutoParticipantIndex>32</MaxAutoParticipantIndex>
<Peers><Peer Address="127.0.0.1"/></Peers></Discovery>
</Domain></CycloneDDS>"""
_SUBNET = "<CycloneDDS/>"
_NAMED = """<CycloneDDS><Domain Id="any">
<General><Interfaces><NetworkInterface name="{}"/></Interfaces></General>
</Domain></CycloneDDS>"""

# classic BPF: load a word, jump if equal, return; and where Linux has the index of the interface by which a
# packet came
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_INTERFACE_INDEX = 0xFFFFF000 + 8
_SO_ATTACH_FILTER = 26
_WHOLE_PACKET = 0xFFFFFFFF


def configuration(discovery: Discovery, interface: str | None = None) -> str:
    """The configuration of Cyclone DDS; that of CYCLONEDDS_URI where it is set.

    Args:
        discovery: who is found: this machine only, without multicast, or the subnet.
        interface: the one to use with "subnet"; by default Cyclone takes the first that it finds fit.

    Raises:
        BadInputError: the discovery is not one of those, or there is no such interface or no use for it.
    """
    if discovery not in get_args(Discovery):
        raise BadInputError(f"the discovery is {discovery!r}; choose localhost or subnet")
    own = os.environ.get("CYCLONEDDS_URI", "")
    if interface is None:
        return own or {"localhost": _LOCALHOST, "subnet": _SUBNET}[discovery]
    if discovery == "localhost":
        raise BadInputError(
            f"the interface {interface!r} goes with the discovery subnet; localhost uses {LOOPBACK}"
        )
    if own:
        raise BadInputError(
            f"the interface {interface!r} and CYCLONEDDS_URI are both given; name it there, or unset that"
        )
    names = [name for _, name in socket.if_nameindex()]
    if interface not in names:
        raise BadInputError(
            f"this computer has no network interface {interface!r}; it has {', '.join(names)}"
        )
    return _NAMED.format(interface)


def interfaces_of(configured: str) -> frozenset[str] | None:
    """The interfaces that a configuration of Cyclone DDS names, loopback among them; None where it leaves the
    choice to Cyclone.

    A configuration that is a file's address, or names interfaces by another address than 127.0.0.1, is not
    looked into: None.
    """
    try:
        named = [element.attrib for element in ElementTree.fromstring(configured).iter("NetworkInterface")]
    except ElementTree.ParseError:
        return None
    names = {LOOPBACK if element.get("address") == "127.0.0.1" else element.get("name") for element in named}
    return frozenset(names | {LOOPBACK}) if names and None not in names else None


def interfaces_of_ros() -> frozenset[str] | None:
    """Those that CYCLONEDDS_URI, ROS_AUTOMATIC_DISCOVERY_RANGE or Humble's ROS_LOCALHOST_ONLY leave a ROS 2
    node; None: all."""
    named = interfaces_of(os.environ.get("CYCLONEDDS_URI", ""))
    is_local = (
        os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE") == "LOCALHOST"
        or os.environ.get("ROS_LOCALHOST_ONLY") == "1"
    )
    return frozenset({LOOPBACK}) if named is None and is_local else named


@contextlib.contextmanager
def confined(interfaces: frozenset[str] | None) -> Iterator[None]:
    """UDP sockets that this process opens within hear only what comes by `interfaces`, all where None; all
    where this is not Linux."""
    if interfaces is None or sys.platform != "linux":
        yield
        return
    former = udp_sockets()
    yield
    indices = [index for index, name in socket.if_nameindex() if name in interfaces]
    for inode, descriptor in udp_sockets().items():
        if inode not in former:
            hear_only(descriptor, indices)


def udp_sockets() -> dict[str, int]:
    """This process's UDP sockets: file descriptors by inode."""
    lines = [
        line.split()
        for name in ("udp", "udp6")
        for line in Path(f"/proc/net/{name}").read_text(encoding="ascii").splitlines()[1:]
    ]
    inodes = {f"socket:[{line[9]}]" for line in lines}
    found = {}
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            target = str(descriptor.readlink())
            if target in inodes:
                found[target] = int(descriptor.name)
    return found


def hear_only(descriptor: int, interfaces: Iterable[int]) -> None:
    """Has the kernel drop what comes to a socket by another interface than those with the given indices."""
    allowed = list(interfaces)
    jumps = [(_JUMP_IF_EQUAL, len(allowed) - number, 0, index) for number, index in enumerate(allowed)]
    instructions = [
        (_LOAD, 0, 0, _INTERFACE_INDEX),
        *jumps,
        (_RETURN, 0, 0, 0),
        (_RETURN, 0, 0, _WHOLE_PACKET),
    ]
    program = ctypes.create_string_buffer(
        b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)
    )
    with socket.socket(fileno=os.dup(descriptor)) as handle:
        handle.setsockopt(
            socket.SOL_SOCKET,
            _SO_ATTACH_FILTER,
            struct.pack("HP", len(instructions), ctypes.addressof(program)),
        )

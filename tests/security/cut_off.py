"""A machine that is cut off, for the process that calls it: what wants to leave is counted in a sink.

Run the process with `COMMAND`: it then has a network and mounts of its own. `cut_off` gives that network
the loopback, a default route into a tunnel whose other end is this process, and a resolver that knows
no name.
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
import socket
import struct
import subprocess
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

COMMAND = ["unshare", "--net", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
TUNNEL, RESOLVER = "sink0", "127.0.0.53"
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
NXDOMAIN = 0x8183
# IPv6 by itself talks to its neighbours; without an address made for the tunnel it is silent.
STEPS = (
    "ip link set lo up",
    f"ip link set {TUNNEL} addrgenmode none",
    f"ip link set {TUNNEL} up",
    "ip address add 10.255.0.1/32 dev lo",
    f"ip route add default dev {TUNNEL} src 10.255.0.1",
    "ip -6 address add fd00::1/128 dev lo nodad",
    f"ip -6 route add default dev {TUNNEL}",
)


@dataclass
class Sink:
    """What wanted to leave: `packets` as (protocol, address, port), `names` that a resolver was asked for."""

    packets: list[tuple[str, str, int]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def take(self) -> dict[str, list[object]]:
        """What came since the last call."""
        taken = {"packets": [list(packet) for packet in self.packets], "names": list(self.names)}
        self.packets.clear()
        self.names.clear()
        return taken


def cut_off() -> Sink:
    """Sets everything up; raises CalledProcessError or OSError where the machine does not allow it."""
    sink = Sink()
    tunnel = _tunnel()
    for step in STEPS:
        subprocess.run(step.split(), check=True)
    resolver = socket.socket(type=socket.SOCK_DGRAM)
    resolver.bind((RESOLVER, 53))
    _use_resolver()
    for work, source in ((_swallow, tunnel), (_know_nothing, resolver)):
        threading.Thread(target=work, args=(sink, source), daemon=True).start()
    return sink


def _tunnel() -> int:
    device = Path("/dev/net/tun")
    if not device.exists():
        device.parent.mkdir(exist_ok=True)
        os.mknod(device, 0o20666, os.makedev(10, 200))
    tunnel = os.open(device, os.O_RDWR)
    fcntl.ioctl(tunnel, TUNSETIFF, struct.pack("16sH22x", TUNNEL.encode(), IFF_TUN | IFF_NO_PI))
    return tunnel


def _use_resolver() -> None:
    """Only for this process and its children: nobody else sees these mounts."""
    folder = Path(tempfile.mkdtemp())
    (folder / "resolv.conf").write_text(f"nameserver {RESOLVER}\noptions timeout:1 attempts:1\n")
    (folder / "nsswitch.conf").write_text("hosts: files dns\n")
    for name in ("resolv.conf", "nsswitch.conf"):
        place = Path("/etc", name).resolve()
        subprocess.run(["mount", "--bind", str(folder / name), str(place)], check=True)


def _swallow(sink: Sink, tunnel: int) -> None:
    while packet := os.read(tunnel, 65536):
        sink.packets.append(_described(packet))


def _described(packet: bytes) -> tuple[str, str, int]:
    """Of an IP packet: the protocol, where it wants to go, and the port or 0."""
    if packet[0] >> 4 == 4:
        protocol, address, rest = packet[9], packet[16:20], packet[4 * (packet[0] & 15) :]
    else:
        protocol, address, rest = packet[6], packet[24:40], packet[40:]
    name = {6: "tcp", 17: "udp"}.get(protocol, str(protocol))
    port = int.from_bytes(rest[2:4]) if protocol in (6, 17) else 0
    return name, str(ipaddress.ip_address(address)), port


def _know_nothing(sink: Sink, resolver: socket.socket) -> None:
    while True:
        query, client = resolver.recvfrom(4096)
        sink.names.append(_name_in(query))
        resolver.sendto(query[:2] + struct.pack(">H", NXDOMAIN) + query[4:], client)


def _name_in(query: bytes) -> str:
    labels, at = [], 12
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode(errors="replace"))
        at += 1 + length
    return ".".join(labels)

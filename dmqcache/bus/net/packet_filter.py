"""The allow list in the kernel: a classic BPF program on a datagram socket, so that a flood of strangers is
dropped before it costs a wake-up. Linux only; elsewhere, and for a list that is too long, the same question
is asked for each datagram after it was read (``allow.py``).

Owns the program's text and its attachment; who may speak is ``allow.py``'s.
"""

from __future__ import annotations

import ctypes
import logging
import socket
import struct
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from dmqcache.bus.allow import Network

log = logging.getLogger(__name__)

# <linux/filter.h>, <linux/bpf_common.h> and <asm-generic/socket.h>
SO_ATTACH_FILTER: Final = 26
#: BPF_LD | BPF_W | BPF_ABS, BPF_ALU | BPF_AND | BPF_K, BPF_JMP | BPF_JEQ | BPF_K, BPF_RET | BPF_K
LOAD_WORD, AND, JUMP_IF_EQUAL, RETURN = 0x20, 0x54, 0x15, 0x06
#: Offsets from here on count from the network header (SKF_NET_OFF); a socket's filter starts at UDP's.
NETWORK_HEADER: Final = 0xFFF00000
SOURCE_V4, SOURCE_V6 = 12, 8
ACCEPT, DROP = 0xFFFFFFFF, 0
#: Instructions that the kernel takes (BPF_MAXINSNS).
MAX_INSTRUCTIONS: Final = 4096
#: struct sock_filter: code, jump if true, jump if false, value
INSTRUCTION: Final = struct.Struct("=HBBI")

Instruction = tuple[int, int, int, int]


def program(networks: Iterable[Network], version: int) -> list[Instruction]:
    """What accepts datagrams whose source is in one of the networks of this IP version, and no others."""
    steps: list[Instruction] = []
    for network in networks:
        if network.version == version:
            steps += _accept_from(network)
    steps.append((RETURN, 0, 0, DROP))
    return steps


def _accept_from(network: Network) -> list[Instruction]:
    """Compare the source word by word; the first that differs leads behind this network's part."""
    first = SOURCE_V4 if network.version == 4 else SOURCE_V6
    wanted, mask = network.network_address.packed, network.netmask.packed
    words = []
    for at in range(0, len(wanted), 4):
        value, bits = (int.from_bytes(part[at : at + 4]) for part in (wanted, mask))
        if bits:
            words.append((first + at, value, bits))
    steps: list[Instruction] = []
    for number, (at, value, bits) in enumerate(words):
        to_the_end = 3 * (len(words) - number - 1) + 1
        steps += [
            (LOAD_WORD, 0, 0, NETWORK_HEADER + at),
            (AND, 0, 0, bits),
            (JUMP_IF_EQUAL, 0, to_the_end, value),
        ]
    return [*steps, (RETURN, 0, 0, ACCEPT)]


def attach(sock: socket.socket, networks: Sequence[Network]) -> bool:
    """Let the kernel drop what comes from elsewhere. False where it cannot: the caller asks by itself."""
    if sys.platform != "linux":
        return False
    steps = program(networks, 6 if sock.family == socket.AF_INET6 else 4)
    if len(steps) > MAX_INSTRUCTIONS:
        log.warning("the allow list is too long for the kernel: strangers are turned away one by one")
        return False
    code = ctypes.create_string_buffer(b"".join(INSTRUCTION.pack(*step) for step in steps))
    # struct sock_fprog: number of instructions, pointer to them
    given = struct.pack("HP", len(steps), ctypes.addressof(code))
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, given)
    except OSError as error:
        log.warning("the kernel takes no filter (%s): strangers are turned away one by one", error)
        return False
    return True


def receive_buffer_errors() -> int:
    """Datagrams of this network namespace that found no room in their socket's buffer; what a filter dropped
    is not among them (``/proc/net/snmp``, ``snmp6``)."""
    return _snmp_v4() + _snmp_v6()


def _snmp_v4() -> int:
    lines = [line.split() for line in _proc("/proc/net/snmp") if line.startswith("Udp: ")]
    if len(lines) != 2 or "RcvbufErrors" not in lines[0]:
        return 0
    return int(lines[1][lines[0].index("RcvbufErrors")])


def _snmp_v6() -> int:
    found = [line.split() for line in _proc("/proc/net/snmp6") if line.startswith("Udp6RcvbufErrors")]
    return int(found[0][1]) if found else 0


def _proc(path: str) -> list[str]:
    try:
        return Path(path).read_text("ascii").splitlines()
    except OSError:
        return []

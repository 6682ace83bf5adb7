#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes the seeds of fuzz_udp_in to corpus/udp_in: its SAs need no keys, so they are plain."""

import ipaddress
import pathlib
import struct

OUT = pathlib.Path(__file__).parent / "corpus" / "udp_in"
A, B, A6, B6 = "10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2"
IP, IPV6, UDP = 0, 41, 17
MARKER = bytes(8)


def addr(a):
    return ipaddress.ip_address(a).packed


def ip4(src, dst, proto, payload):
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0x4000, 64, proto,
                       0) + addr(src) + addr(dst) + payload


def ip6(src, dst, nh, payload):
    return struct.pack("!IHBB", 6 << 28, len(payload), nh, 64) + addr(src) + addr(dst) + payload


def udp(payload, sport=4500, dport=4500, length=None):
    return struct.pack("!HHHH", sport, dport, length or 8 + len(payload), 0) + payload


def esp(spi, nh, payload, seq=1):
    n = -(len(payload) + 2) % 4
    return (struct.pack("!II", spi, seq) + payload + bytes(i + 1 for i in range(n))
            + bytes([n, nh]))


def cmsg(level, kind, data):
    head = struct.pack("=QII", 16 + len(data), level, kind)
    return head + data + bytes(-len(data) % 8)


def to4():
    return cmsg(IP, 20, struct.pack("=H", 2) + struct.pack("!H", 4500) + addr(B) + bytes(8))


def to6():
    return cmsg(IPV6, 74, struct.pack("=H", 10) + struct.pack("!HI", 4500, 0) + addr(B6) + bytes(4))


def gro(size):
    return cmsg(UDP, 104, struct.pack("=i", size))


def message(flags, control, payload, cut=0):
    return bytes([flags, cut, len(control) // 4]) + control + payload


data = udp(b"abcd", 1000, 2000)
tcp = struct.pack("!HHIIBBHHH", 1, 2, 3, 4, 0x50, 0x10, 5, 6, 0) + b"xy"
inner = ip4("10.1.0.1", "10.2.0.1", 17, data)
one = esp(0x1001, 17, data)
fields4 = cmsg(IP, 1, b"\x2e") + cmsg(IP, 2, struct.pack("=i", 9))
fields6 = cmsg(IPV6, 67, struct.pack("=i", 0x2e)) + cmsg(IPV6, 52, struct.pack("=i", 9))

SEEDS = {
    "packet": b"\2" + ip4(A, B, 17, udp(one)),
    "packet-tunnel": b"\2" + ip4(A, B, 17, udp(esp(0x1002, 4, inner))),
    "packet-marker": b"\2" + ip4(A, B, 17, udp(MARKER + esp(0x1003, 17, data))),
    "packet-marker-missing": b"\2" + ip4(A, B, 17, udp(esp(0x1003, 17, data))),
    "packet6": b"\3" + ip6(A6, B6, 17, udp(esp(0x1004, 17, data + bytes(12)))),
    "packet6-marker": b"\3" + ip6(A6, B6, 17, udp(MARKER + esp(0x1008, 6, tcp))),
    "packet6-options": b"\3" + ip6(A6, B6, 60, bytes([17, 0, 1, 4, 0, 0, 0, 0])
                                  + udp(esp(0x1004, 17, data))),
    "packet-forged": b"\2" + ip4(A, B, 17, udp(esp(0x1005, 17, bytes(24)))),
    "packet-moved": b"\2" + ip4(A, B, 17, udp(one, sport=777)),
    "packet-original-udp": b"\2" + ip4(A, B, 17, udp(esp(0x1006, 17, data))),
    "packet-original-tcp": b"\2" + ip4(A, B, 17, udp(esp(0x1006, 6, tcp))),
    "packet-new-sum-tcp": b"\6" + ip4(A, B, 17, udp(esp(0x1006, 6, tcp))),
    "packet-new-sum-dccp": b"\6" + ip4(A, B, 17, udp(esp(0x1001, 33, tcp))),
    "packet-not-in-udp": b"\2" + ip4(A, B, 17, udp(esp(0x1007, 17, data))),
    "packet-plain": b"\2" + ip4(A, B, 50, one),
    "packet-keepalive": b"\2" + ip4(A, B, 17, udp(b"\xff")),
    "packet-ike": b"\2" + ip4(A, B, 17, udp(bytes(4) + b"cookie.." + bytes(24))),
    "packet-length": b"\2" + ip4(A, B, 17, udp(one, length=9)),
    "packet-short": b"\2" + ip4(A, B, 17, b"\x11\x94"),
    "packet-no-sa": b"\2" + ip4(A, B, 17, udp(esp(0x9999, 17, data))),
    "message": message(0, to4(), one),
    "message-row": message(0, gro(len(one)) + fields4 + to4(),
                           b"".join(esp(0x1001, 17, data, n) for n in range(1, 7)) + one[:9]),
    "message-mixed": message(0, gro(32) + to4(), (bytes(4) + b"cookie..").ljust(32, b"\0") + one),
    "message-odd": message(0, gro(7) + to4(), one),
    "message-ones": message(0, gro(1) + to4(), one * 3),
    "message-larger": message(0, gro(1000) + to4(), one),
    "message-negative": message(0, gro(-5) + to4(), one),
    "message-empty": message(0, to4(), b""),
    "message6": message(1, to6() + fields6, esp(0x1004, 17, data)),
    "message6-row": message(1, gro(40) + to6(), esp(0x1004, 6, tcp + bytes(7)) * 3),
    "message-cut": message(0, to4(), one, 1),
    "message-control-cut": message(0, to4(), one, 2),
    "message-nowhere": message(0, fields4, one),
    "message-other-family": message(0, to6(), one),
    "message-short-address": message(0, cmsg(IP, 20, b"\2\0\x11\x94"), one),
    "message-long-field": message(0, struct.pack("=QII", 500, IP, 20) + bytes(16), one),
    "message-no-length": message(0, struct.pack("=QII", 3, IP, 20) + bytes(16), one),
}

OUT.mkdir(parents=True, exist_ok=True)
for name, seed in SEEDS.items():
    (OUT / name).write_bytes(seed)

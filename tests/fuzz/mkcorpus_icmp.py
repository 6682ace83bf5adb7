#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes the seeds of fuzz_icmp to corpus/icmp: errors about packets of its SAs."""

import ipaddress
import pathlib
import struct

OUT = pathlib.Path(__file__).parent / "corpus" / "icmp"
ME, PEER = ("10.0.0.1", "2001:db8::1"), ("10.0.0.2", "2001:db8::2")
UDP, ICMP, ICMP6, ESP, AH, TCP, COMP = 17, 1, 58, 50, 51, 6, 108


def ip(six, src, dst, proto, payload, total=1400, frag=0):
    ends = ipaddress.ip_address(src).packed + ipaddress.ip_address(dst).packed
    if six:
        return struct.pack("!IHBB", 6 << 28, total - 40, proto, 64) + ends + payload
    return struct.pack("!BBHHHBBH", 0x45, 0, total, 7, frag, 64, proto, 0) + ends + payload


def error(six, quote, mtu=1300, kind=None, code=0):
    if kind is None:
        kind, code = (2, 0) if six else (3, 4)
    return struct.pack("!BBHI", kind, code, 0, mtu) + quote


def esp(spi, seq=1):
    return struct.pack("!II", spi, seq) + bytes(24)


seeds = {}
for six in (0, 1):
    me, peer = ME[six], PEER[six]
    q = {
        "esp": ip(six, me, peer, ESP, esp(0x1003, 2)),
        "esp_unsent": ip(six, me, peer, ESP, esp(0x1003, 9)),
        "esp_spi": ip(six, me, peer, ESP, esp(0x2001)),
        "short": ip(six, me, peer, ESP, bytes(4)),
        "ah": ip(six, me, peer, AH, struct.pack("!BBHII", 6, 4, 0, 0x1004, 1) + bytes(16)),
        "comp": ip(six, me, peer, COMP, struct.pack("!BBH", 6, 0, 2) + bytes(8)),
        "udp": ip(six, me, peer, UDP, struct.pack("!HHHH", 4500, 4500, 60, 0) + esp(0x1002)),
        "marker": ip(six, me, peer, UDP,
                     struct.pack("!HHHH", 4500, 500, 60, 0) + bytes(8) + esp(0x1003, 1)),
        "clear_udp": ip(six, me, peer, UDP, struct.pack("!HHHH", 1000, 2000, 60, 0) + bytes(30)),
        "clear_tcp": ip(six, me, peer, TCP, struct.pack("!HHI", 1000, 80, 5) + bytes(16)),
        "echo": ip(six, me, peer, ICMP6 if six else ICMP, bytes([128 if six else 8, 0, 0, 0]) + bytes(8)),
        "reverse": ip(six, peer, me, UDP, struct.pack("!HHHH", 1000, 2000, 60, 0) + bytes(30)),
        "ipip": ip(six, me, peer, 4, ip(0, me if not six else "10.0.0.1", "10.0.0.2", UDP, bytes(8))),
    }
    if six:
        q["dstopts"] = ip(1, me, peer, 60, bytes([ESP, 0, 1, 4, 0, 0, 0, 0]) + esp(0x1003))
        q["fragment"] = ip(1, me, peer, 44, struct.pack("!BBHI", ESP, 0, 1, 7) + esp(0x1003))
        q["later"] = ip(1, me, peer, 44, struct.pack("!BBHI", ESP, 0, 0x101, 7) + esp(0x1003))
    else:
        q["first"] = ip(0, me, peer, ESP, esp(0x1003), frag=0x2000)
        q["later"] = ip(0, me, peer, ESP, esp(0x1003), frag=0x2005)
    for name, quote in q.items():
        for how in (0, 2, 6):
            seeds[f"{name}{6 if six else 4}_{how}"] = bytes([six | how]) + error(six, quote)
    for mtu in (0, 67, 68, 1279, 1280, 1400, 0xffffffff):
        seeds[f"mtu{mtu:x}_{6 if six else 4}"] = bytes([six]) + error(six, q["esp"], mtu)
    for kind in (1, 3, 4, 5, 11, 12):
        seeds[f"type{kind}_{6 if six else 4}"] = bytes([six]) + error(six, q["esp"], 0x10000000, kind, 1)
    seeds[f"forwarded_{6 if six else 4}"] = bytes([six | 10]) + error(six, q["clear_udp"])

OUT.mkdir(parents=True, exist_ok=True)
for old in OUT.iterdir():
    old.unlink()
for name, data in seeds.items():
    (OUT / name).write_bytes(data)

#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes the seeds of fuzz_esp_in to corpus/esp_in: its SAs need no keys, so they are plain."""

import ipaddress
import pathlib
import struct

OUT = pathlib.Path(__file__).parent / "corpus" / "esp_in"
A, B = "10.0.0.1", "10.0.0.2"
A6, B6 = "2001:db8::1", "2001:db8::2"
UDP = struct.pack("!HHHH", 1000, 2000, 12, 0) + b"abcd"
ESP, DSTOPTS, NONE = 50, 60, 59


def ip4(src, dst, proto, payload, tos=0, frag=0, options=b""):
    head = struct.pack("!BBHHHBBH", 0x45 + len(options) // 4, tos,
                       20 + len(options) + len(payload), 7, frag, 64, proto, 0)
    return (head + ipaddress.ip_address(src).packed + ipaddress.ip_address(dst).packed
            + options + payload)


def ip6(src, dst, nh, payload, tclass=0):
    return (struct.pack("!IHBB", 6 << 28 | tclass << 20, len(payload), nh, 64)
            + ipaddress.ip_address(src).packed + ipaddress.ip_address(dst).packed + payload)


def esp(spi, nh, payload, seq=1, pad=None, tail=b""):
    n = -(len(payload) + 2) % 4 if pad is None else pad
    return (struct.pack("!II", spi, seq) + payload + bytes(i + 1 & 255 for i in range(n))
            + bytes([n, nh]) + tail)


def old(spi, nh, payload):
    return esp(spi, nh, payload)[:4] + esp(spi, nh, payload)[8:]


def dstopts(nh):
    return bytes([nh, 0, 1, 4, 0, 0, 0, 0])


def nested(depth):
    body, proto = UDP, 17
    for _ in range(depth):
        body, proto = esp(0x1001, proto, body), ESP
    return ip4(A, B, ESP, body)


inner = ip4("10.1.0.1", "10.2.0.1", 17, UDP, tos=2)
bad_padding = bytearray(esp(0x1001, 17, UDP + b"x"))
bad_padding[-3] ^= 1

IN = {
    "transport": ip4(A, B, ESP, esp(0x1001, 17, UDP)),
    "transport-options": ip4(A, B, ESP, esp(0x1001, 17, UDP), options=b"\x01" * 8),
    "transport-ipip": ip4(A, B, ESP, esp(0x1001, 4, inner)),
    "transport-icmp": ip4(A, B, ESP, esp(0x1001, 1, b"\x08\x00\x00\x00")),
    "any-transport": ip4(A, B, ESP, esp(0x1003, 17, UDP)),
    "transport6": ip6(A6, B6, ESP, esp(0x1004, 17, UDP)),
    "transport6-options": ip6(A6, B6, DSTOPTS, dstopts(ESP) + esp(0x1004, 17, UDP)),
    "transport6-inside": ip6(A6, B6, ESP, esp(0x1004, DSTOPTS, dstopts(17) + UDP)),
    "transport6-bad-inside": ip6(A6, B6, ESP, esp(0x1004, DSTOPTS, b"\x11\xff\0\0")),
    "tunnel": ip4(A, B, ESP, esp(0x1002, 4, inner)),
    "tunnel-ce": ip4(A, B, ESP, esp(0x1002, 4, inner), tos=3),
    "tunnel6-ce": ip4(A, B, ESP, esp(0x1003, 41, ip6(A6, "2001:db8::9", 17, UDP, 1)), tos=3),
    "tunnel-ecn-unexpected": ip4(A, B, ESP, esp(0x1008, 4, ip4("10.1.0.1", "10.2.0.1", 17, UDP,
                                                               tos=1)), tos=2),
    "tunnel-ecn-lost": ip4(A, B, ESP, esp(0x1008, 4, ip4("10.1.0.1", "10.2.0.1", 17, UDP)), tos=3),
    "tunnel-ecn6": ip4(A, B, ESP, esp(0x1008, 41, ip6(A6, "2001:db8::9", 17, UDP, 2)), tos=1),
    "tunnel-tfc": ip4(A, B, ESP, esp(0x1002, 4, inner + bytes(40))),
    "tunnel-other": ip4(A, B, ESP, esp(0x1002, 4, ip4("10.9.0.1", "10.2.0.1", 17, UDP))),
    "tunnel-discard": ip4(A, B, ESP, esp(0x1002, 4, ip4("10.3.0.1", "10.2.0.1", 17, UDP))),
    "tunnel-none": ip4(A, B, ESP, esp(0x1002, 4, ip4("10.4.0.1", "10.2.0.1", 17, UDP))),
    "tunnel-spoof": ip4(A, B, ESP, esp(0x1002, 4, ip4(B, "10.2.0.1", 17, UDP))),
    "tunnel-fragment": ip4(A, B, ESP, esp(0x1002, 4, ip4("10.1.0.1", "10.2.0.1", 17, UDP,
                                                         frag=5))),
    "tunnel-opaque": ip4(A, B, ESP, esp(0x1002, 4, ip4(A, B, 17, UDP, frag=5))),
    "tunnel-in-tunnel": ip4(A, B, ESP, esp(0x1002, 4, ip4(A, B, ESP, esp(0x1002, 4, inner)))),
    "tunnel-esp-fragment": ip4(A, B, ESP, esp(0x1002, 4, ip4(A, B, ESP, UDP, frag=0x2000))),
    "tunnel-mode": ip4(A, B, ESP, esp(0x1002, 17, UDP)),
    "tunnel-family": ip4(A, B, ESP, esp(0x1002, 41, inner)),
    "tunnel-short": ip4(A, B, ESP, esp(0x1002, 4, inner[:22])),
    "dummy": ip4(A, B, ESP, esp(0x1003, NONE, b"")),
    "pad-content": ip4(A, B, ESP, bytes(bad_padding)),
    "pad-zero": ip4(A, B, ESP, bytes(esp(0x1007, 17, UDP + b"x"))),
    "pad-length": ip4(A, B, ESP, struct.pack("!II", 0x1001, 1) + b"\0\0\xff\x11"),
    "odd": ip4(A, B, ESP, struct.pack("!II", 0x1001, 1) + b"\0\0\0\0\0"),
    "no-text": ip4(A, B, ESP, struct.pack("!II", 0x1001, 1)),
    "no-header": ip4(A, B, ESP, b"\0\0\x10\x01"),
    "no-sa": ip4(A, B, ESP, esp(0x9999, 17, UDP)),
    "forged": ip4(A, B, ESP, esp(0x1005, 17, UDP + bytes(8), tail=bytes(16))),
    "forged-zero": ip4(A, B, ESP, esp(0x1005, 17, UDP + bytes(8), seq=0, tail=bytes(16))),
    "forged-esn": ip4(A, B, ESP, esp(0x100c, 17, bytes(30), seq=7, tail=bytes(12))),
    "forged-esn-late": ip4(A, B, ESP, esp(0x100c, 17, bytes(30), seq=0xfffffff0, tail=bytes(12))),
    "old": ip4(A, B, ESP, old(0x1009, 17, UDP)),
    "old-tunnel": ip4(A, B, ESP, old(0x1009, 4, inner)),
    "old-no-text": ip4(A, B, ESP, old(0x1009, 17, b"")[:4] + b"\0\0\1\x11"),
    "old-32iv": ip4(A, B, ESP, old(0x100a, 17, bytes(22))),
    "null-icv": ip4(A, B, ESP, esp(0x100b, 17, UDP, tail=bytes(12))),
    "null-icv-other": ip4(A, B, ESP, esp(0x100b, 17, UDP, tail=b"x" * 12)),
    "used-up": ip4(A, B, ESP, esp(0x1006, 1, b"\x08\x00\x00\x00")),
    "fragment": ip4(A, B, ESP, esp(0x1001, 17, UDP), frag=0x2000),
    "nested-max": nested(8),
    "nested-more": nested(9),
    "clear": ip4(A, B, 17, UDP),
    "version": b"\x75" + bytes(30),
}
CLEAR = {
    "udp": ip4(A, B, 17, UDP),
    "esp": ip4(A, B, ESP, esp(0x1001, 17, UDP)),
    "other": ip4("10.9.0.1", B, 17, UDP),
    "nd": ip6(A6, B6, 58, b"\x87" + bytes(23)),
    "echo6": ip6(A6, B6, 58, b"\x80" + bytes(23)),
    "short": ip4(A, B, 17, UDP)[:-1],
}

OUT.mkdir(parents=True, exist_ok=True)
for name, packet in IN.items():
    (OUT / f"in-{name}").write_bytes(b"\0" + packet)
for name, packet in CLEAR.items():
    (OUT / f"clear-{name}").write_bytes(b"\1" + packet)
(OUT / "forwarded-esp").write_bytes(b"\3" + CLEAR["esp"])

#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes the seeds of fuzz_ah_in to corpus/ah_in: most of its SAs need no keys, so they are plain."""

import ipaddress
import pathlib
import struct

OUT = pathlib.Path(__file__).parent / "corpus" / "ah_in"
A, B = "10.0.0.1", "10.0.0.2"
A6, B6 = "2001:db8::1", "2001:db8::2"
UDP = struct.pack("!HHHH", 1000, 2000, 12, 0) + b"abcd"
HOP, ROUTING, ESP, AH, DSTOPTS = 0, 43, 50, 51, 60


def ip4(src, dst, proto, payload, tos=0, frag=0, options=b""):
    head = struct.pack("!BBHHHBBH", 0x45 + len(options) // 4, tos,
                       20 + len(options) + len(payload), 7, frag, 64, proto, 0)
    return (head + ipaddress.ip_address(src).packed + ipaddress.ip_address(dst).packed
            + options + payload)


def ip6(src, dst, nh, payload, tclass=0):
    return (struct.pack("!IHBB", 6 << 28 | tclass << 20, len(payload), nh, 64)
            + ipaddress.ip_address(src).packed + ipaddress.ip_address(dst).packed + payload)


def ah(spi, nh, payload, seq=1, icv=bytes(12), length=None):
    words = (12 + len(icv)) // 4 - 2 if length is None else length
    return struct.pack("!BBHII", nh, words, 0, spi, seq) + icv + payload


def esp(nh, payload):
    n = -(len(payload) + 2) % 4
    return (struct.pack("!II", 0x1006, 1) + payload + bytes(i + 1 for i in range(n))
            + bytes([n, nh]))


def options6(nh):
    return bytes([nh, 0, 0x26, 4, 1, 2, 3, 4])


def nested(depth):
    body, proto = UDP, 17
    for _ in range(depth):
        body, proto = ah(0x1001, proto, body), AH
    return ip4(A, B, AH, body)


inner = ip4("10.1.0.1", "10.2.0.1", 17, UDP, tos=2)
rh0 = bytes([AH, 2, 0, 0, 0, 0, 0, 0]) + ipaddress.ip_address(A6).packed
IN = {
    "transport": ip4(A, B, AH, ah(0x1001, 17, UDP)),
    "transport-options": ip4(A, B, AH, ah(0x1001, 17, UDP), options=b"\x94\4\0\0\7\7\4\0\0\0\0\0"),
    "transport-bad-option": ip4(A, B, AH, ah(0x1001, 17, UDP), options=b"\7\x20\4\0"),
    "transport-pad8": ip4(A, B, AH, ah(0x1001, 17, UDP, icv=bytes(16))),
    "transport-trailing": ip4(A, B, AH, ah(0x1001, 17, UDP)) + bytes(20),
    "transport-none": ip4(A, B, AH, ah(0x1001, 59, b"")),
    "transport6": ip6(A6, B6, AH, ah(0x1004, 17, UDP)),
    "transport6-hop": ip6(A6, B6, HOP, options6(AH) + ah(0x1004, 17, UDP)),
    "transport6-dst": ip6(A6, B6, DSTOPTS, options6(AH) + ah(0x1004, 17, UDP)),
    "transport6-inside": ip6(A6, B6, AH, ah(0x1004, DSTOPTS, options6(17) + UDP)),
    "transport6-bad-inside": ip6(A6, B6, AH, ah(0x1004, DSTOPTS, b"\x11\xff\0\0")),
    "transport6-rh0": ip6(A6, B6, ROUTING, rh0 + ah(0x1004, 17, UDP)),
    "transport6-rh4": ip6(A6, B6, ROUTING, b"\x33\0\4\0\0\0\0\0" + ah(0x1004, 17, UDP)),
    "transport6-jumbo": ip6(A6, B6, HOP, b"\x33\0\xc2\4\0\1\0\0" + ah(0x1004, 17, UDP)),
    "transport6-long": ip6(A6, B6, HOP, b"\x33\x7f" + (b"\1\xfc" + bytes(252)) * 4 + b"\1\4\0\0\0\0"
                           + ah(0x1004, 17, UDP)),
    "any": ip4(A, B, AH, ah(0x1003, 17, UDP)),
    "tunnel": ip4(A, B, AH, ah(0x1002, 4, inner)),
    "tunnel6": ip6(A6, B6, AH, ah(0x1004, 41, ip6(A6, "2001:db8::9", 17, UDP))),
    "tunnel-other": ip4(A, B, AH, ah(0x1002, 4, ip4("10.9.0.1", "10.2.0.1", 17, UDP))),
    "tunnel-spoof": ip4(A, B, AH, ah(0x1002, 4, ip4(B, "10.2.0.1", 17, UDP))),
    "tunnel-in-tunnel": ip4(A, B, AH, ah(0x1002, 4, ip4(A, B, AH, ah(0x1002, 4, inner)))),
    "tunnel-mode": ip4(A, B, AH, ah(0x1002, 17, UDP)),
    "tunnel-short": ip4(A, B, AH, ah(0x1002, 4, inner[:22])),
    "ah-esp": ip4(A, B, AH, ah(0x1001, ESP, esp(17, UDP))),
    "esp-ah": ip4(A, B, ESP, esp(AH, ah(0x1001, 17, UDP))),
    "icv": ip4(A, B, AH, ah(0x1001, 17, UDP, icv=b"x" * 12)),
    "length": ip4(A, B, AH, ah(0x1001, 17, UDP, length=3)),
    "length-0": ip4(A, B, AH, ah(0x1001, 17, UDP, length=0)),
    "length-max": ip4(A, B, AH, ah(0x1001, 17, UDP, length=255)),
    "short": ip4(A, B, AH, ah(0x1001, 17, b"")[:11]),
    "cut": ip4(A, B, AH, ah(0x1001, 17, b"")[:20]),
    "no-sa": ip4(A, B, AH, ah(0x9999, 17, UDP)),
    "used-up": ip4(A, B, AH, ah(0x1005, 1, b"\x08\0\0\0")),
    "forged": ip4(A, B, AH, ah(0x2001, 17, UDP)),
    "forged-gmac": ip4(A, B, AH, ah(0x2002, 17, UDP, icv=bytes(24))),
    "forged-old": ip4(A, B, AH, struct.pack("!BBHI", 17, 4, 0, 0x2003) + bytes(16) + UDP),
    "forged-esn": ip4(A, B, AH, ah(0x2004, 17, UDP, icv=bytes(16))),
    "forged-esn-late": ip4(A, B, AH, ah(0x2004, 17, UDP, seq=0xfffffff0, icv=bytes(20))),
    "forged-gmac-esn": ip6(A6, B6, AH, ah(0x2005, 17, UDP, icv=bytes(28))),
    "fragment": ip4(A, B, AH, ah(0x1001, 17, UDP), frag=0x2000),
    "nested-max": nested(8),
    "nested-more": nested(9),
    "clear": ip4(A, B, 17, UDP),
    "version": b"\x75" + bytes(30),
}

OUT.mkdir(parents=True, exist_ok=True)
for name, packet in IN.items():
    (OUT / name).write_bytes(b"\0" + packet)
(OUT / "no-room").write_bytes(b"\1" + IN["transport"])
(OUT / "knobs").write_bytes(b"\2" + IN["transport"])

#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes the seeds of fuzz_ipcomp to corpus/ipcomp; streams are made by Python's zlib."""

import ipaddress
import pathlib
import struct
import zlib

OUT = pathlib.Path(__file__).parent / "corpus" / "ipcomp"
IPIP, UDP_NR, IPV6, ESP, DSTOPTS, IPCOMP = 4, 17, 41, 50, 60, 108
A, B = "10.0.0.1", "10.0.0.2"
A6, B6 = "2001:db8::1", "2001:db8::2"
TEXT = b"GET /index.html HTTP/1.1\r\nHost: www.example.org\r\n" * 3
UDP = struct.pack("!HHHH", 1000, 2000, 8 + len(TEXT), 0) + TEXT


def ip4(src, dst, proto, payload, frag=0, options=b""):
    head = struct.pack("!BBHHHBBH", 0x45 + len(options) // 4, 0, 20 + len(options) + len(payload), 7, frag,
                       64, proto, 0)
    head += ipaddress.ip_address(src).packed + ipaddress.ip_address(dst).packed + options
    total = sum(struct.unpack(f"!{len(head) // 2}H", head))
    total = (total & 0xFFFF) + (total >> 16)
    total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return head[:10] + struct.pack("!H", total) + head[12:] + payload


def ip6(src, dst, nh, payload):
    return (struct.pack("!IHBB", 6 << 28, len(payload), nh, 64)
            + ipaddress.ip_address(src).packed + ipaddress.ip_address(dst).packed + payload)


def deflate(data, level=9, strategy=zlib.Z_DEFAULT_STRATEGY):
    z = zlib.compressobj(level, zlib.DEFLATED, -15, 9, strategy)
    return z.compress(data) + z.flush()


def comp(nh, data, cpi=2, flags=0):
    return struct.pack("!BBH", nh, flags, cpi) + deflate(data)


def esp(nh, payload):
    n = -(len(payload) + 2) % 4
    return struct.pack("!II", 0x1007, 1) + payload + bytes(range(1, n + 1)) + bytes([n, nh])


inner = ip4("10.1.0.1", "10.2.0.1", UDP_NR, UDP)
inner6 = ip6("2001:db8:1::1", "2001:db8:2::1", UDP_NR, UDP)
deep = ip4("10.5.0.1", "10.6.0.1", UDP_NR, UDP)
nested = UDP
for i in range(9):
    nested = comp(IPCOMP if i else UDP_NR, nested)
COMES_IN = {
    "transport": ip4(A, B, IPCOMP, comp(UDP_NR, UDP)),
    "transport6": ip6(A6, B6, IPCOMP, comp(UDP_NR, UDP, 0x1003)),
    "options": ip4(A, B, IPCOMP, comp(UDP_NR, UDP), options=b"\x94\4\0\0"),
    "dstopts": ip6(A6, B6, DSTOPTS, bytes([IPCOMP, 0, 1, 4, 0, 0, 0, 0]) + comp(UDP_NR, UDP)),
    "tunnel": ip4("192.0.2.1", "192.0.2.2", IPCOMP, comp(IPIP, inner)),
    "tunnel6": ip4("192.0.2.1", "192.0.2.2", IPCOMP, comp(IPV6, inner6)),
    "over6": ip6("2001:db8:a::1", "2001:db8:a::2", IPCOMP,
                 comp(IPIP, ip4("10.3.0.1", "10.4.0.1", UDP_NR, UDP))),
    "raw": ip4(A, B, IPCOMP, comp(IPIP, inner, 0x1002)),
    "any": ip4("192.0.2.3", "192.0.2.4", IPCOMP, comp(IPIP, deep)),
    "bare": ip4("192.0.2.1", "192.0.2.2", IPIP, inner),
    "bare6": ip4("192.0.2.1", "192.0.2.2", IPV6, inner6),
    "bare-wrong": ip4("192.0.2.1", "192.0.2.2", IPV6, inner),
    "bare-other": ip4("192.0.2.9", "192.0.2.2", IPIP, inner),
    "bare-fragment": ip4("192.0.2.1", "192.0.2.2", IPIP, inner, frag=0x2000),
    "esp": ip4("192.0.2.3", "192.0.2.4", ESP, esp(IPCOMP, comp(IPIP, deep))),
    "esp-bare": ip4("192.0.2.3", "192.0.2.4", ESP, esp(IPIP, deep)),
    "flags": ip4(A, B, IPCOMP, comp(UDP_NR, UDP, flags=0xFF)),
    "mode": ip4("192.0.2.1", "192.0.2.2", IPCOMP, comp(UDP_NR, UDP)),
    "cpi-none": ip4(A, B, IPCOMP, comp(UDP_NR, UDP, 3)),
    "cpi-reserved": ip4(A, B, IPCOMP, comp(UDP_NR, UDP, 100)),
    "cpi-other": ip4(A, B, IPCOMP, comp(UDP_NR, UDP, 0x2000)),
    "fragment": ip4(A, B, IPCOMP, comp(UDP_NR, UDP), frag=0x2000),
    "nested": ip4(A, B, IPCOMP, nested),
    "short": ip4(A, B, IPCOMP, b"\x11\0\0"),
    "bomb": ip4(A, B, IPCOMP, comp(UDP_NR, bytes(1 << 20))),
    "largest": ip4(A, B, IPCOMP, comp(UDP_NR, bytes(65515))),
}
STREAMS = {
    "stored": deflate(UDP, 0),
    "fixed": deflate(UDP, strategy=zlib.Z_FIXED),
    "huffman": deflate(UDP, strategy=zlib.Z_HUFFMAN_ONLY),
    "dynamic": deflate(TEXT * 10 + bytes(range(256))),
    "tail": deflate(UDP) + b"tail",
    "cut": deflate(UDP)[:-3],
    "bomb": deflate(bytes(1 << 20)),
}
GOES_OUT = {
    "transport": ip4(A, B, UDP_NR, UDP),
    "small": ip4(A, B, UDP_NR, UDP[:69]),
    "transport6": ip6(A6, B6, UDP_NR, UDP),
    "tunnel": inner,
    "tunnel6": inner6,
    "over6": ip4("10.3.0.1", "10.4.0.1", UDP_NR, UDP),
    "esp": deep,
    "esp-small": ip4("10.5.0.1", "10.6.0.1", UDP_NR, UDP[:20]),
    "fragment": ip4(A, B, UDP_NR, UDP, frag=0x2000),
    "checksum-ffff": (lambda p: p[:10] + b"\xff\xff" + p[12:])(ip4(A, B, 255, bytes(200))),
    "noise": ip4(A, B, UDP_NR, bytes(i * i * 7 % 251 for i in range(200))),
}

OUT.mkdir(parents=True, exist_ok=True)
for name, packet in COMES_IN.items():
    (OUT / f"in-{name}").write_bytes(b"\0" + packet)
for name, stream in STREAMS.items():
    (OUT / f"stream-{name}").write_bytes(b"\1\0" + stream)
    (OUT / f"inflate-{name}").write_bytes(b"\4\x30" + stream)
for what, plain in {0: UDP, 0x22: inner, 0x23: inner6, 0xA2: inner, 0x42: deep, 0x04: comp(UDP_NR, UDP)}.items():
    (OUT / f"content-{what:02x}").write_bytes(bytes([2, what]) + plain)
for name, packet in GOES_OUT.items():
    (OUT / f"out-{name}").write_bytes(b"\3" + packet)

#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes the seeds of fuzz_ah to corpus/ah: headers in front of AH, with every option it knows."""

import ipaddress
import pathlib
import struct

OUT = pathlib.Path(__file__).parent / "corpus" / "ah"
A, B = (ipaddress.ip_address(a).packed for a in ("192.0.2.1", "198.51.100.1"))
A6, B6, C6 = (ipaddress.ip_address(a).packed for a in ("2001:db8::1", "2001:db8::2", "2001:db8::3"))
HOP, ROUTING, FRAGMENT, AH, DST = 0, 43, 44, 51, 60


def ip4(options="", ihl=None):
    raw = bytes.fromhex(options)
    raw += bytes(-len(raw) % 4)
    head = 5 + len(raw) // 4 if ihl is None else ihl
    return bytes([0x40 | head, 0xb9]) + struct.pack("!HHHBBH", 200, 7, 0x4000, 64, AH, 1) + A + B + raw


def ip6(*exts):
    """exts: (number of the header, its content behind next header and length)."""
    body, nh = b"", AH
    for number, content in reversed(exts):
        raw = bytes.fromhex(content)
        raw += bytes(-(len(raw) + 2) % 8)
        body = bytes([nh, (len(raw) + 2) // 8 - 1]) + raw + body
        nh = number
    return struct.pack("!IHBB", 0x6b9abcde, 100, nh, 64) + A6 + B6 + body


def routing(left, *hops, kind=0):
    return bytes([kind, left, 0, 0, 0, 0]).hex() + b"".join(hops).hex()


SEEDS = {
    "4-plain": ip4(),
    "4-kept": ip4("0101820babcdabcdabcdabcdab8503aa8606000000009404000095070102030405"),
    "4-zeroed": ip4("0707040000000001" "4408050012345678" "8804000152040000" "97020b0405dc"),
    "4-lsrr": ip4("830b040a0000010a000002"),
    "4-ssrr": ip4("01890b080a0000010a000002"),
    "4-lsrr-done": ip4("8307080a000001"),
    "4-lsrr-short": ip4("8302"),
    "4-lsrr-pointer": ip4("8307050a000001"),
    "4-lsrr-odd": ip4("8308040a00000101"),
    "4-eol": ip4("00070300"),
    "4-no-length": ip4("01010107"),
    "4-length-1": ip4("0701"),
    "4-too-long": ip4("07050000"),
    "4-ihl": ip4(ihl=6),
    "4-ihl-small": ip4(ihl=4),
    "4-cut": ip4()[:10],
    "6-plain": ip6(),
    "6-hop": ip6((HOP, "050200000104deadbeef")),
    "6-changes": ip6((HOP, "2603deadbe0502abcd0103"), (DST, "3e02dead3f03beefbe2601ff")),
    "6-jumbo": ip6((HOP, "c20400010000")),
    "6-option-long": ip6((DST, "2605deadbeef")),
    "6-option-cut": ip6((DST, "0103aabbcc26")),
    "6-rh0": ip6((ROUTING, routing(2, C6, B6))),
    "6-rh0-done": ip6((ROUTING, routing(0, C6))),
    "6-rh0-left": ip6((ROUTING, routing(3, C6))),
    "6-rh0-odd": ip6((ROUTING, routing(0, C6[:8]))),
    "6-rh4": ip6((ROUTING, routing(0, C6, kind=4))),
    "6-chain": ip6((HOP, "260401020304"), (DST, "050400000001"), (ROUTING, routing(1, C6)),
                   (DST, "3e04ffffffff")),
    "6-fragment": ip6((FRAGMENT, "000000000000")),
    "6-ext-long": ip6((HOP, ""))[:40] + bytes([AH, 1, 1, 4, 0, 0, 0, 0]),
    "6-ext-cut": ip6((HOP, ""))[:44],
    "6-other": ip6((HOP, ""))[:40] + bytes([17, 0, 1, 4, 0, 0, 0, 0]),
    "6-cut": ip6()[:20],
    "version": b"\x75" + bytes(30),
    "empty": b"",
}

OUT.mkdir(parents=True, exist_ok=True)
for name, header in SEEDS.items():
    for flags in (0, 1) if "rr" in name or "rh0" in name or "chain" in name else (0,):
        (OUT / f"{name}-{'out' if flags else 'in'}").write_bytes(bytes([flags]) + header)
(OUT / "4-tos").write_bytes(b"\2" + ip4())
(OUT / "4-offset").write_bytes(b"\4" + ip4())

"""ESP with scapy in every size and with every key length: 0 and 1 bytes, the edges of blocks and of
MTUs, and the largest packet, in both directions.  The algorithms with implicit IVs (RFC 8750) are
scapy's with explicit ones: here the IV is taken out of its packets, or put in.

With TDO_FULL=1 every pair of algorithms in every shape and with every driver; else they take turns."""
import os
import struct

import pytest

from packet_engine import Engine
from packet_shapes import INNER, SHAPES
from packet_sizes import BIG, EDGES, LARGEST, MTUS, NOISE
from test_interop import BUILT, CIPHERS, NONE, SCAPY, SHA256, association, engine_for, name

from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6

FULL = os.environ.get("TDO_FULL") == "1"
DRIVERS = [None if d == "default" else d for d in os.environ["TDO_DRIVERS"].split()]
PROTO = 253  # for experiments: it may have no bytes at all
HEADER = {4: 20, 6: 40}
# Ciphers with dozens of key lengths; test_interop has the ends.
LONG = [(cipher, mac) for alg, scapy, low, high in (("blowfish-cbc", "Blowfish", 5, 56), ("cast128-cbc", "CAST", 5, 16))
        for n in range(low, high + 1) for cipher in [(alg, scapy, n, None, 0)] for mac in (NONE, SHA256)
        if not any(c[:3] == cipher[:3] for c in CIPHERS) and alg in BUILT]
IMPLICIT = [((alg, scapy, n, None, icv), NONE) for alg, scapy, sizes, icv in (
    ("aes-gcm-16-iiv", "AES-GCM", (20, 28, 36), 16), ("chacha20-poly1305-iiv", "CHACHA20-POLY1305", (36,), 16),
    ("aes-ccm-8-iiv", "AES-CCM", (19, 27, 35), 8)) for n in sizes if alg in BUILT]
PAIRS = SCAPY + LONG + IMPLICIT


def parsed(raw):
    return (IP if raw[0] >> 4 == 4 else IPv6)(raw)


def plain(af, n):
    src, dst = INNER[af]
    ip = IP(src=src, dst=dst, ttl=33, id=7, proto=PROTO) if af == 4 else IPv6(src=src, dst=dst, hlim=33, nh=PROTO)
    return parsed(bytes(ip / NOISE[n % 997:][:n]))


def changed(raw, drop, insert):
    """The packet with other bytes behind the header of ESP; scapy fills in length and checksum."""
    head = HEADER[raw[0] >> 4]
    p = parsed(raw[:head])
    if head == 20:
        del p.len, p.chksum
    else:
        del p.plen
    return bytes(p / (raw[head:head + 8] + insert + raw[head + 8 + drop:]))


class Peer:
    """scapy's end of an SA."""

    def __init__(self, cipher, mac, shape):
        self.sa, self.implicit, self.seq = association(cipher, mac, shape), cipher[0].endswith("-iiv"), 0

    def seal(self, p):
        self.seq += 1
        if not self.implicit:
            return bytes(self.sa.encrypt(p, seq_num=self.seq))
        return changed(bytes(self.sa.encrypt(p, seq_num=self.seq, iv=struct.pack("!Q", self.seq))), 8, b"")

    def open(self, wire):
        if self.implicit:
            head = HEADER[wire[0] >> 4]
            wire = changed(wire, 0, bytes(4) + wire[head + 4:head + 8])
        return bytes(self.sa.decrypt(parsed(wire), verify=True))


def sizes(e, af, largest):
    """(payload, what the protected packet must fit into or None, whether it must not)"""
    def room(mtu):
        return int(e.say("mtu", bytes(plain(af, 0)).hex(), mtu)[1]) - HEADER[af]
    out = [(n, None, False) for n in EDGES + [BIG]]
    out += [(room(mtu) + more, mtu, more > 0) for mtu in MTUS for more in (-1, 0, 1)]
    return out + [(room(largest), largest, False)]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s[0]}-{s[1]}in{s[2]}")
def test_every_size_and_key_length(shape, driver):
    turns = [(s, d) for d in DRIVERS for s in SHAPES]
    for k, (cipher, mac) in enumerate(PAIRS):
        if not FULL and turns[k % len(turns)] != (shape, driver):
            continue
        out, into = (engine_for(cipher, mac, shape, d, driver) for d in ("out", "in"))
        peer, af = Peer(cipher, mac, shape), shape[1]
        # With its IV in it scapy's packet is longer.
        asked = sizes(out, af, LARGEST - 8 * peer.implicit)
        packets = [plain(af, n) for n, _, _ in asked]
        sealed = out.packets("out", packets)
        wires = [peer.seal(p) for p in packets]
        opened = into.packets("in", wires)
        for (n, mtu, too_long), p, (word, wire), theirs, got in zip(asked, packets, sealed, wires, opened):
            where = (name(cipher, mac), n, mtu)
            assert word == "send", (where, wire)
            assert peer.open(wire) == bytes(p), where
            assert got == ("pass", bytes(p)), where
            assert len(theirs) == len(wire), where
            assert mtu is None or (len(wire) > mtu) == too_long, (where, len(wire))


def test_every_key_length_is_there():
    """What testudo has and scapy, too: all key lengths, not a selection."""
    asked = {(c[0], c[2] * 8) for c, _ in PAIRS}
    for alg, kind, bits in Engine().algorithms():
        lengths = {(alg, n) for n in bits}
        assert kind == "auth" or not any(alg == a for a, _ in asked) or lengths <= asked, lengths - asked

"""scapy, and Python's zlib for IPComp, as the peer of AH and of bundles of AH, ESP and IPComp in all
orders, one association after the other.  Those that Linux cannot take in both directions
(docs/bundle-matrix.md) in every size; with TDO_FULL=1 all of them."""
import functools
import itertools
import os
import struct

import pytest

from packet_engine import Engine
from packet_shapes import INNER, ah_inside, crossed
from packet_sizes import BIG, EDGES, LARGEST, MTUS, NOISE, REPEATED
from peers import MACS, deflate, inflate

from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import AH, ESP, SecurityAssociation
from scapy.packet import Raw, bind_layers, split_layers

OUTER = {4: "203.0.113.{}", 6: "2001:db8:a::{:x}"}
TUNNELS, FAMILIES = (None, 4, 6), (4, 6)
FULL = os.environ.get("TDO_FULL") == "1"
HAS_IPCOMP = os.environ.get("TDO_IPCOMP", "1") == "1"
IPCOMP, NUMBER, HEADER, THRESHOLD = 108, {4: 4, 6: 41}, {4: 20, 6: 40}, 90
PROTO = 253  # for experiments: it may have no bytes at all


@pytest.fixture(autouse=True, scope="module")
def esp_is_no_layer():
    """Of a packet with both, scapy would sign and check ESP in the place of AH."""
    split_layers(IP, ESP, proto=50)
    split_layers(IPv6, ESP, nh=50)
    yield
    bind_layers(IP, ESP, proto=50)
    bind_layers(IPv6, ESP, nh=50)


def outermost(raw):
    """The packet with its outermost IPsec header; what is behind that are bytes."""
    size = 20 if raw[0] >> 4 == 4 else 40
    head, rest = (IP if size == 20 else IPv6)(raw[:size]), raw[size:]
    number = raw[9] if size == 20 else raw[6]
    if number == 50:
        return head / ESP(rest)
    length = 4 * (rest[1] + 2)
    return head / AH(rest[:length]) / Raw(rest[length:])


def opaque(raw):
    """The packet with nothing but bytes behind its IP header."""
    size = 20 if raw[0] >> 4 == 4 else 40
    return (IP if size == 20 else IPv6)(raw[:size]) / Raw(raw[size:])


def of_ip(af, src, dst, number, payload):
    return bytes((IP(src=src, dst=dst, proto=number) if af == 4 else IPv6(src=src, dst=dst, nh=number)) / payload)


def with_payload(raw, number, payload):
    """The packet with something else behind its IP header."""
    size = HEADER[raw[0] >> 4]
    head = (IP if size == 20 else IPv6)(raw[:size])
    if size == 20:
        del head.len, head.chksum
        head.proto = number
    else:
        del head.plen
        head.nh = number
    return bytes(head / payload)


class Layer:
    def __init__(self, number, proto, tunnel, ends, mac):
        self.number, self.proto, self.tunnel, self.mac = number, proto, tunnel, mac
        self.src, self.dst = ends
        self.key = bytes((number * 31 + 7 * i) & 0xff for i in range(mac[2]))
        self.cipher_key = bytes(range(number, number + 16))
        self.mode = "tunnel" if tunnel else "transport"
        self.seq = 0

    def words(self):
        head = f"add {self.src} {self.dst} {self.proto} {0x1000 + self.number} -m {self.mode} -u {self.number + 1} "
        if self.proto == "ipcomp":
            return head + "-C deflate -R;"
        ealg = f"-E aes-cbc 0x{self.cipher_key.hex()}" if self.proto == "esp" else ""
        return head + f"-r 8 {ealg} -A {self.mac[0]} 0x{self.key.hex()};"

    def request(self):
        return f"{self.proto}/{self.mode}/{f'{self.src}-{self.dst}' if self.tunnel else ''}/unique:{self.number + 1}"

    @functools.cached_property
    def association(self):
        header = None
        if self.tunnel:
            header = (IP if self.tunnel == 4 else IPv6)(src=self.src, dst=self.dst)
        cipher = {"crypt_algo": "AES-CBC", "crypt_key": self.cipher_key} if self.proto == "esp" else {}
        return SecurityAssociation(ESP if self.proto == "esp" else AH, spi=0x1000 + self.number, seq_num=1,
                                   auth_algo=self.mac[1], auth_key=self.key, tunnel_header=header, **cipher)

    def seal(self, raw):
        self.seq += 1
        if self.proto != "ipcomp":
            return bytes(self.association.encrypt(opaque(raw), seq_num=self.seq))
        af = raw[0] >> 4
        number, payload = (NUMBER[af], raw) if self.tunnel else (raw[9 if af == 4 else 6], raw[HEADER[af]:])
        packed = struct.pack("!BBH", number, 0, 0x1000 + self.number) + deflate(payload)
        if len(payload) >= THRESHOLD and len(packed) < len(payload):
            number, payload = IPCOMP, packed
        return of_ip(self.tunnel, self.src, self.dst, number, payload) if self.tunnel else \
            with_payload(raw, number, payload)

    def open(self, raw):
        if self.proto != "ipcomp":
            return bytes(self.association.decrypt(outermost(raw), verify=True))
        af = raw[0] >> 4
        number, payload = raw[9 if af == 4 else 6], raw[HEADER[af]:]
        # The header of another layer: this one has compressed nothing.
        if number == IPCOMP and struct.unpack_from("!H", payload, 2)[0] == 0x1000 + self.number:
            number, flags = payload[:2]
            assert flags == 0
            payload = inflate(payload[4:])
        if self.tunnel:
            assert number == NUMBER[payload[0] >> 4]
            return payload
        return with_payload(raw, number, payload)


def bundle(kinds, inner, macs):
    ends, out = INNER[inner], []
    for i, (proto, tunnel) in enumerate(kinds):
        if tunnel:
            ends = tuple(OUTER[tunnel].format(16 * i + k) for k in (1, 2))
        out.append(Layer(i, proto, tunnel, ends, macs[i % len(macs)]))
    return out


def engine(layers, inner, direction):
    e = Engine()
    e.ok("local", *(INNER[inner][1],), *(x.dst for x in layers))
    for x in layers:
        e.ok("setkey", x.words())
    a, b = INNER[inner]
    e.ok("setkey", f"spdadd {a} {b} any -P {direction} ipsec {' '.join(x.request() for x in layers)};")
    return e


def packet(inner, payload):
    src, dst = INNER[inner]
    ip = IP(src=src, dst=dst, ttl=33, id=7, proto=PROTO) if inner == 4 else IPv6(src=src, dst=dst, hlim=33, nh=PROTO)
    return bytes(ip / payload)


def contents(e, inner, every):
    """(payload, what it must fit into when it is protected, whether it must not)"""
    if not every:
        return [(NOISE[:n], None, False) for n in (0, 1, 15, 200)] + [(REPEATED[:1000], None, False)]

    def room(mtu):
        return int(e.say("mtu", packet(inner, b"").hex(), mtu)[1]) - HEADER[inner]
    # What can be compressed comes first: testudo rests after some that cannot.
    out = [(REPEATED[:n], None, False) for n in EDGES + [BIG, 60000]]
    out += [(NOISE[:n], None, False) for n in EDGES + [BIG]]
    out += [(NOISE[:room(mtu) + more], mtu, more > 0) for mtu in MTUS for more in (-1, 0, 1) if room(mtu) > 1]
    # Of several headers: not exactly the largest (tests/prop/prop_bundles.c).
    return out + [(NOISE[:room(LARGEST - 1000)], LARGEST, False)]


def both_ways(kinds, inner, macs, every=False):
    """scapy seals and testudo opens, testudo seals and scapy opens."""
    layers, where = bundle(kinds, inner, macs), (kinds, inner)
    into, out = engine(layers, inner, "in"), engine(layers, inner, "out")
    compresses, integrity, packed = any(p == "ipcomp" for p, _ in kinds), kinds[-1][0] != "ipcomp", 0
    for payload, mtu, too_long in contents(out, inner, every):
        p = packet(inner, payload)
        wire = p
        for x in layers:
            wire = x.seal(wire)
        if integrity:
            bad = bytearray(wire)
            bad[-1] ^= 1
            assert into.packet("in", bad) == ("drop", "in-icv-mismatch"), where
        assert into.packet("in", wire) == ("pass", p), (where, len(p))
        if integrity:
            assert into.packet("in", wire) == ("drop", "in-replay-duplicate"), where
        word, ours = out.packet("out", p)
        assert word == "send", (where, ours)
        packed += len(ours) < len(p)
        # Compressors differ.
        assert compresses or len(ours) == len(wire), where
        # Headers of layers inside get smaller.
        assert mtu is None or (compresses and too_long) or (len(ours) > mtu) == too_long, (where, mtu, len(ours))
        for x in reversed(layers):
            ours = x.open(ours)
        assert ours == p, (where, len(p))
    # What is encrypted cannot be compressed.
    protos = [p for p, _ in kinds] + ["esp"]
    assert (packed > 0) == ("ipcomp" in protos[:protos.index("esp")]), where
    into.close()
    out.close()


@pytest.mark.parametrize("mac", MACS, ids=lambda m: m[0])
def test_ah(mac):
    for k, (tunnel, inner) in enumerate(itertools.product(TUNNELS, FAMILIES)):
        both_ways([("ah", tunnel)], inner, [mac], FULL or (k + MACS.index(mac)) % 6 == 0)


PAIRS = [list(k) for k in itertools.product(itertools.product(("esp", "ah", "ipcomp"), TUNNELS), repeat=2)]
# The longer ones of tests/kernel.
LONG = [[("ipcomp", t), ("esp", None), ("ah", None)] for t in TUNNELS] + [
    [("ipcomp", None), ("esp", None), ("ah", 4)], [("ipcomp", None), ("ah", None), ("esp", 6)],
    [("esp", None), ("ah", None), ("esp", 4)], [("ah", None), ("esp", None), ("ah", 6)],
    [("esp", 4), ("ah", None), ("esp", 4)], [("esp", 6), ("ah", None), ("esp", 6)],
    [("esp", 4), ("ah", None), ("esp", 6)], [("ah", 6), ("esp", None), ("ah", 4)],
    [("ah", None)] * 3, [("esp", None)] * 3, [("ipcomp", 4), ("esp", 6), ("esp", 4)],
    [("ipcomp", None), ("esp", None), ("ah", None), ("esp", 4)], [("ipcomp", 6), ("esp", None), ("ah", None), ("esp", 6)]]


@pytest.mark.parametrize("inner", FAMILIES)
def test_bundles(inner):
    ran = 0
    for i, kinds in enumerate(PAIRS + LONG):
        if not HAS_IPCOMP and any(p == "ipcomp" for p, _ in kinds):
            continue
        alone = crossed(kinds, inner) or ah_inside(kinds)
        both_ways(kinds, inner, [MACS[(i + k) % len(MACS)] for k in range(4)], FULL or alone)
        ran += 1
    assert ran == len(PAIRS + LONG) or not HAS_IPCOMP

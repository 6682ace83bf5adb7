"""scapy as the peer of AH, and of bundles of AH and ESP that Linux cannot make: transport mode on
tunnels of another family (docs/bundle-matrix.md), one association of scapy after the other."""
import itertools
import logging
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from packet_engine import Engine  # noqa: E402

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.layers.inet import IP, UDP  # noqa: E402
from scapy.layers.inet6 import IPv6  # noqa: E402
from scapy.layers.ipsec import AH, ESP, SecurityAssociation  # noqa: E402
from scapy.packet import Raw, bind_layers, split_layers  # noqa: E402

# testudo's name, scapy's, bytes of the key
MACS = [("hmac-md5", "HMAC-MD5-96", 16), ("hmac-sha1", "HMAC-SHA1-96", 20), ("hmac-sha256", "SHA2-256-128", 32),
        ("hmac-sha384", "SHA2-384-192", 48), ("hmac-sha512", "SHA2-512-256", 64), ("aes-cmac", "AES-CMAC-96", 16)]
BUILT = [name for name, *_ in Engine().algorithms()]
MACS = [m for m in MACS if m[0] in BUILT]
INNER = {4: ("192.0.2.1", "198.51.100.9"), 6: ("2001:db8:1::1", "2001:db8:2::9")}
OUTER = {4: "203.0.113.{}", 6: "2001:db8:a::{:x}"}
TUNNELS = (None, 4, 6)


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


class Layer:
    def __init__(self, number, proto, tunnel, ends, mac):
        self.number, self.proto, self.tunnel, self.mac = number, proto, tunnel, mac
        self.src, self.dst = ends
        self.key = bytes((number * 31 + 7 * i) & 0xff for i in range(mac[2]))
        self.cipher_key = bytes(range(number, number + 16))

    def words(self):
        ealg = f"-E aes-cbc 0x{self.cipher_key.hex()}" if self.proto == "esp" else ""
        return f"add {self.src} {self.dst} {self.proto} {0x1000 + self.number} -m {'tunnel' if self.tunnel else 'transport'} " \
               f"-u {self.number + 1} -r 8 {ealg} -A {self.mac[0]} 0x{self.key.hex()};"

    def request(self):
        return f"{self.proto}/{'tunnel' if self.tunnel else 'transport'}/" \
               f"{f'{self.src}-{self.dst}' if self.tunnel else ''}/unique:{self.number + 1}"

    def association(self):
        header = None
        if self.tunnel:
            header = (IP if self.tunnel == 4 else IPv6)(src=self.src, dst=self.dst)
        cipher = {"crypt_algo": "AES-CBC", "crypt_key": self.cipher_key} if self.proto == "esp" else {}
        return SecurityAssociation(ESP if self.proto == "esp" else AH, spi=0x1000 + self.number, seq_num=1,
                                   auth_algo=self.mac[1], auth_key=self.key, tunnel_header=header, **cipher)


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


def packets(inner):
    src, dst = INNER[inner]
    ip = IP(src=src, dst=dst, ttl=33, id=7) if inner == 4 else IPv6(src=src, dst=dst, hlim=33)
    return [ip.__class__(bytes(ip / UDP(sport=5, dport=6) / bytes(range(256))[:n])) for n in (0, 1, 15, 200)]


def both_ways(kinds, inner, macs):
    layers = bundle(kinds, inner, macs)
    sas = [x.association() for x in layers]
    e = engine(layers, inner, "in")
    for p in packets(inner):
        wire = p
        for sa in sas:
            wire = opaque(bytes(sa.encrypt(wire)))
        raw = bytearray(bytes(wire))
        raw[-1] ^= 1
        assert e.packet("in", raw) == ("drop", "in-icv-mismatch"), (kinds, inner)
        assert e.packet("in", wire) == ("pass", bytes(p)), (kinds, inner, len(p))
        assert e.packet("in", wire) == ("drop", "in-replay-duplicate"), (kinds, inner)
    e.close()
    e = engine(layers, inner, "out")
    for p in packets(inner):
        word, wire = e.packet("out", p)
        assert word == "send", (kinds, inner, wire)
        for x in reversed(layers):
            wire = bytes(x.association().decrypt(outermost(wire), verify=True))
        assert wire == bytes(p), (kinds, inner, len(p))
    e.close()


@pytest.mark.parametrize("mac", MACS, ids=lambda m: m[0])
def test_ah(mac):
    for tunnel, inner in itertools.product(TUNNELS, (4, 6)):
        both_ways([("ah", tunnel)], inner, [mac])


# What tests/kernel cannot ask Linux for (there: CROSSED), and the same on tunnels of one family.
ON_TUNNELS = [[(a, t), (b, None)] for a in ("esp", "ah") for t in (4, 6) for b in ("esp", "ah")] + \
    [[("esp", 6), ("ah", None), ("esp", 6)], [("ah", 6), ("esp", None), ("ah", 4)],
     [("esp", 4), ("ah", None), ("esp", 4)], [("esp", 4), ("ah", None), ("esp", 6)]]


@pytest.mark.parametrize("inner", [4, 6])
def test_transport_mode_on_tunnels(inner):
    for i, kinds in enumerate(ON_TUNNELS):
        both_ways(kinds, inner, [MACS[(i + k) % len(MACS)] for k in range(3)])

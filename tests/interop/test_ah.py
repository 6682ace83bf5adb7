"""scapy builds AH packets that testudo opens, and opens what testudo builds: every algorithm that
it has, both directions, transport and tunnel, IPv4 and IPv6, options and extension headers."""
import pytest

from packet_engine import Engine
from packet_shapes import INNER, OUTER, SHAPES
from peers import MACS

from scapy.layers.inet import (ICMP, IP, TCP, UDP, IPOption_NOP, IPOption_RR,
                               IPOption_Router_Alert)
from scapy.layers.inet6 import (HBHOptUnknown, ICMPv6EchoRequest, IPv6,
                                IPv6ExtHdrHopByHop, PadN)
from scapy.layers.ipsec import AH, IPSecIntegrityError, SecurityAssociation

SPI = 0x12345


def key(n):
    return bytes((99 + 7 * i) & 0xff for i in range(n))


def packets(af):
    src, dst = INNER[af]
    ip = (lambda **k: IP(src=src, dst=dst, ttl=33, tos=0x48, id=7, **k)) if af == 4 else \
        (lambda **k: IPv6(src=src, dst=dst, hlim=33, tc=0x48, fl=0xabcde, **k))
    out = [ip() / (ICMP(id=3) if af == 4 else ICMPv6EchoRequest(data=b"echo")),
           ip() / TCP(sport=1000, dport=80, flags="S", options=[("MSS", 1460)])]
    out += [ip() / UDP(sport=5, dport=6) / bytes(range(256))[:n] for n in (0, 1, 2, 3, 15, 16, 63, 100)]
    out.append(ip() / UDP(sport=5, dport=6) / (b"0123456789" * 140))
    if af == 4:
        out.append(ip(options=[IPOption_NOP(), IPOption_Router_Alert(), IPOption_RR(routers=["0.0.0.0"])])
                   / UDP(sport=1, dport=2) / b"options")
        out.append(ip(flags="DF") / UDP(sport=1, dport=2) / b"df")
    else:
        options = [HBHOptUnknown(otype=0x3e, optdata=b"may change"), HBHOptUnknown(otype=0x1e, optdata=b"not"),
                   PadN(optdata=b"\0\0")]
        out.append(ip() / IPv6ExtHdrHopByHop(options=options) / UDP(sport=1, dport=2) / b"hbh")
    return [p.__class__(bytes(p)) for p in out]


def association(mac, shape):
    mode, _, outer = shape
    header = None
    if mode == "tunnel":
        src, dst = OUTER[outer]
        header = IP(src=src, dst=dst) if outer == 4 else IPv6(src=src, dst=dst)
    return SecurityAssociation(AH, spi=SPI, seq_num=1, auth_algo=mac[1], auth_key=key(mac[2]),
                               tunnel_header=header)


def engine_for(mac, shape, direction, driver):
    mode, inner, outer = shape
    src, dst = OUTER[outer] if mode == "tunnel" else INNER[inner]
    isrc, idst = INNER[inner]
    ends = f"{src}-{dst}" if mode == "tunnel" else ""
    e = Engine(driver)
    e.ok("setkey", f"add {src} {dst} ah {SPI} -m {mode} -r 8 -A {mac[0]} 0x{key(mac[2]).hex()};"
         f" spdadd {isrc} {idst} any -P {direction} ipsec ah/{mode}/{ends}/require;")
    return e


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s[0]}-{s[1]}in{s[2]}")
def test_scapy_builds_testudo_opens(shape, driver):
    for mac in MACS:
        e, sa = engine_for(mac, shape, "in", driver), association(mac, shape)
        for p in packets(shape[1]):
            wire = sa.encrypt(p)
            word, got = e.packet("in", wire)
            assert word == "pass", (mac[0], p.summary(), got)
            assert got == bytes(p), (mac[0], p.summary())
            assert e.packet("in", wire) == ("drop", "in-replay-duplicate"), mac[0]
        bad = bytearray(bytes(sa.encrypt(packets(shape[1])[0])))
        bad[-1] ^= 1
        assert e.packet("in", bad) == ("drop", "in-icv-mismatch"), mac[0]
        e.close()


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s[0]}-{s[1]}in{s[2]}")
def test_testudo_builds_scapy_opens(shape, driver):
    for mac in MACS:
        e, sa = engine_for(mac, shape, "out", driver), association(mac, shape)
        for n, p in enumerate(packets(shape[1]), 1):
            word, got = e.packet("out", p)
            assert word == "send", (mac[0], p.summary(), got)
            wire = (IP if got[0] >> 4 == 4 else IPv6)(got)
            assert wire[AH].spi == SPI and wire[AH].seq == n
            assert len(wire[AH]) - len(wire[AH].payload) == 4 * (wire[AH].payloadlen + 2)
            opened = bytes(sa.decrypt(wire, verify=True))
            assert bytes(p.__class__(opened)) == bytes(p), (mac[0], p.summary())
            bad = bytearray(got)
            bad[-1] ^= 1
            with pytest.raises(IPSecIntegrityError):
                sa.decrypt((IP if got[0] >> 4 == 4 else IPv6)(bytes(bad)), verify=True)
        e.close()

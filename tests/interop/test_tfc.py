"""Traffic-flow confidentiality (RFC 4303 2.6, 2.7) with scapy as the peer: it finds the packet in front of the
padding and the next header of dummies; testudo cuts off what scapy puts behind a packet, and drops its dummies."""
import os

import pytest

from packet_engine import Engine
from packet_shapes import INNER, OUTER, SHAPES

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.packet import NoPayload, Padding, Raw

SPI, NONE = 0x12345, 59
# setkey's words, scapy's name and key, scapy's MAC and key
ALGS = [("aes-gcm-16", "AES-GCM", 20, None, 0), ("aes-cbc", "AES-CBC", 16, "HMAC-SHA1-96", 20)]


def key(n):
    return bytes((11 + 7 * i) & 0xff for i in range(n))


def header(af, outer=False):
    src, dst = (OUTER if outer else INNER)[af]
    return IP(src=src, dst=dst, id=7) if af == 4 else IPv6(src=src, dst=dst)


@pytest.fixture(params=[(s, a) for s in SHAPES for a in ALGS], ids=lambda p: f"{p[0][0]}-{p[0][1]}in{p[0][2]}-{p[1][0]}")
def pair(request):
    (mode, inner, outer), (name, cipher, n, mac, m) = request.param
    src, dst = (OUTER[outer] if mode == "tunnel" else INNER[inner])
    e = Engine()

    def scapy(tunnel):
        return SecurityAssociation(ESP, spi=SPI, crypt_algo=cipher, crypt_key=key(n), auth_algo=mac, auth_key=key(m) or None,
                                   tunnel_header=header(outer, True) if tunnel else None)

    def setkey(options):
        e.ok("flush")
        e.ok("setkey", f"add {src} {dst} esp {SPI} -m {mode} {options} -E {name} 0x{key(n).hex()}"
             + (f" -A hmac-sha1 0x{key(m).hex()}" if mac else "") + ";"
             + "".join(f"spdadd {INNER[inner][0]} {INNER[inner][1]} any -P {way} ipsec "
                       f"esp/{mode}/{f'{src}-{dst}' if mode == 'tunnel' else ''}/require;" for way in ("in", "out")))
        return scapy(mode == "tunnel")
    # Dummies look alike in both modes: to scapy they are packets of transport mode that announce nothing.
    e.for_dummies = scapy(False)
    e.setkey, e.shape = setkey, (mode, inner, outer)
    yield e
    e.close()


def packets(af):
    for n in (0, 1, 40, 333, 600):
        yield header(af) / UDP(sport=1000, dport=2000) / Raw(bytes(range(256)) * 3)[Raw].load[:n]


def without_padding(p):
    """scapy keeps what is behind the end of the packet: zeros."""
    p = p.copy()
    pad = p.getlayer(Padding)
    if pad:
        assert not any(pad.load)
        pad.underlayer.remove_payload()
    return bytes(p)


def test_testudo_pads(pair):
    sa = pair.setkey("-o tfc=800")
    lengths = set()
    for p in packets(pair.shape[1]):
        word, wire = pair.packet("out", p)
        assert word == "send"
        lengths.add(len(wire))
        opened = sa.decrypt((IP if wire[0] >> 4 == 4 else IPv6)(wire))
        body = opened if pair.shape[0] == "tunnel" else opened.copy()
        if pair.shape[0] == "transport":
            # The IP header counts the padding, UDP does not.
            assert bytes(body[UDP])[:body[UDP].len] == bytes(p[UDP])
        else:
            assert without_padding(body) == bytes(p)
    assert len(lengths) == 1 and lengths.pop() > 800


def test_tcp_is_padded_in_tunnels_alone(pair):
    pair.setkey("-o tfc=800")
    p = header(pair.shape[1]) / TCP(sport=1, dport=2) / b"x"
    word, wire = pair.packet("out", p)
    assert word == "send" and (len(wire) > 800) == (pair.shape[0] == "tunnel")


def test_scapy_pads(pair):
    mode, inner, _ = pair.shape
    sa = pair.setkey("")
    for p in packets(inner):
        plain = bytes(p)
        if mode == "tunnel":
            wire = sa.encrypt((IP if inner == 4 else IPv6)(plain) / Padding(bytes(500)))
        else:
            longer = p.copy()
            longer[UDP].len = len(p[UDP])
            wire = sa.encrypt((IP if inner == 4 else IPv6)(bytes(longer / Raw(bytes(500)))))
        assert len(wire) > len(p) + 500
        word, value = pair.packet("in", wire)
        assert word == "pass"
        got, want = (IP if inner == 4 else IPv6)(value), (IP if inner == 4 else IPv6)(plain)
        if mode == "transport":
            assert bytes(got[UDP])[8:] == bytes(want[UDP])[8:] and len(got) == len(want)
        else:
            assert value == plain


def test_dummies_of_scapy(pair):
    pair.setkey("")
    mode, inner, outer = pair.shape
    head = header(outer, True) if mode == "tunnel" else header(inner)
    for n in (0, 1, 64, 1000):
        dummy = head.copy()
        dummy[type(head)].setfieldval("proto" if isinstance(head, IP) else "nh", NONE)
        wire = pair.for_dummies.encrypt((type(head))(bytes(dummy / Raw(os.urandom(n)))))
        assert pair.packet("in", wire) == ("drop", "in-dummy")


def test_dummies_of_testudo(pair):
    mode, inner, outer = pair.shape
    pair.setkey("-o dummies=100 -o tfc=700")
    pair.ok("local", (OUTER[outer] if mode == "tunnel" else INNER[inner])[0])
    seen = set()
    for _ in range(5):
        word, wire = pair.answer(pair.say("dummy", 1500))
        assert word == "send"
        opened = pair.for_dummies.decrypt((IP if wire[0] >> 4 == 4 else IPv6)(wire))
        assert (opened.proto if isinstance(opened, IP) else opened.nh) == NONE
        assert not isinstance(opened.payload, NoPayload)
        seen.add(len(wire))
    # As long as other packets.
    word, wire = pair.packet("out", header(inner) / UDP() / b"x")
    assert word == "send" and seen == {len(wire)}

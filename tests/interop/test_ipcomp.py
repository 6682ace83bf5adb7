"""IPComp against two strangers: Python's zlib opens what testudo compresses and compresses what
testudo opens, and tshark's dissector finds the packet inside by its own inflate."""
import random
import struct
import subprocess
import zlib

import pytest

from packet_engine import Engine
from packet_shapes import INNER, OUTER, SHAPES
from peers import deflate, inflate

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop, PadN
from scapy.utils import wrpcap

IPCOMP, MIN = 108, 90
NUMBER = {4: 4, 6: 41}
# What zlib can be told: level, strategy, size of its window.
WAYS = [(level, strategy, window) for level in (0, 1, 6, 9)
        for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE, zlib.Z_FIXED)
        for window in (9, 15)]
HEADER = {4: 20, 6: 40}


@pytest.fixture(params=SHAPES, ids=lambda s: f"{s[0]}-{s[1]}in{s[2]}")
def shape(request):
    return request.param


def configure(e, shape, spi=10000, raw=False):
    mode, inner, outer = shape
    src, dst = OUTER[outer] if mode == "tunnel" else INNER[inner]
    request = f"ipcomp/{mode}/{f'{src}-{dst}' if mode == 'tunnel' else ''}/use"
    e.ok("flush")
    e.ok("setkey", f"add {src} {dst} ipcomp {spi} -m {mode} -C deflate{' -R' if raw else ''};"
         + "".join(f"spdadd {INNER[inner][0]} {INNER[inner][1]} any -P {way} ipsec {request};"
                   for way in ("in", "out")))


def engine(shape):
    e = Engine()
    configure(e, shape)
    return e


def contents():
    rng = random.Random(1951)
    text = b"GET /index.html HTTP/1.1\r\nHost: www.example.org\r\nAccept: text/html\r\n\r\n"
    for n in (0, 1, 50, 81, 82, 83, 100, 500, 1400, 4000, 60000):
        yield bytes(n)
        yield (text * (n // len(text) + 1))[:n]
        yield bytes(rng.choices(b"abcdefgh", k=n))
        yield rng.randbytes(n)


def packet(af, content):
    src, dst = INNER[af]
    ip = IP(src=src, dst=dst, ttl=33, id=7) if af == 4 else IPv6(src=src, dst=dst, hlim=33)
    return bytes(ip / UDP(sport=1000, dport=2000) / content)


def split(wire):
    """What stands in front of the first header behind IP, its number, and the rest."""
    if wire[0] >> 4 == 4:
        assert struct.unpack("!H", wire[2:4])[0] == len(wire)
        return wire[:20], wire[9], wire[20:]
    assert struct.unpack("!H", wire[4:6])[0] == len(wire) - 40
    return wire[:40], wire[6], wire[40:]


def test_zlib_opens_what_testudo_compresses(shape):
    mode, inner, outer = shape
    e = Engine()
    packed = clear = 0
    for spi, raw in ((10000, False), (10000, True), (256, True), (65535, True)):
        for content in contents():
            configure(e, shape, spi, raw)  # a new SA never rests after failures
            plain = packet(inner, content)
            word, wire = e.packet("out", plain)
            assert word == "send"
            header, number, rest = split(wire)
            front = 0 if mode == "tunnel" else HEADER[inner]
            if number != IPCOMP:
                assert rest == plain[front:]
                assert number == (NUMBER[inner] if mode == "tunnel" else 17)
                # zlib at its best would not have saved much either.
                assert len(rest) < MIN or len(deflate(rest)) + 4 > 0.95 * len(rest)
                clear += 1
                continue
            nh, flags, cpi = struct.unpack("!BBH", rest[:4])
            assert nh == (NUMBER[inner] if mode == "tunnel" else 17) and flags == 0
            assert cpi == (spi if raw else 2)
            assert inflate(rest[4:]) == plain[front:]
            assert len(rest) < len(plain) - front and len(plain) - front >= MIN
            packed += 1
    e.close()
    assert packed > 50 and clear > 20


def wrap(shape, plain, stream, cpi=2):
    """The packet as a peer would send it whose stream this is."""
    mode, inner, outer = shape
    if mode == "tunnel":
        src, dst = OUTER[outer]
        nh = NUMBER[inner]
    else:
        src, dst = INNER[inner]
        nh = 17
    data = struct.pack("!BBH", nh, 0, cpi) + stream
    if mode == "tunnel":
        return bytes((IP(src=src, dst=dst, proto=IPCOMP) if outer == 4 else IPv6(src=src, dst=dst, nh=IPCOMP))
                     / data)
    if inner == 4:
        return bytes(IP(src=src, dst=dst, ttl=33, id=7, proto=IPCOMP) / data)
    return bytes(IPv6(src=src, dst=dst, hlim=33, nh=IPCOMP) / data)


def test_testudo_opens_what_zlib_compresses(shape):
    mode, inner, _ = shape
    e = engine(shape)
    sent, want = [], []
    for n, content in enumerate(contents()):
        plain = packet(inner, content)
        payload = plain if mode == "tunnel" else plain[HEADER[inner]:]
        for way in WAYS if len(plain) < 10000 else WAYS[n % 5::7]:
            stream = deflate(payload, *way)
            if len(stream) > 65000:
                continue
            for tail in (b"", b"\0"):  # old zlibs wanted to see one byte more
                sent.append(wrap(shape, plain, stream + tail, cpi=2 if n % 2 else 10000))
                want.append(plain)
    for plain, (word, got) in zip(want, e.packets("in", sent)):
        assert (word, got) == ("pass", plain)
    e.close()
    assert len(sent) > 1000


def test_d03_broken_streams_have_reasons(shape):
    mode, inner, _ = shape
    e = engine(shape)
    plain = packet(inner, b"0123456789" * 30)
    payload = plain if mode == "tunnel" else plain[HEADER[inner]:]
    stream = deflate(payload)
    for n in range(len(stream)):
        assert e.packet("in", wrap(shape, plain, stream[:n])) == ("drop", "in-bad-compressed-data")
    bomb = deflate(bytes(40 << 20))
    assert len(bomb) < 65000
    assert e.packet("in", wrap(shape, plain, bomb)) == ("drop", "in-decompressed-too-big")
    for cpi in (0, 1, 3, 63, 64, 255, 256, 9999, 61440, 65535):
        assert e.packet("in", wrap(shape, plain, stream, cpi)) == ("drop", "in-no-sa")
    assert e.packet("in", wrap(shape, plain, stream)) == ("pass", plain)
    e.close()


def test_extension_headers_stay_in_front():
    src, dst = INNER[6]
    plain = bytes(IPv6(src=src, dst=dst) / IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)])
                  / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 12)]) / UDP(sport=1, dport=2) / (b"ab" * 200))
    e = engine(("transport", 6, 6))
    word, wire = e.packet("out", plain)
    assert word == "send" and wire[6] == 0 and wire[40] == IPCOMP and wire[48] == 60
    assert inflate(wire[52:]) == plain[48:]
    assert e.packet("in", wire) == ("pass", plain)
    e.close()


def tshark(path, *fields):
    r = subprocess.run(["tshark", "-r", path, "-T", "fields"] + [x for f in fields for x in ("-e", f)]
                       + ["-E", "occurrence=a", "-E", "aggregator=,"], capture_output=True, text=True, check=True)
    return [line.split("\t") for line in r.stdout.splitlines()]


def test_tshark_finds_the_packet_inside(shape, tmp_path):
    mode, inner, outer = shape
    wires, texts = [], []
    e = engine(shape)
    for n in (100, 500, 1000, 1400, 20000):
        text = (b"packet %d " % n * n)[:n]
        word, wire = e.packet("out", packet(inner, text))
        assert word == "send" and split(wire)[1] == IPCOMP
        wires.append((IP if wire[0] >> 4 == 4 else IPv6)(wire))
        texts.append(text)
    e.close()
    wrpcap(str(tmp_path / "x.pcap"), wires)
    address = "ip.src" if inner == 4 else "ipv6.src"
    rows = tshark(str(tmp_path / "x.pcap"), "ipcomp.cpi", "ipcomp.flags", address, "udp.srcport", "udp.length",
                  "data.data")
    assert len(rows) == len(texts)
    for text, (cpi, flags, src, port, length, data) in zip(texts, rows):
        assert int(cpi, 0) == 2 and int(flags, 0) == 0
        assert src.split(",")[-1] == INNER[inner][0]
        assert port == "1000" and int(length) == 8 + len(text)
        assert data.split(",")[-1] == text.hex()

"""scapy builds packets that testudo opens, and opens what testudo builds; tshark decrypts
the latter with a good ICV.  Every algorithm that they have, both directions, transport and
tunnel, IPv4 and IPv6, and all four family pairs of tunnels."""
import functools
import subprocess

import pytest

import packet_engine
from packet_shapes import INNER, OUTER, SHAPES
from peers import BUILT

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (ICMPv6EchoRequest, IPv6, IPv6ExtHdrDestOpt,
                                IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, PadN)
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.utils import wrpcap

SPI = 0x12345


def key(n, seed):
    return bytes((seed + 7 * i) & 0xff for i in range(n))


# testudo's name, scapy's name, key length, tshark's name, length of an AEAD's ICV; None: has it
# not.  Of GCM scapy has only the longest ICV; what neither has Linux judges (tests/kernel).
CIPHERS = [
    *(("aes-gcm-16", "AES-GCM", n, "AES-GCM with 16 octet ICV [RFC4106]", 16) for n in (20, 28, 36)),
    *(("aes-gcm-12", None, n, "AES-GCM with 12 octet ICV [RFC4106]", 12) for n in (20, 28, 36)),
    *(("aes-gcm-8", None, n, "AES-GCM with 8 octet ICV [RFC4106]", 8) for n in (20, 28, 36)),
    *((f"aes-ccm-{icv}", "AES-CCM", n, None, icv) for icv in (8, 12, 16) for n in (19, 27, 35)),
    ("chacha20-poly1305", "CHACHA20-POLY1305", 36, None, 16),
    *(("aes-cbc", "AES-CBC", n, "AES-CBC [RFC3602]", 0) for n in (16, 24, 32)),
    *(("aes-ctr", "AES-CTR", n, "AES-CTR [RFC3686]", 0) for n in (20, 28, 36)),
    *(("twofish-cbc", None, n, "TWOFISH-CBC", 0) for n in (16, 32)),
    ("3des-cbc", "3DES", 24, "TripleDES-CBC [RFC2451]", 0),
    ("des-cbc", "DES", 8, "DES-CBC [RFC2405]", 0),
    ("blowfish-cbc", "Blowfish", 16, "BLOWFISH-CBC [RFC2451]", 0),
    *(("blowfish-cbc", "Blowfish", n, None, 0) for n in (5, 56)),
    ("cast128-cbc", "CAST", 16, "CAST5-CBC [RFC2144]", 0),
    *(("cast128-cbc", "CAST", n, None, 0) for n in (5, 10, 11)),
    ("null", "NULL", 0, "NULL", 0),
]
NONE = ("-", "NULL", 0, "NULL")
SHA256 = ("hmac-sha256", "SHA2-256-128", 32, "HMAC-SHA-256-128 [RFC4868]")
MACS = [
    NONE,
    ("hmac-md5", "HMAC-MD5-96", 16, "HMAC-MD5-96 [RFC2403]"),
    ("hmac-sha1", "HMAC-SHA1-96", 20, "HMAC-SHA-1-96 [RFC2404]"),
    SHA256,
    ("hmac-sha256-96", None, 32, "HMAC-SHA-256-96 [draft-ietf-ipsec-ciph-sha-256-00]"),
    ("hmac-sha384", "SHA2-384-192", 48, "HMAC-SHA-384-192 [RFC4868]"),
    ("hmac-sha512", "SHA2-512-256", 64, "HMAC-SHA-512-256 [RFC4868]"),
    ("hmac-ripemd160", None, 20, "MAC-RIPEMD-160-96 [RFC2857]"),
    ("aes-cmac", "AES-CMAC-96", 16, None),
]
AEADS = [c for c in CIPHERS if c[4]]
# Every cipher alone and with a MAC, every MAC with a cipher and alone; every pair: tests/kernel.
PAIRS = [(c, NONE) for c in AEADS] + \
    [(c, m) for c in CIPHERS for m in MACS
     if not c[4] and (m in (NONE, SHA256) or c[:3] == ("aes-cbc", "AES-CBC", 16) or c[0] == "null")]
# Not every build has a driver for Twofish, or what is obsolete.
PAIRS = [(c, m) for c, m in PAIRS if c[0] in BUILT and (m == NONE or m[0] in BUILT)]
SCAPY = [(c, m) for c, m in PAIRS if c[1] and m[1]]
TSHARK = [(c, m) for c, m in PAIRS if c[3] and m[3]]


@functools.lru_cache
def packets(af):
    src, dst = INNER[af]
    ip = (lambda **k: IP(src=src, dst=dst, ttl=33, tos=0x48, id=7, **k)) if af == 4 else \
        (lambda **k: IPv6(src=src, dst=dst, hlim=33, tc=0x48, **k))
    echo = ICMP(id=3) / b"echo" if af == 4 else ICMPv6EchoRequest(data=b"echo")
    out = [ip() / echo, ip() / UDP(sport=1, dport=2), ip() / UDP(sport=1, dport=2) / b"x",
           ip() / TCP(sport=1000, dport=80, flags="S", options=[("MSS", 1460)])]
    out += [ip() / UDP(sport=5, dport=6) / bytes(range(256))[:n] for n in (1, 2, 3, 13, 14, 15, 16, 100)]
    out.append(ip() / UDP(sport=5, dport=6) / (b"0123456789" * 140))
    if af == 6:
        out.append(ip() / IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)]) / UDP(sport=1, dport=2) / b"hbh")
    return [p.__class__(bytes(p)) for p in out]


def association(cipher, mac, shape):
    mode, _, outer = shape
    header = None
    if mode == "tunnel":
        src, dst = OUTER[outer]
        header = IP(src=src, dst=dst) if outer == 4 else IPv6(src=src, dst=dst)
    return SecurityAssociation(ESP, spi=SPI, seq_num=1, crypt_algo=cipher[1],
                               crypt_key=key(cipher[2], 1) or None, auth_algo=mac[1],
                               crypt_icv_size=cipher[4] or None,
                               auth_key=key(mac[2], 99) or None, tunnel_header=header)


def engine_for(cipher, mac, shape, direction, driver, spi=SPI, options=()):
    """The engine for that driver and direction, with this SA and policy alone."""
    mode, inner, outer = shape
    src, dst = OUTER[outer] if mode == "tunnel" else INNER[inner]
    e = packet_engine.kept(driver, direction)
    e.ok("sa", src, dst, spi, mode, cipher[0], key(cipher[2], 1).hex() or "-", mac[0],
         key(mac[2], 99).hex() or "-", 64, *options)
    bits = 32 if inner == 4 else 128
    isrc, idst = INNER[inner]
    e.ok("sp", direction, f"{isrc}/{bits}", f"{idst}/{bits}", mode,
         *((src, dst) if mode == "tunnel" else ()))
    return e


def name(cipher, mac):
    return f"{cipher[0]}-{cipher[2] * 8}+{mac[0]}"


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s[0]}-{s[1]}in{s[2]}")
def test_scapy_builds_testudo_opens(shape, driver):
    for cipher, mac in SCAPY:
        e = engine_for(cipher, mac, shape, "in", driver)
        sa = association(cipher, mac, shape)
        for p in packets(shape[1]):
            word, got = e.packet("in", sa.encrypt(p))
            assert word == "pass", (name(cipher, mac), word, got)
            want = bytes(p)
            if shape[0] == "transport":
                # scapy rebuilds the header: compare what it would make of the same packet.
                assert got[8 if shape[1] == 6 else 20:] == want[8 if shape[1] == 6 else 20:] or \
                    bytes(p.__class__(got)) == want, name(cipher, mac)
            else:
                assert got == want, name(cipher, mac)
        if mac[0] != "-" or cipher[4]:
            bad = bytearray(bytes(sa.encrypt(packets(shape[1])[0])))
            bad[-1] ^= 1
            assert e.packet("in", bad) == ("drop", "in-icv-mismatch"), name(cipher, mac)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s[0]}-{s[1]}in{s[2]}")
def test_testudo_builds_scapy_opens(shape, driver):
    for cipher, mac in SCAPY:
        e = engine_for(cipher, mac, shape, "out", driver)
        sa = association(cipher, mac, shape)
        for n, p in enumerate(packets(shape[1]), 1):
            word, got = e.packet("out", p)
            assert word == "send", (name(cipher, mac), word, got)
            wire = (IP if got[0] >> 4 == 4 else IPv6)(got)
            assert wire[ESP].spi == SPI and wire[ESP].seq == n
            opened = bytes(sa.decrypt(wire, verify=True))
            want = bytes(p)
            if shape[0] == "tunnel":
                assert opened == want, name(cipher, mac)
            else:
                assert bytes(p.__class__(opened)) == want, name(cipher, mac)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s[0]}-{s[1]}in{s[2]}")
def test_extended_numbers_of_aeads(shape, driver):
    """Both directions across the 2^32nd packet.  scapy binds the high half in AEADs only."""
    p, near = packets(shape[1])[0], 2**32 - 3
    want = bytes(p)
    for cipher in AEADS:
        if cipher[1] is None:
            continue
        sa = association(cipher, NONE, shape)
        e = engine_for(cipher, NONE, shape, "out", driver, options=("esn", f"seq={near}"))
        for number in range(near + 1, near + 7):
            word, got = e.packet("out", p)
            wire = (IP if got[0] >> 4 == 4 else IPv6)(got)
            assert word == "send" and wire[ESP].seq == number & 0xffffffff
            opened = bytes(sa.decrypt(wire, verify=True, esn_en=True, esn=number >> 32))
            assert bytes(p.__class__(opened)) == want, (name(cipher, NONE), number)
        e = engine_for(cipher, NONE, shape, "in", driver, options=("esn",))
        for number in (2**31, near, near + 1, near + 2, near + 4, near + 5):  # scapy takes 0 for none
            low, high = number & 0xffffffff, number >> 32
            word, got = e.packet("in", sa.encrypt(p, seq_num=low, esn_en=True, esn=high + 1))
            assert (word, got) == ("drop", "in-icv-mismatch"), (name(cipher, NONE), number)
            word, got = e.packet("in", sa.encrypt(p, seq_num=low, esn_en=True, esn=high))
            assert word == "pass" and bytes(p.__class__(got)) == want, (name(cipher, NONE), number, got)


# Extension headers in the orders that RFC 8200 4.1 knows, and in others that occur: H hop-by-hop,
# D destination options, R routing, F fragment (of a whole packet); how many stand in front of ESP.
ORDERS = [("", 0), ("H", 1), ("D", 0), ("R", 1), ("F", 1), ("HD", 1), ("HR", 2), ("HF", 2), ("DR", 2),
          ("RD", 1), ("RF", 2), ("FD", 1), ("DF", 2), ("FR", 2), ("HDR", 3), ("HRD", 2), ("HDRF", 4),
          ("HRFD", 3), ("DRD", 2), ("HDRD", 3), ("HDRFD", 4), ("RDF", 3), ("DD", 0), ("HDRDD", 3)]


def headers(order):
    make = {"H": lambda: IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(4))]),
            "D": lambda: IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(12))]),
            "R": lambda: IPv6ExtHdrRouting(type=253, segleft=0, addresses=[]),
            "F": lambda: IPv6ExtHdrFragment(id=77)}
    return [make[c]() for c in order]


def chained(order):
    p = IPv6(src=INNER[6][0], dst=INNER[6][1], hlim=33)
    for h in headers(order):
        p = p / h
    return IPv6(bytes(p / UDP(sport=1, dport=2) / b"behind"))


GCM = CIPHERS[0]


@pytest.mark.parametrize("order", ORDERS, ids=lambda o: o[0] or "none")
def test_esp_among_extension_headers(order):
    """testudo puts ESP where the table says, scapy opens it; and testudo opens what scapy made,
    wherever scapy put ESP."""
    shape, p = ("transport", 6, 6), chained(order[0])
    want, front = bytes(p), 40 + sum(len(bytes(h)) for h in headers(order[0])[:order[1]])
    e = engine_for(GCM, NONE, shape, "out", None)
    word, got = e.packet("out", p)
    assert word == "send"
    assert int.from_bytes(got[front:front + 4], "big") == SPI
    # scapy 2.5 takes what ESP carries for what the fixed header announces: ESP stands alone for it.
    alone = IPv6(bytes(IPv6(src=INNER[6][0], dst=INNER[6][1], nh=50) / got[front:]))
    opened = bytes(association(GCM, NONE, shape).decrypt(alone, verify=True))
    assert opened[40:] == want[front:]
    e = engine_for(GCM, NONE, shape, "in", None)
    assert e.packet("in", association(GCM, NONE, shape).encrypt(p)) == ("pass", want)


def tshark(path, rows):
    argv = ["tshark", "-r", path, "-n", "-o", "esp.enable_encryption_decode:TRUE",
            "-o", "esp.enable_authentication_check:TRUE"]
    for row in rows:
        argv += ["-o", "uat:esp_sa:" + ",".join(f'"{v}"' for v in row)]
    argv += ["-T", "fields", "-e", "esp.spi", "-e", "esp.icv_good", "-e", "esp.icv_bad",
             "-e", "udp.payload", "-e", "icmp.type", "-e", "icmpv6.type", "-e", "tcp.flags",
             "-e", "udp.srcport"]
    out = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert out.returncode == 0, out.stderr
    return [line.split("\t") for line in out.stdout.splitlines()]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s[0]}-{s[1]}in{s[2]}")
def test_tshark_decrypts(shape, tmp_path):
    """All pairs in one capture, each with an SPI of its own."""
    plain, wires, uat = packets(shape[1]), [], []
    af = "IPv4" if shape[2] == 4 else "IPv6"
    for spi, (cipher, mac) in enumerate(TSHARK, SPI):
        e = engine_for(cipher, mac, shape, "out", None, spi)
        wires += [e.packet("out", p)[1] for p in plain]
        ek, ak = key(cipher[2], 1).hex(), key(mac[2], 99).hex()
        uat.append((af, "*", "*", f"{spi:#010x}", cipher[3], "0x" + ek if ek else "", mac[3],
                    "0x" + ak if ak else ""))
    path = str(tmp_path / "x.pcap")
    wrpcap(path, [(IP if w[0] >> 4 == 4 else IPv6)(w) for w in wires])
    rows = tshark(path, uat)
    assert len(rows) == len(wires)
    for n, row in enumerate(rows):
        (cipher, mac), p = TSHARK[n // len(plain)], plain[n % len(plain)]
        if mac[0] != "-" or cipher[4]:
            assert row[1] in ("1", "True"), (name(cipher, mac), row)
        inner = p[UDP] if UDP in p else None
        if inner is not None and len(inner.payload):
            assert row[3].replace(":", "") == bytes(inner.payload).hex(), name(cipher, mac)
        else:
            assert any(row[4:]), (name(cipher, mac), "not decrypted", row)

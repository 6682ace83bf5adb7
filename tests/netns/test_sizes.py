"""Small, 1,500-byte and 60 KB packets all arrive; senders learn the right MTU."""
import pytest

import keys
import netlab
from netlab import tcp, udp, wait_for

SIZES = [1, 100, 1300, 1400, 1452, 1472, 1500, 3000, 9000, 60000]


SHAPES = pytest.mark.parametrize("shape", ["esp", "ah", "esp-ah"])


def hosts(lab, mtu=1500, shape="esp"):
    w, a, b = netlab.two_hosts(lab, mtu=mtu)
    a.start()
    b.start()
    for A, B, spi in (("10.1.1.1", "20.1.1.1", 0x1000), ("fd10::1", "fd20::1", 0x1010)):
        sas, pa, pb = keys.transport(A, B, spi=spi, shape=shape)
        a.setkey(sas + pa)
        b.setkey(sas + pb)
    return w, a, b


def gateways(lab, mtu=1500, shape="esp"):
    w, gws, hs = netlab.two_gateways(lab, mtu=mtu)
    for g in gws:
        g.start()
    for n1, n2, g1, g2, spi in (("10.0.1.0/24", "10.0.2.0/24", "20.0.0.1", "20.0.0.2", 0x2000),
                                ("fd01::/64", "fd02::/64", "fd20::1", "fd20::2", 0x2010)):
        sas, p1, p2 = keys.tunnel(n1, n2, g1, g2, spi=spi, shape=shape)
        gws[0].setkey(sas + p1)
        gws[1].setkey(sas + p2)
    return w, gws, hs


@pytest.mark.parametrize("peer", ["20.1.1.1", "fd20::1"])
@pytest.mark.parametrize("mtu,shape", [(1500, "esp"), (1280, "esp"), (1500, "ah"), (1280, "esp-ah")])
def test_host_to_host(lab, peer, mtu, shape):
    w, a, b = hosts(lab, mtu, shape)
    with w.capture() as c:
        for size in SIZES:
            udp(a, b, peer, size)
        for size in (0, 1000, 1472, 20000, 60000):
            assert a.ping(peer, 2, size=size) >= 1, size
        tcp(a, b, peer, size=5_000_000)
        tcp(b, a, "10.1.1.1" if "." in peer else "fd10::1", size=5_000_000)
    assert not c.clear(["10.1.1.1", "20.1.1.1", "fd10::1", "fd20::1"], keys.CHAIN[shape])
    assert max(len(p.raw) for p in c.packets()) <= mtu + 14


@SHAPES
@pytest.mark.parametrize("peer,back", [("10.0.2.5", "10.0.1.5"), ("fd02::5", "fd01::5")])
def test_through_gateways(lab, peer, back, shape):
    w, gws, (h1, h2) = gateways(lab, shape=shape)
    with w.capture() as c:
        for size in SIZES:
            udp(h1, h2, peer, size)
        tcp(h1, h2, peer, size=5_000_000)
        tcp(h2, h1, back, size=5_000_000)
    assert not c.between(["10.0.0.0/16", "fd01::/64", "fd02::/64"])
    assert not c.clear(["20.0.0.0/24", "fd20::/64"], keys.CHAIN[shape])
    assert max(len(p.raw) for p in c.packets()) <= 1514


def inner_mtu(shape, six):
    """What is left of 1500 bytes, to the byte."""
    left = 1500 - (40 if six else 20)
    if shape != "esp":
        left -= 12 + 16 + (4 if six else 0)  # RFC 4302 2.6: to a multiple of 8 over IPv6
    if shape == "ah":
        return left
    # AES-GCM-16 in tunnel mode: ESP 8, IV 8, trailer 2, ICV 16, padding to 4.
    return (left - 8 - 8 - 16) // 4 * 4 - 2


@SHAPES
@pytest.mark.parametrize("peer", ["10.0.2.5", "fd02::5"])
def test_d27_forwarded_sender_learns_the_mtu(lab, peer, shape):
    """A DF packet that does not fit is answered by ICMP with the inner MTU of the tunnel."""
    w, gws, (h1, h2) = gateways(lab, shape=shape)
    for g in gws:
        g.run(netlab.TESTUDO, "sysctl", "net.inet.ipsec.pmtu_probe=0")  # full packets are counted
    assert h1.ping(peer, 1) == 1
    six = ":" in peer
    said = h1.run("ping", "-n", "-c", "3", "-i", "0.2", "-W", "1", "-M", "do", "-s",
                  "1400" if six else "1450", peer, check=False)
    assert ("From fd01::1" if six else "From 10.0.1.1") in said  # the gateway's own address
    out = h1.ip("-6" if six else "-4", "route", "get", peer)
    assert "mtu" in out, out
    mtu = int(out.split("mtu ")[1].split()[0])
    assert mtu == inner_mtu(shape, six)
    payload = mtu - (48 if six else 28)
    with w.capture() as c:
        assert h1.run("ping", "-n", "-c", "1", "-W", "1", "-M", "do", "-s", str(payload), peer)
    full = [p for p in c.between(["20.0.0.0/24", "fd20::/64"]) if len(p.raw) > 1000]
    assert len(full) == 2 and not [p for p in full if p.fragment]
    assert {len(p.raw) for p in full} <= {1514, 1513, 1512, 1511}
    assert gws[0].drops("too-big-df") >= 1


@SHAPES
@pytest.mark.parametrize("peer", ["20.1.1.1", "fd20::1"])
def test_lower_path_mtu_without_icmp(lab, peer, shape):
    """TCP moves from the first connection: the MSS is lowered in both directions."""
    w, a, b = hosts(lab, shape=shape)
    for h in (a, b):
        h.nft("table inet noicmp { chain i { type filter hook input priority -300; "
              "icmp type destination-unreachable drop; icmpv6 type packet-too-big drop; }; }")
    tcp(a, b, peer, size=3_000_000)
    tcp(b, a, "10.1.1.1" if "." in peer else "fd10::1", size=3_000_000)
    assert a.drops("too-big-df") == 0


@pytest.mark.parametrize("first", [0, 1])
def test_fragments_before_or_after_protection(lab, first):
    """What a router may fragment is fragmented outside of the tunnel, or by setting inside of it."""
    w, (g1, g2), (h1, h2) = netlab.two_gateways(lab)
    sas, p1, p2 = keys.tunnel("10.0.1.0/24", "10.0.2.0/24", "20.0.0.1", "20.0.0.2")
    for g, p in ((g1, p1), (g2, p2)):
        g.start()
        g.run(netlab.TESTUDO, "sysctl", f"net.inet.ipsec.frag_first={first}")
        g.setkey(sas + p)
    with w.capture() as c:
        netlab.udp(h1, h2, "10.0.2.5", 5000, port=9)
    outer = [p for p in c.between(["20.0.0.0/24"]) if p.proto == 50]
    assert outer and bool([p for p in outer if p.fragment]) == (not first)


def test_limit_of_fragments_in_udp(lab):
    """NAT_T_FRAG: what leaves in UDP is never a fragment and never longer; who sends with DF is told."""
    w, (g1, g2), (h1, h2) = netlab.two_gateways(lab)
    sas, p1, p2 = keys.tunnel("10.0.1.0/24", "10.0.2.0/24", "20.0.0.1", "20.0.0.2", natt=(4500, 4500))
    for g, p in ((g1, p1), (g2, p2)):
        g.start()
        g.ip("link", "set", g.dev, "gso_max_segs", 1)  # rows are cut before the wire that is watched
        g.run(netlab.TESTUDO, "sysctl", "net.inet.ipsec.pmtu_probe=0")
        g.setkey(sas.replace("-m tunnel", "-m tunnel -natt_mtu 600") + p)
    with w.capture() as c:
        udp(h1, h2, "10.0.2.5", 5000)
        tcp(h1, h2, "10.0.2.5", size=200_000)
        said = h1.run("ping", "-n", "-c", "3", "-i", "0.2", "-W", "1", "-M", "do", "-s", "1000", "10.0.2.5", check=False)
    assert "From 10.0.1.1" in said and "mtu = 600" in said.replace("(mtu=", "(mtu = "), said
    assert not c.between(["10.0.0.0/16"])
    outer = c.between(["20.0.0.0/24"])
    assert len(outer) > 100 and {p.proto for p in outer} == {17} and not [p for p in outer if p.fragment]
    # Around 600 bytes: IPv4 20, UDP 8, ESP 8, IV 8, padding and trailer up to 5, ICV 16.
    assert 600 < max(len(p.ip) for p in outer) <= 600 + 65


@pytest.mark.parametrize("natt", [None, (4500, 4500)])
def test_lengths_that_say_nothing(lab, natt):
    """All packets on the wire have one length, also when nobody sends anything; dummies get no further."""
    w, (g1, g2), (h1, h2) = netlab.two_gateways(lab)
    sas, p1, p2 = keys.tunnel("10.0.1.0/24", "10.0.2.0/24", "20.0.0.1", "20.0.0.2", natt=natt)
    for g, p in ((g1, p1), (g2, p2)):
        g.start()
        g.ip("link", "set", g.dev, "gso_max_segs", 1)  # rows are cut before the wire that is watched
        g.run(netlab.TESTUDO, "sysctl", "net.inet.ipsec.pmtu_probe=0")
        g.setkey(sas.replace("-m tunnel", "-m tunnel -o tfc=1000 -o dummies=50") + p)
    with w.capture() as c, g2.lan.capture() as lan:
        for size in (1, 100, 333, 900):
            udp(h1, h2, "10.0.2.5", size)
        wait_for("dummies", lambda: g1.stat("esp-dummies") > 20 and g2.drops("in-dummy") > 20)
    assert not c.between(["10.0.0.0/16"])
    there = [p for p in c.between(["20.0.0.0/24"]) if p.src == "20.0.0.1"]
    assert len(there) > 24 and {p.proto for p in there} == {17 if natt else 50}
    assert len({len(p.ip) for p in there}) == 1
    got = [p for p in lan.between(["10.0.0.0/16"]) if p.src == "10.0.1.5"]
    assert 4 <= len(got) < 10 and {p.proto for p in got} == {17}

"""The headers of tunnels on the wire, in all four pairs of families, congestion marks through them
(RFC 6040), settings of SAs and policies, and selectors beyond TCP and UDP."""
import struct

import pytest

import keys
import netlab

NETS = {4: ("10.0.1.0/24", "10.0.2.0/24"), 6: ("fd01::/64", "fd02::/64")}
GATES = {4: ("20.0.0.1", "20.0.0.2"), 6: ("fd20::1", "fd20::2")}
HOSTS = {4: ("10.0.1.5", "10.0.2.5"), 6: ("fd01::5", "fd02::5")}
PAIRS = [(4, 4), (6, 4), (4, 6), (6, 6)]

SEND = """
import socket, sys
v6 = ":" in sys.argv[1]
s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
if v6:
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, int(sys.argv[2]))
else:
    s.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, int(sys.argv[2]))
for i in range(3):
    s.sendto(b"datagram", (sys.argv[1], 5004))
"""

# Prints the traffic class of each datagram.
RECEIVE = """
import socket, struct, sys
v6 = ":" in sys.argv[1]
s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
if v6:
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
else:
    s.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
s.bind((sys.argv[1], int(sys.argv[2])))
print("up", flush=True)
while True:
    d, anc, flags, a = s.recvmsg(100, 200)
    print(anc[0][2][0], flush=True)
"""

CONGESTION = """
table inet congestion {
    chain c {
        type filter hook prerouting priority -300;
        meta l4proto esp ip ecn set ce
        meta l4proto esp ip6 ecn set ce
    }
}
"""


def gateways(lab, inner, outer):
    w, gws, hs = netlab.two_gateways(lab)
    sas, p1, p2 = keys.tunnel(*NETS[inner], *GATES[outer])
    for g, policies in zip(gws, (p1, p2)):
        g.start()
        g.setkey(sas + policies)
    return w, gws, hs


def setting(gateway, outer, name, value):
    where = "net.inet6.ipsec6" if outer == 6 else "net.inet.ipsec"
    gateway.run(netlab.TESTUDO, "sysctl", f"{where}.{name}={value}")


def fields(packet):
    """Traffic class, hop limit, flow label or DF of a header."""
    if packet.version == 4:
        return packet.ip[1], packet.ip[8], struct.unpack("!H", packet.ip[6:8])[0] & 0x4000 != 0
    first = struct.unpack("!I", packet.ip[:4])[0]
    return first >> 20 & 0xff, packet.ip[7], first & 0xfffff


def lines(receiver, n):
    return [int(receiver.stdout.readline()) for _ in range(n)]


def stop(receiver):
    receiver.kill()
    receiver.wait()


def on_the_wire(w, hs, inner, outer, tos):
    """The fields of the outer headers of three datagrams, which all arrive."""
    p = netlab.serve(hs[1], RECEIVE, HOSTS[inner][1], 5004)
    try:
        with w.capture() as c:
            hs[0].python(SEND, HOSTS[inner][1], tos)
            assert lines(p, 3) == [tos] * 3
    finally:
        stop(p)
    out = [p for p in c.packets() if p.ip is not None and p.proto == 50 and p.src == GATES[outer][0]]
    assert len(out) == 3
    assert not c.between(NETS[4] + NETS[6])
    return {fields(p) for p in out}


@pytest.mark.parametrize("inner,outer", PAIRS)
def test_outer_headers(lab, inner, outer):
    w, gws, hs = gateways(lab, inner, outer)
    h1 = hs[0]
    assert h1.ping(HOSTS[inner][1], 2) >= 1
    clear = 0 if outer == 6 else inner == 4  # hosts set DF, and dfbit copies it
    assert on_the_wire(w, hs, inner, outer, 0xb9) == {(0xb8, 64, clear)}
    setting(gws[0], outer, "ecn", 2)
    assert on_the_wire(w, hs, inner, outer, 0xb9) == {(0xb9, 64, clear)}
    setting(gws[0], outer, "dscp", 10)
    setting(gws[0], outer, "hoplimit", 33)
    assert on_the_wire(w, hs, inner, outer, 0xb9) == {(10 << 2 | 1, 33, clear)}
    if outer == 6:
        setting(gws[0], outer, "flowlabel", 2)
        (_, _, label), = on_the_wire(w, hs, inner, outer, 0)
        assert label != 0
    else:
        setting(gws[0], outer, "dfbit", 1)
        (_, _, df), = on_the_wire(w, hs, inner, outer, 0)
        assert df
    assert h1.ping(HOSTS[inner][1], 2) >= 1


@pytest.mark.parametrize("inner,outer", PAIRS)
def test_congestion_marks_come_through(lab, inner, outer):
    """Mode 2: a mark on the outer header reaches those that know ECN; for others it is a loss."""
    w, gws, (h1, h2) = gateways(lab, inner, outer)
    assert h1.ping(HOSTS[inner][1], 2) >= 1
    for g in gws:
        setting(g, outer, "ecn", 2)
    gws[1].nft(CONGESTION)
    p = netlab.serve(h2, RECEIVE, HOSTS[inner][1], 5004)
    try:
        h1.python(SEND, HOSTS[inner][1], 0x2a)
        assert lines(p, 3) == [0x2b] * 3
        h1.python(SEND, HOSTS[inner][1], 0x28)
        netlab.wait_for("drops", lambda: gws[1].drops("in-ecn-mark-lost") >= 3)
        assert gws[1].stat("ecn-dangerous") >= 3
        setting(gws[1], outer, "ecn", 0)
        h1.python(SEND, HOSTS[inner][1], 0x28)
        assert lines(p, 3) == [0x28] * 3
    finally:
        stop(p)


@pytest.mark.parametrize("outer", [4, 6])
def test_d33_settings_of_an_sa_and_of_a_policy(lab, outer):
    """An SA goes before its policy, and both before the settings of the node."""
    w, gws, hs = netlab.two_gateways(lab)
    sas, p1, p2 = keys.tunnel(*NETS[4], *GATES[outer])
    gws[0].start()
    gws[1].start()
    gws[0].setkey(sas.replace("-m tunnel", "-m tunnel -o ttl=7 -o ecn=forbidden") +
                  p1.replace(" -P out", " -o dscp=46 -o ttl=9 -o ecn=rfc6040 -P out"))
    gws[1].setkey(sas + p2)
    assert hs[0].ping(HOSTS[4][1], 2) >= 1
    setting(gws[0], outer, "hoplimit", 33)
    setting(gws[0], outer, "dscp", 10)
    (tos, ttl, _), = on_the_wire(w, hs, 4, outer, 0xb9)
    assert (tos, ttl) == (46 << 2, 7)


# What selectors ask for, and the bytes behind the IP header that they cover and do not cover.
UPPER = [
    ("gre 7", 47, "2000080000000007", "2000080000000008"),
    ("gre 192.168.1.2", 47, "b000080000000000c0a8010200000001", "0000080000000000"),
    ("sctp", 132, "13881389" + "00" * 8, "13881393" + "00" * 8),
    ("udplite", 136, "1388138900000000", "1388140000000000"),
    ("dccp", 33, "1388138904000000" + "00" * 8, "1388000104000000" + "00" * 8),
]

RAW = """
import socket, sys
v6 = ":" in sys.argv[1]
s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_RAW, int(sys.argv[2]))
for i in range(3):
    s.sendto(bytes.fromhex(sys.argv[3]), (sys.argv[1], 0))
"""

# Prints the protocol of each packet.
RAW_RECEIVE = """
import select, socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
s = {socket.socket(family, socket.SOCK_RAW, n): n for n in (50, int(sys.argv[2]))}
print("up", flush=True)
while True:
    for r in select.select(list(s), [], [])[0]:
        r.recv(2000)
        print(s[r], flush=True)
"""


@pytest.mark.parametrize("a,b", [("10.1.1.1", "20.1.1.1"), ("fd10::1", "fd20::1")])
def test_d06_keys_and_ports_of_other_protocols_select(lab, a, b):
    w, left, right = netlab.two_hosts(lab)
    left.start()
    for upper, proto, covered, other in UPPER:
        there = b if proto == 47 else f"{b}[5000-5010]"
        sas, _, _ = keys.transport(a, b)
        left.setkey(f"flush; spdflush;\n{sas}spdadd {a} {there} {upper} -P out ipsec "
                    "esp/transport//require;\n")
        assert left.ping(b, 2) >= 1  # neighbours are known, and other traffic is free
        p = netlab.serve(right, RAW_RECEIVE, b, proto)
        try:
            for data, protected in ((covered, True), (other, False)):
                left.python(RAW, b, proto, data)
                assert lines(p, 3) == [50 if protected else proto] * 3, (upper, data)
        finally:
            stop(p)


def test_d41_icmp_type_0(lab):
    """A policy for echo replies lets the requests go."""
    w, left, right = netlab.two_hosts(lab)
    left.start()
    assert left.ping("20.1.1.1", 2) >= 1
    assert right.ping("10.1.1.1", 2) >= 1
    left.setkey("spdadd 10.1.1.1 20.1.1.1 icmp type 0 -P out discard;\n")
    assert left.ping("20.1.1.1", 2) == 2
    assert right.ping("10.1.1.1", 2) == 0
    assert left.drops("out-policy-discard") == 2

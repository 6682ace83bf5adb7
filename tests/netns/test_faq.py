"""The FAQ's examples run unchanged, except for those with IKE; each has its IPv6 twin and its
negatives."""
import os
import re

import pytest

import forge
import netlab
from netlab import tcp, tcp_fails, udp

FAQ = os.path.join(os.path.dirname(os.path.abspath(__file__)), "faq")
SIX = (("10.1.1.1", "fd10::1"), ("20.1.1.1", "fd20::1"), ("20.0.0.1", "fd20::1"),
       ("20.0.0.2", "fd20::2"), ("10.0.1.0/24", "fd01::/64"), ("10.0.2.0/24", "fd02::/64"),
       ("10.0.1.5/32", "fd01::5/128"), ("10.0.1.5", "fd01::5"), ("10.0.1.1", "fd01::1"),
       ("0.0.0.0/0", "::/0"))


def text_of(name):
    with open(os.path.join(FAQ, name)) as f:
        return re.search(r"<<EOF\n(.*?)^EOF", f.read(), re.S | re.M).group(1)


def six(text):
    for four, other in SIX:
        text = text.replace(four, other)
    return text


def swap_directions(text):
    """For the other end: swap the out and in keywords of the spdadd commands."""
    return re.sub(r"-P (out|in)", lambda m: "-P in" if m[1] == "out" else "-P out", text)


def swap_hosts(text):
    """For the other end: the addresses are swapped on the spdadd line, not on the add lines."""
    return re.sub(r"^spdadd (\S+) (\S+)", r"spdadd \2 \1", text, flags=re.M)


def load(host, name, af, change=lambda t: t):
    """Runs the script itself where the FAQ has it as it stands; else its changed text."""
    if af == 4 and change(text_of(name)) == text_of(name):
        host.script(os.path.join(FAQ, name))
    else:
        text = change(text_of(name))
        host.setkey(six(text) if af == 6 else text)


def host_pair(lab, af, example):
    w, a, b = netlab.two_hosts(lab)
    a.start()
    b.start()
    load(a, f"{example}-host-a.sh", af)
    if example == "1":
        load(b, "1-host-b.sh", af)
    else:
        load(b, f"{example}-host-a.sh", af, swap_hosts)
    A, B = ("10.1.1.1", "20.1.1.1") if af == 4 else ("fd10::1", "fd20::1")
    return w, a, b, A, B


@pytest.mark.parametrize("af", [4, 6])
@pytest.mark.parametrize("example", ["1", "2"])
def test_host_to_host(lab, example, af):
    w, a, b, A, B = host_pair(lab, af, example)
    with w.capture() as c:
        assert a.ping(B, 3) == 3 and b.ping(A, 3) == 3
        tcp(a, b, B)
        tcp(b, a, A)
        udp(a, b, B, 1200)
    assert not c.clear([A, B])
    assert len(c.esp([A, B])) > 20
    assert {int.from_bytes(p.payload[:4], "big") for p in c.esp([A, B])} == {9876, 10000}


def dissected(c):
    """What tshark says of the headers of each IPv4 and IPv6 packet."""
    out = netlab.sh("tshark", "-n", "-r", c.path, "-T", "fields", "-e", "frame.protocols")
    return {line.split(":", 2)[2] for line in out.splitlines() if ":ip" in line}


@pytest.mark.parametrize("af", [4, 6])
@pytest.mark.parametrize("example,chain", [("3", (51,)), ("4", (51, 50))])
def test_host_to_host_authentication(lab, example, chain, af):
    """Example 3: packets look like IP AH payload; example 4: IP AH ESP payload."""
    w, a, b, A, B = host_pair(lab, af, example)
    with w.capture() as c:
        assert a.ping(B, 3) == 3 and b.ping(A, 3) == 3
        tcp(a, b, B)
        tcp(b, a, A)
        udp(a, b, B, 1200)
    assert not c.clear([A, B], chain)
    seen = c.between([A, B])
    assert len(seen) > 20
    assert {int.from_bytes(p.payload[4:8], "big") for p in seen} == {9877, 10001}
    if example == "4":
        assert {int.from_bytes(p.payload[24:28], "big") for p in seen} >= {9876, 10000}
    ip = "ip" if af == 4 else "ipv6"
    shapes = {s for s in dissected(c) if ":ah" in s}
    if example == "4":
        assert shapes == {f"{ip}:ah:esp"}
    else:
        assert {f"{ip}:ah:{s}" for s in ("icmp:data" if af == 4 else "icmpv6:data", "tcp")} <= shapes


@pytest.mark.parametrize("af", [4, 6])
@pytest.mark.parametrize("example,request_in", [
    ("3", "ah/transport//require"), ("4", "esp/transport//require ah/transport//require")])
def test_authentication_optional_require(lab, example, request_in, af):
    """With an `in ... require` policy, what lacks one of the headers is rejected."""
    w, a, b, A, B = host_pair(lab, af, example)
    a.setkey(f"spdadd {B} {A} any -P in ipsec {request_in};")
    assert a.ping(B, 2) == 2
    # The peer leaves out one header after the other, and at last both.
    for left in (["esp/transport//use"] if example == "4" else []) + (
            ["ah/transport//use"] if example == "4" else []):
        b.setkey(f"spdupdate {B} {A} any -P out ipsec {left};")
        before = a.drops("in-wrong-protection")
        assert b.ping(A, 2) == 0
        assert a.drops("in-wrong-protection") == before + 2, left
    b.setkey("spdflush;")
    before = a.drops("in-clear-but-required")
    assert b.ping(A, 2) == 0
    assert tcp_fails(b, a, A)
    assert a.drops("in-clear-but-required") > before


@pytest.mark.parametrize("af", [4, 6])
@pytest.mark.parametrize("example", ["3", "4"])
def test_authentication_wrong_key(lab, example, af):
    w, a, b, A, B = host_pair(lab, af, example)
    b.setkey(f"delete {A} {B} ah 9877;\nadd {A} {B} ah 9877 -A hmac-md5 0x{'11' * 16};")
    assert a.ping(B, 3) == 0
    assert b.drops("in-icv-mismatch") == 3


@pytest.mark.parametrize("af", [4, 6])
def test_authenticated_packet_changed_on_the_way(lab, af):
    """AH covers addresses and payload, and not what routers change."""
    w, a, b, A, B = host_pair(lab, af, "3")
    m = lab.host("m")
    w.plug(m)
    with w.capture() as c:
        assert a.ping(B, 1) == 1
    (packet,) = [p.raw[14:] for p in c.between([A, B]) if p.src == A]
    ttl, source, last = (8, 15, len(packet) - 1) if af == 4 else (7, 23, len(packet) - 1)

    def changed(at):
        p = bytearray(packet)
        p[at] ^= 1
        return forge.right_checksum(p)
    delivered = b.stat("in-delivered")
    forge.send_ip(w, b, m, changed(ttl))
    netlab.wait_for("the packet is delivered", lambda: b.stat("in-delivered") == delivered + 1)
    assert b.drops("in-icv-mismatch") == 0
    for n, at in enumerate((source, last), 1):
        forge.send_ip(w, b, m, changed(at))
        netlab.wait_for("the packet is dropped", lambda: b.drops("in-icv-mismatch") == n)


@pytest.mark.parametrize("af", [4, 6])
def test_host_to_host_optional_require(lab, af):
    """The FAQ's optional line: clear packets from the peer are rejected."""
    w, a, b, A, B = host_pair(lab, af, "1")
    a.setkey(f"spdadd {B} {A} any -P in ipsec esp/transport//require;")
    assert a.ping(B, 2) == 2
    # The peer without its policy sends in clear.
    b.setkey("spdflush;")
    before = a.drops("in-clear-but-required")
    assert b.ping(A, 2) == 0
    assert tcp_fails(b, a, A)
    assert a.drops("in-clear-but-required") > before


@pytest.mark.parametrize("af", [4, 6])
def test_sa_missing_with_require(lab, af):
    w, a, b, A, B = host_pair(lab, af, "1")
    a.setkey(f"spdupdate {A} {B} any -P out ipsec esp/transport//require;\n"
             f"delete {A} {B} esp 9876;")
    before = a.drops("out-no-sa")
    with w.capture() as c:
        assert a.ping(B, 2) == 0
        assert tcp_fails(a, b, B)
        assert not a.ok("/usr/bin/python3", "-c", netlab.UDP_CLIENT, B, 9, 100, 0.2, "")
    assert [p for p in c.between([A, B]) if p.src == A] == []
    assert a.drops("out-no-sa") > before


@pytest.mark.parametrize("af", [4, 6])
def test_wrong_key(lab, af):
    """With authentication a wrong key is an ICV failure; nothing is delivered."""
    w, a, b = netlab.two_hosts(lab)
    a.start()
    b.start()
    A, B = ("10.1.1.1", "20.1.1.1") if af == 4 else ("fd10::1", "fd20::1")
    for h, me, peer, key in ((a, A, B, "aa"), (b, B, A, "bb")):
        h.setkey(f"add {A} {B} esp 9876 -E rijndael-cbc 0x{key * 16} -A hmac-sha1 0x{key * 20};\n"
                 f"add {B} {A} esp 10000 -E rijndael-cbc 0x{key * 16} -A hmac-sha1 0x{key * 20};\n"
                 f"spdadd {me} {peer} any -P out ipsec esp/transport//require;\n")
    assert a.ping(B, 3) == 0
    assert b.drops("in-icv-mismatch") == 3


@pytest.mark.parametrize("af", [4, 6])
def test_wrong_key_without_authentication(lab, af):
    """Example 2 has no ICV: what comes out is garbage, which the padding check stops."""
    w, a, b, A, B = host_pair(lab, af, "2")
    b.setkey(f"delete {A} {B} esp 9876;\n"
             f"add {A} {B} esp 9876 -E rijndael-cbc 0x{'11' * 16};")
    assert a.ping(B, 3) == 0
    assert sum(b.drops(r) for r in ("in-bad-padding", "in-icv-mismatch", "in-dummy")) >= 2


@pytest.mark.parametrize("af", [4, 6])
def test_replayed_packet(lab, af):
    w, a, b = netlab.two_hosts(lab)
    m = lab.host("m")
    w.plug(m)
    a.start()
    b.start()
    A, B = ("10.1.1.1", "20.1.1.1") if af == 4 else ("fd10::1", "fd20::1")
    for h, me, peer in ((a, A, B), (b, B, A)):
        h.setkey(f"add {A} {B} esp 9876 -r 4 -E 3des-cbc 0x{'ab' * 24} -A hmac-md5 0x{'cd' * 16};\n"
                 f"add {B} {A} esp 10000 -r 4 -E 3des-cbc 0x{'12' * 24} -A hmac-md5 0x{'34' * 16};\n"
                 f"spdadd {me} {peer} any -P out ipsec esp/transport//require;\n"
                 f"spdadd {peer} {me} any -P in ipsec esp/transport//require;\n")
    with w.capture() as c:
        assert a.ping(B, 3) == 3
    recorded = [p for p in c.esp([A, B]) if p.src == A]
    assert len(recorded) == 3
    for p in recorded:
        forge.send(m, p.raw)
    netlab.wait_for("three replays are dropped",
                    lambda: b.drops("in-replay-duplicate") == 3)
    assert a.ping(B, 2) == 2


@pytest.mark.parametrize("af", [4, 6])
def test_sa_of_another_peer(lab, af):
    """A packet that is protected by somebody else's SA does not satisfy the policy for A."""
    w, a, b, A, B = host_pair(lab, af, "2")
    M = "30.1.1.1" if af == 4 else "fd30::1"
    m = lab.host("m")
    dev = w.plug(m, f"{M}/{32 if af == 4 else 128}")
    b.setkey(f"spdadd {A} {B} any -P in ipsec esp/transport//require;\n"
             f"add {M} {B} esp 7777 -E aes-cbc 0x{'77' * 16} -A hmac-sha1 0x{'88' * 20};")
    assert a.ping(B, 2) == 2
    before = b.drops("in-wrong-protection")
    # M knows a good key, and claims to be A.
    packet = forge.esp(src=A, dst=B, spi=7777, seq=1, key=b"\x77" * 16, mac=b"\x88" * 20,
                       payload=forge.echo_request(A, B))
    forge.send_ip(w, b, m, packet)
    netlab.wait_for("the packet is dropped", lambda: b.drops("in-wrong-protection") == before + 1)


def vpn(lab, af):
    w, gws, hosts = netlab.two_gateways(lab)
    for g in gws:
        g.start()
    load(gws[0], "5-gateway-1.sh", af)
    load(gws[1], "5-gateway-1.sh", af, swap_directions)
    nets = ["10.0.1.0/24", "10.0.2.0/24"] if af == 4 else ["fd01::/64", "fd02::/64"]
    outer = ["20.0.0.0/24"] if af == 4 else ["fd20::/64"]
    H1, H2 = ("10.0.1.5", "10.0.2.5") if af == 4 else ("fd01::5", "fd02::5")
    return w, gws, hosts, nets, outer, H1, H2


@pytest.mark.parametrize("af", [4, 6])
def test_vpn(lab, af):
    w, gws, (h1, h2), nets, outer, H1, H2 = vpn(lab, af)
    with w.capture() as c:
        assert h1.ping(H2, 3) == 3 and h2.ping(H1, 3) == 3
        tcp(h1, h2, H2)
        tcp(h2, h1, H1)
        udp(h1, h2, H2, 1200)
        # The gateways themselves talk through the tunnel with their inner addresses.
        inner1 = "10.0.1.1" if af == 4 else "fd01::1"
        assert gws[0].ping(H2, 2, src=inner1) == 2
    assert not c.between(nets), "inner packets on the outer wire"
    assert len(c.esp(outer)) > 20 and not c.clear(outer)


@pytest.mark.parametrize("af", [4, 6])
def test_vpn_negatives(lab, af):
    w, (g1, g2), (h1, h2), nets, outer, H1, H2 = vpn(lab, af)
    G1, G2 = ("20.0.0.1", "20.0.0.2") if af == 4 else ("fd20::1", "fd20::2")
    assert h1.ping(H2, 2) == 2
    # A clear packet that claims to come from the other network.
    before = g1.drops("in-clear-but-required")
    m = lab.host("m")
    w.plug(m)
    forge.send_ip(w, g1, m, forge.echo_request_packet(H2, H1))
    netlab.wait_for("the forged packet is dropped",
                    lambda: g1.drops("in-clear-but-required") == before + 1)
    # SA missing with require: nothing leaves.
    g1.setkey(f"delete {G1} {G2} esp 13245;")
    with w.capture() as c:
        assert h1.ping(H2, 2) == 0
    assert not [p for p in c.between(nets + outer) if p.src in (H1, G1)]
    assert g1.drops("out-no-sa") >= 2


def leaf(lab, af):
    w, l, r, s = netlab.leaf_and_router(lab)
    l.start()
    r.start()
    load(l, "6-leaf.sh", af)
    load(r, "6-leaf.sh", af, swap_directions)
    addresses = ("10.0.1.5", "10.0.1.1", "10.0.9.9") if af == 4 else ("fd01::5", "fd01::1", "fd09::9")
    return (w, l, r, s) + addresses


@pytest.mark.parametrize("af", [4, 6])
def test_leaf_tunnel(lab, af):
    """The tunnel endpoint lies inside of its own selector (R47)."""
    w, l, r, s, L, R, S = leaf(lab, af)
    with w.capture() as c:
        assert l.ping(S, 3) == 3 and s.ping(L, 3) == 3
        assert l.ping(R, 2) == 2 and r.ping(L, 2) == 2
        tcp(l, s, S)
        tcp(s, l, L)
        udp(l, s, S, 1200)
    assert not c.clear([L, R, S])
    assert len(c.esp([L, R])) > 20


@pytest.mark.parametrize("af", [4, 6])
def test_leaf_tunnel_negatives(lab, af):
    w, l, r, s, L, R, S = leaf(lab, af)
    m = lab.host("m")
    w.plug(m)
    before = l.drops("in-clear-but-required")
    forge.send_ip(w, l, m, forge.echo_request_packet(S, L))
    netlab.wait_for("the forged packet is dropped",
                    lambda: l.drops("in-clear-but-required") == before + 1)
    l.setkey(f"delete {L} {R} esp 1012;")
    with w.capture() as c:
        assert l.ping(S, 2) == 0
        assert tcp_fails(l, s, S)
    assert not [p for p in c.between([L, R, S]) if p.src == L]
    assert l.drops("out-no-sa") >= 2

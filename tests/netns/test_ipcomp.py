"""IPComp by itself: compressed where that helps; tunnel packets that do not get smaller travel as
plain IP in IP and are found among what the host receives for itself."""
import os
import re
import subprocess
import time

import pytest

import forge
import netlab
from netlab import tcp, udp

HOST = {4: ("10.1.1.1", "20.1.1.1"), 6: ("fd10::1", "fd20::1")}
NETS = {4: ("10.0.1.0/24", "10.0.2.0/24"), 6: ("fd01::/64", "fd02::/64")}
GATES = {4: ("20.0.0.1", "20.0.0.2"), 6: ("fd20::1", "fd20::2")}
ENDS = {4: ("10.0.1.5", "10.0.2.5"), 6: ("fd01::5", "fd02::5")}
IPIP = {4: 4, 6: 41}
PAIRS = [(4, 4), (6, 6), (4, 6), (6, 4)]


def sas(a, b, mode, spi=1000):
    return (f"add {a} {b} ipcomp {spi} -m {mode} -C deflate;\n"
            f"add {b} {a} ipcomp {spi + 1} -m {mode} -C deflate;\n")


def policies(here, there, request, verb="spdadd"):
    src, dst = request
    mode = "transport//" if src is None else f"tunnel/{src}-{dst}/"
    back = "transport//" if src is None else f"tunnel/{dst}-{src}/"
    return (f"{verb} {here} {there} any -P out ipsec ipcomp/{mode}use;\n"
            f"{verb} {there} {here} any -P in ipsec ipcomp/{back}use;\n")


def hosts(lab, af, mode="transport"):
    w, a, b = netlab.two_hosts(lab)
    A, B = HOST[af]
    for h, me, peer in ((a, A, B), (b, B, A)):
        h.start()
        h.setkey(sas(A, B, mode) + policies(
            me, peer, (None, None) if mode == "transport" else (me, peer)))
    return w, a, b, A, B


def gateways(lab, inner, outer, mode="tunnel"):
    w, gws, hs = netlab.two_gateways(lab)
    for i, g in enumerate(gws):
        g.start()
        g.setkey(sas(*GATES[outer], mode) + policies(
            NETS[inner][i], NETS[inner][1 - i], (GATES[outer][i], GATES[outer][1 - i])))
    return w, gws, hs


def protocols(c, *addresses):
    """How many packets of each protocol."""
    found = {}
    for p in c.between(addresses):
        found[p.proto] = found.get(p.proto, 0) + 1
    return found


def shown(host):
    """What of the protocols 4 and 41 is covered: the elements of the kernel's sets."""
    ruleset = host.run("nft", "-n", "list", "table", "inet", "testudo-a")
    return re.findall(r"[0-9a-f.:]+ \. [0-9a-f.:]+ \. (?:4|41)\b", ruleset)


@pytest.mark.parametrize("af", [4, 6])
def test_transport_mode(lab, af):
    """Payloads of less than 90 bytes, and such that do not get smaller, are left alone."""
    w, a, b, A, B = hosts(lab, af)
    with w.capture() as c:
        # ICMP: 8 bytes of header, and data that ping repeats.
        assert a.ping(B, 2, data=bytes(81)) == 2
    assert protocols(c, A, B) == {1 if af == 4 else 58: 4}
    with w.capture() as c:
        assert a.ping(B, 2, data=bytes(82)) == 2
        tcp(a, b, B)
    assert protocols(c, A, B)[108] > 4
    largest = max(len(p.payload) for p in c.between([A, B]) if p.proto == 108)
    with w.capture() as c:
        for _ in range(8):
            udp(a, b, B, 1200)  # random
    assert protocols(c, A, B) == {17: 16}
    assert largest < 1400
    assert a.stats()["attachment"]["queued"] == b.stats()["attachment"]["queued"] == 0


@pytest.mark.parametrize("inner,outer", PAIRS)
def test_d29_tunnel_mode(lab, inner, outer):
    """Received, whether a packet got smaller or not, each once."""
    w, gws, (h1, h2) = gateways(lab, inner, outer)
    A, B = ENDS[inner]
    with w.capture() as c:
        assert h1.ping(B, 4, data=bytes(20)) == 4
    assert protocols(c, *GATES[outer]) == {IPIP[inner]: 8}
    before = [g.stat("ipcomp-in-bare") for g in gws]
    assert before == [4, 4]
    with w.capture() as c:
        assert h1.ping(B, 4, data=bytes(400)) == 4
        tcp(h1, h2, B)
        tcp(h2, h1, A)
        udp(h1, h2, B, 1200)
        udp(h2, h1, A, 1200)
    found = protocols(c, *GATES[outer])
    assert set(found) == {IPIP[inner], 108} and found[108] > 8
    assert not c.between(NETS[inner])
    for g in gws:
        assert not [d for d in g.stats()["drops"] if d["count"]]
        assert g.stats()["attachment"]["queued"] == g.stat("ipcomp-in-bare")


@pytest.mark.parametrize("inner,outer", PAIRS)
def test_fragmented_tunnel_packets(lab, inner, outer):
    """What does not get smaller and does not fit comes in fragments of the outer packet."""
    w, gws, (h1, h2) = gateways(lab, inner, outer)
    A, B = ENDS[inner]
    netlab.wait_for("large packets", lambda: h1.ping(B, 1, size=4000) == 1, 5)
    with w.capture() as c:
        udp(h1, h2, B, 20000)
        udp(h2, h1, A, 20000)
    if inner == 4:  # IPv6 senders have learned to send smaller ones
        assert [p for p in c.between(GATES[outer]) if p.fragment and p.proto == 4]


@pytest.mark.parametrize("af", [4, 6])
def test_fragmented_tunnel_packets_between_hosts(lab, af):
    w, a, b, A, B = hosts(lab, af, "tunnel")
    with w.capture() as c:
        udp(a, b, B, 20000)
        udp(b, a, A, 20000)
    assert set(protocols(c, A, B)) == {IPIP[af]}
    for h in (a, b):
        rules = h.run("nft", "list", "table", "inet", "testudo-a")
        assert ("chain whole" in rules) == (af == 6)
        h.setkey("flush;")
        netlab.wait_for("nothing is shown any more", lambda: not shown(h))
        netlab.wait_for("no reassembly", lambda: "chain whole" not in
                        h.run("nft", "list", "table", "inet", "testudo-a"))


RAW_COUNT = """
import socket, sys, time
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
s = [socket.socket(family, socket.SOCK_RAW, n) for n in (4, 41)]
print("up", flush=True)
sys.stdin.readline()
n = 0
for k in s:
    k.setblocking(False)
    try:
        while True:
            k.recv(70000)
            n += 1
    except BlockingIOError:
        pass
print(n, flush=True)
"""


class Listener:
    """Counts the packets of protocols 4 and 41 that a host keeps for itself."""

    def __init__(self, host, address):
        self.p = host.python_bg(RAW_COUNT, address, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.p.stdout.readline().strip() == b"up"

    def count(self):
        self.p.stdin.write(b"\n")
        self.p.stdin.flush()
        n = int(self.p.stdout.readline())
        self.p.wait()
        return n


def ip_in_ip(src, dst, inner_src, inner_dst, n=5):
    outer = forge.ip(src, dst)
    inner = bytes(forge.echo_request_packet(inner_src, inner_dst))
    if ":" in src:
        outer.nh = 41 if ":" in inner_src else 4
    else:
        outer.proto = 41 if ":" in inner_src else 4
    return [outer / inner] * n


@pytest.mark.parametrize("inner,outer", PAIRS)
def test_ip_in_ip_of_others_stays_with_the_host(lab, inner, outer):
    w, (g1, g2), hs = gateways(lab, inner, outer)
    net = "20.0.0.{}" if outer == 4 else "fd20::{}"
    A, B = ENDS[inner]
    m = lab.host("m")
    w.plug(m)
    # From somebody else, and from the peer to another address of this host.
    g1.address(g1.dev, net.format(7) + ("/24" if outer == 4 else "/64"))
    for src, dst in ((net.format(9), net.format(1)), (net.format(2), net.format(7))):
        host = Listener(g1, dst)
        forge.send_ip(w, g1, m, *ip_in_ip(src, dst, B, A))
        time.sleep(0.3)
        assert host.count() == 5
    assert g1.stats()["attachment"]["queued"] == 0
    # Of the tunnel: taken, and the host gets none.
    host = Listener(g1, net.format(1))
    forge.send_ip(w, g1, m, *ip_in_ip(net.format(2), net.format(1), B, A))
    netlab.wait_for("packets of the tunnel", lambda: g1.stat("ipcomp-in-bare") == 5)
    assert host.count() == 0
    # What the policy does not cover is no tunnel's, and is not delivered either.
    host = Listener(g1, net.format(1))
    other = "172.16.0.1" if inner == 4 else "fd99::1"
    before = g1.stats()["attachment"]["queued"]
    forge.send_ip(w, g1, m, *ip_in_ip(net.format(2), net.format(1), other, A))
    netlab.wait_for("packets in the queue",
                    lambda: g1.stats()["attachment"]["queued"] == before + 5)
    assert g1.drops("in-outside-of-sa") == 5 and host.count() == 0
    # Without the SA the host keeps all; nothing is looked at any more.
    src, dst = GATES[outer]
    g1.setkey(f"deleteall {src} {dst} ipcomp; deleteall {dst} {src} ipcomp;")
    netlab.wait_for("nothing is shown any more", lambda: not shown(g1))
    host = Listener(g1, net.format(1))
    before = g1.stats()["attachment"]["queued"]
    forge.send_ip(w, g1, m, *ip_in_ip(net.format(2), net.format(1), B, A))
    time.sleep(0.3)
    assert host.count() == 5
    assert g1.stats()["attachment"]["queued"] == before


def test_without_ipcomp_tunnels_nothing_is_looked_at(lab):
    w, a, b = netlab.two_hosts(lab)
    a.start()
    A, B = HOST[4]
    a.setkey(f"add {A} {B} esp 1000 -m tunnel -E aes-gcm-16 0x{'11' * 20};\n" +
             sas(A, B, "transport"))
    assert not shown(a)
    a.setkey(sas(A, B, "tunnel", spi=2000))
    assert len(shown(a)) > 0
    a.setkey("flush ipcomp;")
    netlab.wait_for("nothing is shown any more", lambda: not shown(a))


@pytest.mark.parametrize("af", [4, 6])
def test_restart(lab, af):
    """SAs and what is shown come back with the data process."""
    w, gws, (h1, h2) = gateways(lab, af, af)
    B = ENDS[af][1]
    assert h1.ping(B, 2, size=20) == 2
    for g in gws:
        pid = g.data_pid()
        os.kill(pid, 9)
        netlab.wait_for("a new data process", lambda: g.data_pid() not in (None, pid))
    netlab.wait_for("small packets", lambda: h1.ping(B, 1, size=20) == 1, 20)
    netlab.wait_for("large packets", lambda: h1.ping(B, 1, size=900) == 1, 20)
    assert shown(gws[0]) and gws[0].stat("ipcomp-in-bare") > 0
    gws[0].setkey("flush ipcomp;")
    netlab.wait_for("nothing is shown any more", lambda: not shown(gws[0]))

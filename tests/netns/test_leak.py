"""No accident makes covered traffic clear: what the third person on the wire sees.

Every test runs traffic of several kinds while something goes wrong, and then looks for a
covered packet that has not exactly the headers of its policy: ESP, AH, or AH and ESP.  Where
traffic stops, a counter says why, and it comes back.
"""
import contextlib
import os
import signal
import time
import types

import pytest

import forge
import keys
import netlab
from netlab import sh, wait_for

A4, B4, A6, B6 = "10.1.1.1", "20.1.1.1", "fd10::1", "fd20::1"
ALL = [A4, B4, A6, B6]

CHATTER = """
import socket, sys, time
addresses = sys.argv[1:]
socks = []
for a in addresses:
    s = socket.socket(socket.AF_INET6 if ":" in a else socket.AF_INET, socket.SOCK_DGRAM)
    s.setblocking(False)
    # Let the kernel fragment, so that fragments are part of what is watched.
    if ":" in a:
        s.setsockopt(41, 23, 0)
    else:
        s.setsockopt(0, 10, 0)
    socks.append(s)
n = 0
while True:
    for s, a in zip(socks, addresses):
        for size in (40, 1400, 4000):
            try:
                s.sendto(b"x" * size, (a, 9999))
            except OSError:
                pass
        t = socket.socket(s.family, socket.SOCK_STREAM)
        t.setblocking(False)
        try:
            t.connect((a, 9998))
        except OSError:
            pass
        t.close()
    n += 1
    time.sleep(0.003)
"""


SHAPES = pytest.mark.parametrize("shape", ["esp", "ah", "esp-ah"])


def covered_pair(lab, conf="", conf_b=None, shape="esp"):
    """Two hosts with require policies for everything between them, v4 and v6."""
    w, a, b = netlab.two_hosts(lab)
    w.chain = keys.CHAIN[shape]
    a.start(conf)
    b.start(conf if conf_b is None else conf_b)
    load(a, b, shape=shape)
    assert a.ping(B4, 2) == 2 and a.ping(B6, 2) == 2
    return w, a, b


def load(a, b, which=("a", "b"), spi=0x1000, shape="esp"):
    for A, B, n in ((A4, B4, 0), (A6, B6, 0x10)):
        sas, pa, pb = keys.transport(A, B, spi=spi + n, window=0, shape=shape)
        if "a" in which:
            a.setkey(sas + pa)
        if "b" in which:
            b.setkey(sas + pb)


@contextlib.contextmanager
def chatter(host, *addresses):
    p = host.python_bg(CHATTER, *addresses)
    try:
        yield p
    finally:
        p.kill()
        p.wait()


def assert_no_leak(c, nets=ALL):
    leaks = c.clear(nets, c.wire.chain)
    assert not leaks, f"{len(leaks)} clear packets, first: {leaks[:5]}"


def back(a, seconds=20):
    """Traffic comes back, both families."""
    wait_for("IPv4 comes back", lambda: a.ping(B4, 1) == 1, seconds)
    wait_for("IPv6 comes back", lambda: a.ping(B6, 1) == 1, seconds)


BOUND = """
import socket, sys
dev, address = sys.argv[1:]
six = ":" in address
for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
    s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, kind)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, dev.encode())
    s.settimeout(0.3)
    try:
        s.connect((address, 9997))
        for _ in range(5):
            s.send(b"from a device-bound socket")
    except OSError:
        pass
"""


@SHAPES
@pytest.mark.parametrize("peer", [B4, B6])
def test_device_bound_sockets(lab, shape, peer):
    w, a, b = covered_pair(lab, shape=shape)
    before = a.drops("guard")
    with w.capture() as c:
        a.python(BOUND, a.dev, peer)
        a.ping(peer, 3, src=a.dev)
    assert_no_leak(c)
    assert a.drops("guard") > before, "the drop is not counted"
    assert a.ping(peer, 2) == 2


@SHAPES
@pytest.mark.parametrize("conntrack", [False, True])
def test_local_fragments(lab, shape, conntrack):
    w, a, b = covered_pair(lab, shape=shape)
    if conntrack:
        a.nft("table inet tracker { chain o { type filter hook output priority 0; "
              "ct state established accept; }; chain i { type filter hook input priority 0; "
              "ct state established accept; }; }")
    with w.capture() as c:
        for peer in (B4, B6):
            netlab.udp(a, b, peer, 8000)
            netlab.udp(a, b, peer, 60000)
            assert a.ping(peer, 2, size=5000) == 2
    assert_no_leak(c)


@pytest.mark.parametrize("conntrack", [False, True])
@pytest.mark.parametrize("policy,shape", [("any", "esp"), ("any", "ah"), ("any", "esp-ah"),
                                          ("udp-port", "esp"), ("udp-port-here", "esp"), ("udp-port-off", "esp")])
def test_forwarded_fragments(lab, conntrack, policy, shape):
    """Later fragments carry no ports: under a policy with ports they are put together, on the way out and,
    where only this end has such a policy, on the way in; or they are dropped, never sent in clear."""
    w, (g1, g2), (h1, h2) = netlab.two_gateways(lab)
    for g in (g1, g2):
        g.start()
        if policy == "udp-port-off":
            g.run(netlab.TESTUDO, "sysctl", "net.inet.ipsec.reass_bytes=0")
        if conntrack:
            g.nft("table inet tracker { chain f { type filter hook forward priority 0; "
                  "ct state established accept; }; }")
    for n1, n2, gw1, gw2, spi in (("10.0.1.0/24", "10.0.2.0/24", "20.0.0.1", "20.0.0.2", 0x2000),
                                  ("fd01::/64", "fd02::/64", "fd20::1", "fd20::2", 0x2010)):
        sas, p1, p2 = keys.tunnel(n1, n2, gw1, gw2, spi=spi, shape=shape)
        if policy in ("udp-port", "udp-port-off"):
            # Requests to port 9 are covered, and so are their answers.
            p1 = (f"spdadd {n1} {n2}[9] udp -P out ipsec esp/tunnel/{gw1}-{gw2}/require;\n"
                  f"spdadd {n2}[9] {n1} udp -P in ipsec esp/tunnel/{gw2}-{gw1}/require;\n")
        if policy != "any":
            p2 = (f"spdadd {n2}[9] {n1} udp -P out ipsec esp/tunnel/{gw2}-{gw1}/require;\n"
                  f"spdadd {n1} {n2}[9] udp -P in ipsec esp/tunnel/{gw1}-{gw2}/require;\n")
        g1.setkey(sas + p1)
        g2.setkey(sas + p2)
    with w.capture() as c:
        for peer in ("10.0.2.5", "fd02::5"):
            # Linux cuts what conntrack reassembled into fragments again, whatever the MTU.
            if policy != "udp-port-off":
                netlab.udp(h1, h2, peer, 5000, port=9)
            else:
                h1.ok("/usr/bin/python3", "-c", netlab.UDP_CLIENT, peer, 9, 5000, 0.3, "")
    inner = c.between(["10.0.1.0/24", "10.0.2.0/24", "fd01::/64", "fd02::/64"])
    if policy != "any":
        inner = [p for p in inner if p.proto in (17, 44) or p.fragment]
    assert not inner, f"{len(inner)} clear packets, first: {inner[:5]}"
    assert not c.clear(["20.0.0.0/24", "fd20::/64"], keys.CHAIN[shape])
    if policy == "udp-port-off":
        assert g1.drops("out-fragment-opaque") > 0
    elif policy != "any":
        assert g2.stat("reass-whole") >= 2 and g1.stat("reass-whole") >= (2 if policy == "udp-port" else 0)
        assert not [r for r in ("reass-timeout", "reass-overlap", "in-fragment-opaque") if g1.drops(r) + g2.drops(r)]


@pytest.mark.parametrize("answers", [True, False])
def test_missing_fragments(lab, answers):
    """Who sent a datagram that stays incomplete is told; what came protected is not quoted in clear, also
    where the answers to it would be in clear."""
    w, (g1, g2), (h1, h2) = netlab.two_gateways(lab)
    for g in (g1, g2):
        g.start()
        g.run(netlab.TESTUDO, "sysctl", "net.inet.ipsec.reass_timeout=1")
        g.run(netlab.TESTUDO, "sysctl", "net.inet6.ipsec6.reass_timeout=1")
    nets = (("10.0.1.0/24", "10.0.2.0/24", "20.0.0.1", "20.0.0.2", 0x2000),
            ("fd01::/64", "fd02::/64", "fd20::1", "fd20::2", 0x2010))
    for n1, n2, gw1, gw2, spi in nets:
        sas, p1, _ = keys.tunnel(n1, n2, gw1, gw2, spi=spi)
        # g1 sends whatever it gets, g2 looks at ports, and so puts together.
        g1.setkey(sas + p1)
        g2.setkey(sas + f"spdadd {n1} {n2}[9] udp -P in ipsec esp/tunnel/{gw1}-{gw2}/require;\n" + (
            f"spdadd {n2}[9] {n1} udp -P out ipsec esp/tunnel/{gw2}-{gw1}/require;\n" if answers else ""))
    inside = types.SimpleNamespace(dev="lan", ip=g1.ip)
    with w.capture() as c:
        for src, dst in (("10.0.1.5", "10.0.2.5"), ("fd01::5", "fd02::5")):
            whole = forge.ip(src, dst) / forge.UDP(sport=1000, dport=9) / (b"secret" * 400)
            forge.send_ip(g1.lan, inside, h1, forge.fragments(whole, 1200)[0])
        wait_for("timeouts", lambda: g2.drops("reass-timeout") == 2)
        time.sleep(0.5)
    assert not [p for p in c.packets() if b"secretsecret" in p.raw]
    back = [p for p in c.esp(["20.0.0.1", "20.0.0.2", "fd20::1", "fd20::2"]) if p.src in ("20.0.0.2", "fd20::2")]
    assert len(back) == (2 if answers else 0)


@SHAPES
def test_hub_between_two_spokes(lab, shape):
    """Spoke to spoke through a hub: protected on both legs (the hub re-encrypts)."""
    w = lab.wire()
    hub, s1, s2 = lab.host("hub"), lab.host("s1"), lab.host("s2")
    w.plug(hub, "20.0.0.9/24", "fd20::9/64")
    for i, s in ((1, s1), (2, s2)):
        s.dev = w.plug(s, f"20.0.0.{i}/24", f"fd20::{i}/64")
        s.address("lo", f"10.0.{i}.1/32", f"fd0{i}::1/128")
        s.ip("route", "add", "10.0.0.0/8", "via", "20.0.0.9", "src", f"10.0.{i}.1")
        s.ip("-6", "route", "add", "fd00::/12", "via", "fd20::9", "src", f"fd0{i}::1")
        hub.ip("route", "add", f"10.0.{i}.0/24", "via", f"20.0.0.{i}")
        hub.ip("-6", "route", "add", f"fd0{i}::/64", "via", f"fd20::{i}")
    hub.forward()
    for h in (hub, s1, s2):
        h.start()
    for i, s in ((1, s1), (2, s2)):
        for net, rest, me, H, spi in ((f"10.0.{i}.0/24", "10.0.0.0/8", f"20.0.0.{i}", "20.0.0.9", 0x3000),
                                      (f"fd0{i}::/64", "fd00::/12", f"fd20::{i}", "fd20::9", 0x3100)):
            sas, spoke, center = keys.tunnel(net, rest, me, H, spi=spi + 2 * i, shape=shape)
            s.setkey(sas + spoke)
            hub.setkey(sas + center)
    with w.capture() as c:
        assert s1.ping("10.0.2.1", 3, src="10.0.1.1") == 3
        assert s2.ping("fd01::1", 3, src="fd02::1") == 3
        netlab.tcp(s1, s2, "10.0.2.1", src="10.0.1.1")
        netlab.tcp(s2, s1, "fd01::1", src="fd02::1")
    assert not c.between(["10.0.0.0/16", "fd01::/64", "fd02::/64"])
    assert not c.clear(["20.0.0.0/24", "fd20::/64"], keys.CHAIN[shape])
    legs = {(p.src, p.dst) for p in c.between(["20.0.0.0/24", "fd20::/64"])}
    assert {("20.0.0.1", "20.0.0.9"), ("20.0.0.9", "20.0.0.2"), ("fd20::2", "fd20::9"),
            ("fd20::9", "fd20::1")} <= legs


def test_expiring_ipv6_neighbours(lab):
    """Neighbour discovery is exempt: with selectors that cover the peer it keeps working."""
    w, a, b = covered_pair(lab)
    for h in (a, b):
        h.sysctl(f"net.ipv6.neigh.{h.dev}.base_reachable_time_ms", 500)
        h.sysctl(f"net.ipv6.neigh.{h.dev}.delay_first_probe_time", 1)
        h.sysctl(f"net.ipv6.neigh.{h.dev}.gc_stale_time", 1)
    with w.capture() as c:
        for _ in range(5):
            assert a.ping(B6, 2) == 2
            time.sleep(1.2)
        a.ip("-6", "neigh", "flush", "dev", a.dev)
        assert a.ping(B6, 2, wait=2) == 2
    assert_no_leak(c)
    solicitations = [p for p in c.packets() if p.ip is not None and p.is_neighbour_discovery()
                     and p.payload[0] == 135]
    assert solicitations, "the test has to see neighbours expire"


@SHAPES
def test_kill_data_process(lab, shape):
    """kill -9 of the process with the keys: nothing leaks, and traffic comes back by itself."""
    w, a, b = covered_pair(lab, shape=shape)
    with w.capture() as c, chatter(a, B4, B6):
        for _ in range(3):
            pid = a.data_pid()
            os.kill(pid, signal.SIGKILL)
            wait_for("a new data process", lambda: a.data_pid() not in (None, pid))
            back(a)
    assert_no_leak(c)
    assert a.stats()["attachment"]["restarts"] == 3
    # The sequence numbers went on: no number was used twice with these keys.
    sent = [p for p in c.between(ALL) if p.src in (A4, A6) and p.first]
    for seen in ([p.numbers()[0] for p in sent], [p.numbers()[-1] for p in sent]):
        assert len(seen) > 50 and len(seen) == len(set(seen)), "a sequence number was used twice"


@SHAPES
def test_kill_parent_process(lab, shape):
    """kill -9 of the privileged process: everything stays closed until policies are back."""
    w, a, b = covered_pair(lab, shape=shape)
    with w.capture() as c, chatter(a, B4, B6):
        time.sleep(0.2)
        a.kill_parent()
        time.sleep(1)
        assert a.ping(B4, 1) == 0 and a.ping(B6, 1) == 0
        a.start()
        time.sleep(0.5)
        load(a, b, which="a", shape=shape)
        back(a)
    assert_no_leak(c)


@SHAPES
def test_kill_both_processes(lab, shape):
    w, a, b = covered_pair(lab, shape=shape)
    with w.capture() as c, chatter(a, B4, B6):
        pid = a.data_pid()
        os.kill(pid, signal.SIGKILL)
        a.kill_parent()
        time.sleep(0.7)
        a.start()
        load(a, b, which="a", shape=shape)
        back(a)
    assert_no_leak(c)


@SHAPES
def test_flush_ruleset(lab, shape):
    w, a, b = covered_pair(lab, shape=shape)
    with w.capture() as c, chatter(a, B4, B6):
        for _ in range(5):
            a.run("nft", "flush", "ruleset", check=False)
            time.sleep(0.2)
        back(a)
    assert_no_leak(c)


def test_removed_rule(lab):
    w, a, b = covered_pair(lab)
    with w.capture() as c, chatter(a, B4, B6):
        for _ in range(5):
            a.ip("rule", "del", "priority", "10", check=False)
            a.ip("-6", "rule", "del", "priority", "10", check=False)
            time.sleep(0.2)
        back(a)
    assert_no_leak(c)
    assert a.stats()["attachment"]["repairs"] >= 2


@SHAPES
def test_removed_routes(lab, shape):
    w, a, b = covered_pair(lab, shape=shape)
    with w.capture() as c, chatter(a, B4, B6):
        for _ in range(3):
            a.ip("route", "flush", "table", "5800", check=False)
            a.ip("-6", "route", "flush", "table", "5800", check=False)
            time.sleep(0.2)
        a.ip("link", "set", "testudo0", "down", check=False)
        time.sleep(0.3)
        back(a)
    assert_no_leak(c)
    assert a.stats()["attachment"]["repairs"] >= 2


def test_reload_of_ten_thousand_policies(lab):
    w, a, b = covered_pair(lab)
    text = "".join(f"spdadd 10.1.1.1 172.{16 + i // 65536}.{i // 256 % 256}.{i % 256} any -P out "
                   "ipsec esp/transport//require;\n" for i in range(10_000))
    mine = ("spdadd 10.1.1.1 20.1.1.1 any -P out ipsec esp/transport//require;\n"
            "spdadd fd10::1 fd20::1 any -P out ipsec esp/transport//require;\n")
    back_in = ("spdadd 20.1.1.1 10.1.1.1 any -P in ipsec esp/transport//require;\n"
               "spdadd fd20::1 fd10::1 any -P in ipsec esp/transport//require;\n")
    with w.capture() as c, chatter(a, B4, B6):
        start = time.monotonic()
        a.setkey(text)
        took = time.monotonic() - start
        # Reload without a gap: the own pair is updated in place, the rest deleted and added.
        a.setkey("".join(line.replace("spdadd", "spdupdate") + "\n"
                         for line in (text + mine + back_in).splitlines()))
        a.setkey(text.replace("spdadd", "spddelete").replace("ipsec esp/transport//require", ""))
        back(a)
    assert_no_leak(c)
    assert took < 30, f"10,000 policies took {took:.1f} s"


def test_start_and_stop(lab):
    """Between ready and the order to stop there is no clear packet."""
    w, a, b = netlab.two_hosts(lab)
    w.chain = keys.CHAIN["esp-ah"]
    files = []
    for h, side in ((a, 1), (b, 2)):
        path = os.path.join(lab.dir, f"policies-{h.name}")
        with open(path, "w") as f:
            for A, B, spi in ((A4, B4, 0x1000), (A6, B6, 0x1010)):
                t = keys.transport(A, B, spi=spi, window=0, shape="esp-ah")
                f.write(t[0] + t[side])
        files.append(path)
    b.start(f"setkey {files[1]}\n")
    with chatter(a, B4, B6):
        for _ in range(3):
            a.start(f"setkey {files[0]}\n")
            with w.capture() as c:
                back(a)
                time.sleep(0.3)
            assert_no_leak(c)
            a.stop()
            left = a.run("nft", "list", "tables") + a.ip("rule") + a.ip("-6", "rule") + a.ip("link")
            assert "testudo" not in left and "5800" not in left


@SHAPES
def test_input_stays_closed_after_crash(lab, shape):
    """Clear packets under require are not accepted while nobody can classify them."""
    w, a, b = covered_pair(lab, shape=shape)
    b.stop()  # b sends in clear now
    assert b.ping(A4, 2) == 0
    a.kill_parent()
    assert b.ping(A4, 2) == 0 and b.ping(A6, 2) == 0
    a.start()
    assert b.ping(A4, 2) == 0 and b.ping(A6, 2) == 0


@SHAPES
def test_foreign_fragments_do_not_get_in(lab, shape):
    """Inbound require: clear fragments of a covered datagram are dropped too."""
    w, a, b = covered_pair(lab, shape=shape)
    b.stop()
    before = a.drops("in-clear-but-required") + a.drops("in-fragment-opaque")
    for address in (A4, A6):
        assert b.ping(address, 2, size=4000) == 0
    assert a.drops("in-clear-but-required") + a.drops("in-fragment-opaque") > before


RAW6 = """
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58)
for kind in (130, 132, 135, 137, 143):
    for hops in (255, 254, 64, 1):
        s.setsockopt(41, 16, hops)
        s.sendto(bytes([kind, 0, 0, 0]) + b"secret" * 10, (sys.argv[1], 0))
"""


def test_forwarded_neighbour_discovery(lab):
    """Only the link's own ND and MLD are exempt, not what a router forwards in their disguise."""
    w, (g1, g2), (h1, h2) = netlab.two_gateways(lab)
    g1.start()
    g2.start()
    sas, p1, p2 = keys.tunnel("fd01::/64", "fd02::/64", "fd20::1", "fd20::2")
    g1.setkey(sas + p1)
    g2.setkey(sas + p2)
    assert h1.ping("fd02::5", 2) == 2
    with w.capture() as c:
        h1.python(RAW6, "fd02::5")
        time.sleep(0.5)
    inner = [p for p in c.packets() if p.src == "fd01::5" and p.dst == "fd02::5"]
    assert not inner, f"{len(inner)} forwarded packets in clear: {inner[:3]}"
    assert c.esp(["fd20::1", "fd20::2"]), "those that a router may forward go through the tunnel"
    # And in: the attacker on the wire gives them to the gateway of the network.
    flood = [forge.IPv6(src="fd02::5", dst="fd01::5", hlim=hops, nh=58) /
             (bytes([kind, 0, 0, 0]) + b"forged" * 10)
             for kind in (130, 135, 137, 143) for hops in (255, 254, 64)]
    with g1.lan.capture() as c:
        forge.send_ip(w, g1, g2, *flood)
        time.sleep(0.5)
    got = [p for p in c.packets() if p.src == "fd02::5" and b"forged" in p.payload]
    assert not got, f"{len(got)} forged packets got in: {got[:3]}"


def state_of(pid):
    """Start and size of the memory that outlives data processes: the largest that is shared."""
    with open(f"/proc/{pid}/maps") as f:
        shared = [line.split()[0] for line in f if line.split()[1].endswith("s")]
    ranges = [tuple(int(x, 16) for x in r.split("-")) for r in shared]
    start, end = max(ranges, key=lambda r: r[1] - r[0])
    return start, end - start


def test_damaged_state(lab):
    """A successor that does not know the policies keeps everything closed until they are back."""
    w, a, b = covered_pair(lab)
    with w.capture() as c, chatter(a, B4, B6):
        with open(f"/proc/{a.daemon.pid}/mem", "r+b", buffering=0) as mem:
            mem.seek(state_of(a.daemon.pid)[0])
            mem.write(b"damage!!")
        for _ in range(2):  # the second successor finds nothing damaged
            pid = a.data_pid()
            os.kill(pid, signal.SIGKILL)
            wait_for("a new data process", lambda: a.data_pid() not in (None, pid))
            wait_for("its answer", lambda: a.run(netlab.TESTUDO, "stats", "--json",
                                                 check=False).startswith("{"))
            time.sleep(0.3)
            assert a.ping(B4, 1) == 0 and a.ping(B6, 1) == 0
        load(a, b, which="a")
        back(a)
        wait_for("the end of it", lambda: not a.stats()["attachment"]["recovering"])
    assert_no_leak(c)
    assert "policies are missing" in a.log()

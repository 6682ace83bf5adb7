"""Path MTU: ICMP errors that are believed and forgeries that are not; black holes that heal."""
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import forge
import keys
import netlab
from netlab import tcp, wait_for

A, B, A6, B6 = "10.1.1.1", "20.1.1.1", "fd10::1", "fd20::1"
NO_ICMP = ("table inet noicmp { chain o { type filter hook output priority 0; "
           "icmp type destination-unreachable drop; icmpv6 type packet-too-big drop; }; }")


class Road:
    """a -- router -- b; transport mode of everything between a and b."""

    def __init__(self, lab, icmp=True, probes=True):
        self.a, self.r, self.b = lab.host("a"), lab.host("r"), lab.host("b")
        near, far = lab.wire("near"), lab.wire("far")
        self.near, self.far = near, far
        for wire, host, mine, mine6, n in ((near, self.a, A, A6, 1), (far, self.b, B, B6, 2)):
            dev = wire.plug(host, f"{mine}/32", f"{mine6}/128", f"172.16.{n}.2/24",
                            f"fd16:{n}::2/64")
            wire.plug(self.r, f"172.16.{n}.1/24", f"fd16:{n}::1/64", dev=f"to{n}")
            self.r.ip("route", "add", mine, "via", f"172.16.{n}.2")
            self.r.ip("-6", "route", "add", mine6, "via", f"fd16:{n}::2")
            host.ip("route", "add", "default", "via", f"172.16.{n}.1", "src", mine)
            host.ip("-6", "route", "add", "default", "via", f"fd16:{n}::1", "src", mine6)
            host.dev = dev
        self.r.forward()
        if not icmp:
            self.r.nft(NO_ICMP)
        for h in (self.a, self.b):
            h.start()
            if not probes:
                h.run(netlab.TESTUDO, "sysctl", "net.inet.ipsec.pmtu_probe=0")
        for x, y, spi in ((A, B, 0x1000), (A6, B6, 0x1010)):
            sas, pa, pb = keys.transport(x, y, spi=spi)
            self.a.setkey(sas + pa)
            self.b.setkey(sas + pb)

    def mtu(self, dst):
        """What testudod on a believes of the path."""
        paths = self.a.stats()["paths"]
        return next(p["mtu"] for p in paths if p["dst"] == dst)

    def narrow(self, mtu):
        """From now on the link to b carries so much: the router answers what comes from a."""
        self.r.ip("link", "set", "to2", "mtu", mtu)


STREAM = """
import socket, sys, time
c = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=30)
print("up", flush=True)
end = time.monotonic() + float(sys.argv[3])
block = b"x" * 16384
while time.monotonic() < end:
    c.send(block)
"""

SINK = """
import socket, sys, time
s = socket.create_server((sys.argv[1], int(sys.argv[2])), family=socket.AF_INET6 if ":" in
                         sys.argv[1] else socket.AF_INET)
print("up", flush=True)
c, _ = s.accept()
last, worst = time.monotonic(), 0
while True:
    d = c.recv(1 << 16)
    now = time.monotonic()
    worst = max(worst, now - last)
    last = now
    if not d:
        break
print("%.3f" % worst, flush=True)
"""

BLAST = """
import socket, sys, time
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
OPT = (0, 10) if s.family == socket.AF_INET else (41, 23)
if sys.argv[5] == "df":
    s.setsockopt(*OPT, 1)
else:
    s.setsockopt(*OPT, 0)
end = time.monotonic() + float(sys.argv[4])
d = b"x" * int(sys.argv[3])
while time.monotonic() < end:
    try:
        s.sendto(d, (sys.argv[1], int(sys.argv[2])))
    except OSError:
        pass
    time.sleep(0.005)
"""

CATCH = """
import socket, sys, time
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], int(sys.argv[2])))
print("up", flush=True)
s.settimeout(15)
s.recv(1 << 16)
last, worst, end = time.monotonic(), 0, time.monotonic() + float(sys.argv[3])
s.settimeout(0.5)
while time.monotonic() < end:
    try:
        s.recv(1 << 16)
    except socket.timeout:
        continue
    now = time.monotonic()
    worst = max(worst, now - last)
    last = now
print("%.3f" % max(worst, time.monotonic() - last), flush=True)
"""


COUNT = """
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
s.bind((sys.argv[1], int(sys.argv[2])))
print("up", flush=True)
s.settimeout(1.2)
n = 0
try:
    while True:
        s.recv(1 << 16)
        n += 1
except socket.timeout:
    print(n, flush=True)
"""


def port_of(dst):
    return 5005 if "." in dst else 5006


def gap_of_tcp(road, dst, seconds, change):
    """The longest pause that the receiver of a stream saw, when change() happened after a second."""
    p = road.b.python_bg(SINK, dst, port_of(dst), stdout=subprocess.PIPE)
    assert p.stdout.readline().strip() == b"up"
    q = road.a.python_bg(STREAM, dst, port_of(dst), seconds, stdout=subprocess.PIPE)
    assert q.stdout.readline().strip() == b"up"
    time.sleep(1.5)
    change()
    q.wait(timeout=60)
    return float(p.stdout.readline())


def gap_of_udp(road, dst, size, seconds, change, df, port):
    p = road.b.python_bg(CATCH, dst, port, seconds, stdout=subprocess.PIPE)
    assert p.stdout.readline().strip() == b"up"
    q = road.a.python_bg(BLAST, dst, port, size, seconds + 2, df)
    time.sleep(1.5)
    change()
    gap = float(p.stdout.readline())
    q.wait(timeout=60)
    return gap



def both(fn, *args):
    """Calls fn(dst, ...) for both families at the same time; the results by destination."""
    with ThreadPoolExecutor(2) as pool:
        futures = {dst: pool.submit(fn, dst, *args) for dst in (B, B6)}
        return {dst: f.result() for dst, f in futures.items()}


def after(seconds, change):
    """Something that both flows of a pair call once."""
    lock, done = threading.Lock(), []

    def once():
        with lock:
            if not done:
                change()
                done.append(True)
    time.sleep(seconds)
    return once


def test_black_hole_tcp(lab):
    """A path that gets narrower and says nothing: the peer is asked, and the stream goes on."""
    road = Road(lab, icmp=False)
    once = after(0, lambda: road.narrow(1300))
    for dst, gap in both(lambda dst: gap_of_tcp(road, dst, 7, once)).items():
        print(f"recovery of TCP to {dst}: {gap} s")
        assert gap < 6
        assert 1270 < road.mtu(dst) <= 1300
    # New connections have the right segments from the start, in both directions.
    with road.far.capture() as c:
        for dst in (B, B6):
            tcp(road.a, road.b, dst, size=1_000_000)
    assert max(len(p.raw) for p in c.packets() if p.src in (A, A6)) <= 1300 + 14


def test_black_hole_tcp_without_probes(lab):
    """The same with a peer that answers none: the sender's repetitions say it."""
    road = Road(lab, icmp=False, probes=False)
    once = after(0, lambda: road.narrow(1300))
    for dst, gap in both(lambda dst: gap_of_tcp(road, dst, 8, once)).items():
        print(f"recovery of TCP to {dst} without probes: {gap} s")
        assert gap < 7
        assert road.mtu(dst) == 1280


class Gateways:
    """Hosts a and b behind gateways with a tunnel; what the wire between these drops is told to nobody."""

    def __init__(self, lab):
        _, self.gws, (self.a, self.b) = netlab.two_gateways(lab)
        for inner in ("10.0.{}.0/24", "fd0{}::/64"):
            nets = [inner.format(i) for i in (1, 2)]
            outer = ("fd20::1", "fd20::2") if ":" in inner else ("20.0.0.1", "20.0.0.2")
            sas, *policies = keys.tunnel(*nets, *outer, spi=0x3000 if ":" in inner else 0x2000)
            for g, p in zip(self.gws, policies):
                if ":" not in inner:
                    g.start()
                    g.run(netlab.TESTUDO, "sysctl", "net.inet.ipsec.pmtu_probe=0")
                g.setkey(sas + p)

    def mtu(self, gate):
        return next(p["mtu"] for p in self.gws[0].stats()["paths"] if p["dst"] == gate)

    def narrow(self, mtu):
        self.gws[1].ip("link", "set", self.gws[1].dev, "mtu", mtu)


def test_black_hole_between_gateways(lab):
    """What they forward: its senders are told by the gateway, which no router tells anything."""
    road = Gateways(lab)
    once = after(0, lambda: road.narrow(1300))
    with ThreadPoolExecutor(2) as pool:
        flows = [(gate, pool.submit(gap_of_tcp, road, host, 8, once)) for host, gate in
                 (("10.0.2.5", "20.0.0.2"), ("fd02::5", "fd20::2"))]
    for gate, gap in flows:
        print(f"recovery of TCP between gateways to {gate}: {gap.result()} s")
        assert gap.result() < 7
        assert road.mtu(gate) == 1280


def watch_mtu(road, dst, seconds):
    """Every value that road.mtu(dst) has for so long."""
    seen, end = set(), time.monotonic() + seconds
    while time.monotonic() < end:
        seen.add(road.mtu(dst))
        time.sleep(0.05)
    return seen


def dead_receiver(road, dst, port):
    """A connection whose receiver is switched off while data flow: its sender repeats for ever."""
    port += 10 if ":" in dst else 0
    p = road.b.python_bg(SINK, dst, port, stdout=subprocess.PIPE)
    assert p.stdout.readline().strip() == b"up"
    q = road.a.python_bg(STREAM, dst, port, 60, stdout=subprocess.PIPE)
    assert q.stdout.readline().strip() == b"up"
    time.sleep(0.5)
    road.b.nft(f"table inet dead{port} {{ chain i {{ type filter hook input priority 0; "
               f"tcp dport {port} drop; }}; }}")
    return p, q


def test_a_dead_receiver_lowers_nothing_for_others(lab):
    """To a peer that answers no probes, whether others send or not: its path carries what it did."""
    road = Road(lab, icmp=False, probes=False)
    off = [x for dst in (B, B6) for x in dead_receiver(road, dst, 7000)]
    for dst, seen in both(lambda dst: watch_mtu(road, dst, 8)).items():
        assert seen == {1500}, dst
    off += [x for dst in (B, B6) for x in dead_receiver(road, dst, 7001)]
    with ThreadPoolExecutor(4) as pool:
        gaps = [pool.submit(gap_of_tcp, road, dst, 8, lambda: None) for dst in (B, B6)]
        seen = [pool.submit(watch_mtu, road, dst, 8) for dst in (B, B6)]
        assert [s.result() for s in seen] == [{1500}, {1500}]
        assert max(g.result() for g in gaps) < 1
    for x in off:
        x.kill()
        x.wait()


def test_a_dead_path_is_not_a_narrow_one(lab):
    """It carried nothing for a while: what that looks like is corrected as soon as data flow again."""
    road = Road(lab, icmp=False, probes=False)

    def interrupt():
        road.r.nft("table inet off { chain f { type filter hook forward priority 0; drop; }; }")
        time.sleep(2.5)
        road.r.nft("delete table inet off")
    gap = gap_of_tcp(road, B, 9, interrupt)
    print(f"recovery of TCP from a dead path: {gap} s")
    assert gap < 6
    wait_for("full size", lambda: road.mtu(B) == 1500, 4)


def test_black_hole_udp(lab):
    """Datagrams that just fitted, and large ones with and without DF, all at the same time."""
    road = Road(lab, icmp=False)
    once = after(0, lambda: road.narrow(1300))
    cases = [(dst, size, df) for dst in (B, B6) for size, df in ((1350, "df"), (8192, "df"),
                                                                (8192, "no"))]
    with ThreadPoolExecutor(len(cases)) as pool:
        futures = {c: pool.submit(gap_of_udp, road, c[0], c[1], 7, once, c[2],
                                  6000 + n) for n, c in enumerate(cases)}
        for (dst, size, df), f in futures.items():
            print(f"recovery of UDP, {size} bytes, {df}, to {dst}: {f.result()} s")
            assert f.result() < 8


def arrivals(road, dst, size, port):
    """How many of 40 datagrams of this size with DF arrive."""
    p = road.b.python_bg(COUNT, dst, port, stdout=subprocess.PIPE)
    assert p.stdout.readline().strip() == b"up"
    road.a.python_bg(BLAST, dst, port, size, 0.2, "df").wait(timeout=30)
    return int(p.stdout.readline())


def test_a_fixed_mtu_is_a_remedy(lab):
    """Datagrams alone, to a peer that answers nothing, by a path that says nothing: it has to be said."""
    road = Road(lab, icmp=False, probes=False)
    road.narrow(1300)
    for dst, me, knob, spi, least in ((B, A, "net.inet.ipsec.pmtu_max", 0x1000, 552),
                                      (B6, A6, "net.inet6.ipsec6.pmtu_max", 0x1010, 1280)):
        sizes = [1350, 8192] if ":" in dst else [1350]  # outer fragments of IPv4 have no DF
        assert [arrivals(road, dst, n, 7100) for n in sizes] == [0] * len(sizes)
        # For all peers ...
        road.a.run(netlab.TESTUDO, "sysctl", f"{knob}=1300")
        wait_for("the setting", lambda: arrivals(road, dst, 1350, 7101) > 10)
        with road.near.capture() as c:
            assert min(arrivals(road, dst, n, 7102) for n in sizes) > 10
        assert 1200 < max(len(p.raw) for p in c.packets() if p.src == me) <= 1300 + 14
        road.a.run(netlab.TESTUDO, "sysctl", f"{knob}=1")
        wait_for("the least", lambda: arrivals(road, dst, 1350, 7103) > 10 and
                 road.mtu(dst) == least)
        road.a.run(netlab.TESTUDO, "sysctl", f"{knob}=0")
        wait_for("no setting", lambda: arrivals(road, dst, 1350, 7104) == 0)
        # ... and for one SA.
        road.a.setkey(f"update {me} {dst} esp {spi} -o mtu=1290;")
        with road.near.capture() as c:
            assert min(arrivals(road, dst, n, 7105) for n in sizes) > 10
        assert 1200 < max(len(p.raw) for p in c.packets() if p.src == me) <= 1290 + 14
        assert road.mtu(dst) == 1500
        tcp(road.a, road.b, dst, size=200_000)


def test_icmp_is_believed(lab):
    """A router that says what does not fit is enough, and much quicker."""
    road = Road(lab, probes=False)
    once = after(0, lambda: road.narrow(1300))
    for dst, gap in both(lambda dst: gap_of_tcp(road, dst, 4, once)).items():
        print(f"recovery of TCP to {dst} by ICMP: {gap} s")
        assert gap < 2.5
        assert road.mtu(dst) == 1300
    assert road.a.stat("icmp-pmtu") >= 2


def spi_and_number(road, dst):
    """A protected packet of a to dst, as it was on the wire."""
    with road.far.capture() as c:
        assert road.a.ping(dst, 1, size=1200) == 1
    return next(p for p in c.esp([A, B, A6, B6]) if p.dst == dst and len(p.raw) > 1000).ip


def quoting(src, packet, mtu):
    """The ICMP error of src that says that packet is too big."""
    if ":" in src:
        return forge.IPv6(src=src, dst=A6) / forge.ICMPv6PacketTooBig(mtu=mtu) / packet[:1200]
    return forge.IP(src=src, dst=A) / forge.ICMP(type=3, code=4, nexthopmtu=mtu) / packet[:500]


def test_forged_icmp_is_not_believed(lab):
    """RFC 4301 6: whatever it quotes; and the kernel does not believe it instead."""
    road = Road(lab, probes=False)
    a, count = road.a, 0
    for dst, router in ((B, "172.16.1.1"), (B6, "fd16:1::1")):
        six = ":" in dst
        head = 40 if six else 20
        good = bytearray(spi_and_number(road, dst))
        for at, reason in ((head + 3, "icmp-no-sa"), (head + 5, "icmp-not-sent"),
                           (head - 17 if six else head - 5, "icmp-not-ours"),
                           (head - 1, "icmp-no-sa")):
            bad = bytearray(good)
            bad[at] ^= 0x10
            before = a.drops(reason)
            forge.send_ip(road.near, a, road.near.host, quoting(router, bytes(bad), 1290))
            wait_for(reason, lambda: a.drops(reason) == before + 1)
        for mtu in (1500, 40):
            before = a.drops("icmp-bad-mtu")
            forge.send_ip(road.near, a, road.near.host, quoting(router, bytes(good), mtu))
            wait_for("icmp-bad-mtu", lambda: a.drops("icmp-bad-mtu") == before + 1)
        out = a.ip("-6" if six else "-4", "route", "get", dst)
        assert "mtu" not in out, out
        assert road.mtu(dst) == 1500
        # The same without a lie is believed, and by nobody else.  It lasts until it is disproved.
        want = 1290 if six else 700
        if not six:
            good[2:4] = (1500).to_bytes(2, "big")
        else:
            good[4:6] = (1460).to_bytes(2, "big")
        forge.send_ip(road.near, a, road.near.host, quoting(router, bytes(good), want))
        wait_for("belief", lambda: road.mtu(dst) == want)
        assert "mtu" not in a.ip("-6" if six else "-4", "route", "get", dst)
        count += 1
    assert a.stat("icmp-pmtu") == count


def test_forged_icmp_starves_nobody(lab):
    """Forged errors do not count against the rate of those that may be genuine, which has a bound."""
    road = Road(lab, probes=False)
    good = bytearray(spi_and_number(road, B))
    good[2:4] = (1500).to_bytes(2, "big")
    bad = bytearray(good)
    bad[23] ^= 1
    forged, genuine = (quoting("172.16.1.1", bytes(p), 700) for p in (bad, good))

    def flood(packets, reason, least):
        """Until so many were dropped: who is busy loses some before anybody looks at them."""
        def more():
            forge.send_ip(road.near, road.a, road.near.host, *packets)
            return road.a.drops(reason) >= least
        wait_for(reason, more, 30)

    flood(([forged] * 400 + [genuine]) * 5, "icmp-no-sa", 1000)
    wait_for("belief", lambda: road.mtu(B) == 700)
    assert road.a.drops("icmp-too-many") == 0
    flood([genuine] * 2000, "icmp-too-many", 1000)
    assert road.a.ping(B, 2) == 2

"""Path MTU: ICMP errors that are believed and forgeries that are not; black holes that heal."""
import socket
import time

import pytest

import keys
import netlab
from netlab import tcp, udp, wait_for

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
        self.r.sysctl("net.ipv4.ip_forward", 1)
        self.r.sysctl("net.ipv6.conf.all.forwarding", 1)
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

    def narrow(self, mtu):
        self.r.ip("link", "set", "to1", "mtu", mtu)
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
if sys.argv[5] == "df":
    s.setsockopt(0 if s.family == socket.AF_INET else 41, 10 if s.family == socket.AF_INET else 23, 2)
else:
    s.setsockopt(0 if s.family == socket.AF_INET else 41, 10 if s.family == socket.AF_INET else 23, 0)
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


def gap_of_tcp(road, dst, seconds, change):
    """The longest pause that the receiver of a stream saw, when change() happened after a second."""
    p = road.b.python_bg(SINK, dst, 5005, stdout=__import__("subprocess").PIPE)
    assert p.stdout.readline().strip() == b"up"
    q = road.a.python_bg(STREAM, dst, 5005, seconds, stdout=__import__("subprocess").PIPE)
    assert q.stdout.readline().strip() == b"up"
    time.sleep(1.5)
    change()
    q.wait(timeout=60)
    return float(p.stdout.readline())


def gap_of_udp(road, dst, size, seconds, change, df="df"):
    p = road.b.python_bg(CATCH, dst, 5006, seconds, stdout=__import__("subprocess").PIPE)
    assert p.stdout.readline().strip() == b"up"
    q = road.a.python_bg(BLAST, dst, 5006, size, seconds + 2, df)
    time.sleep(1.5)
    change()
    gap = float(p.stdout.readline())
    q.wait(timeout=60)
    return gap


@pytest.mark.parametrize("dst", [B, B6])
def test_black_hole_tcp(lab, dst):
    road = Road(lab, icmp=False)
    gap = gap_of_tcp(road, dst, 10, lambda: road.narrow(1300))
    print("tcp", dst, gap)
    assert gap < 6

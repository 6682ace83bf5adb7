"""Hosts in network namespaces, wires between them, and somebody who watches the wire.

A Wire is a bridge in a namespace of its own; every host that is plugged in has one veth
leg.  Capture on the bridge sees what a third person on the path sees.
"""
import ipaddress
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

import echo

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("TDO_BUILD", "build")
TESTUDOD = os.path.join(BUILD, "src/daemon/testudod")
SETKEY = os.path.join(BUILD, "src/setkey/setkey")
TESTUDO = os.path.join(BUILD, "src/testudo/testudo")


def sh(*argv, check=True, timeout=60, **kw):
    """Runs a command and returns its output; raises with the output when it fails."""
    r = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       timeout=timeout, **kw)
    if check and r.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, argv))}: exit {r.returncode}\n{r.stdout}")
    return r.stdout


def wait_for(what, predicate, seconds=10.0, step=0.05):
    """Waits until predicate() is true; fails with what otherwise."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = predicate()
        if value:
            return value
        time.sleep(step)
    raise AssertionError(f"not within {seconds} s: {what}")


class Host:
    """One network namespace with its programs."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.daemon = None
        self.log_path = os.path.join(lab.dir, f"{name}.log")
        self.procs = []
        sh("ip", "netns", "add", name)
        self.ip("link", "set", "lo", "up")
        self.sysctls("net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0",
                     "net.ipv6.conf.default.accept_ra=0", check=False)

    def argv(self, *argv):
        return ("nsenter", f"--net=/run/netns/{self.name}") + tuple(map(str, argv))

    def run(self, *argv, **kw):
        return sh(*self.argv(*argv), **kw)

    def ok(self, *argv, **kw):
        """True when the command succeeds."""
        try:
            return subprocess.run(self.argv(*argv), stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, timeout=kw.pop("timeout", 60),
                                  **kw).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def popen(self, *argv, **kw):
        kw.setdefault("stdout", subprocess.DEVNULL)
        kw.setdefault("stderr", subprocess.DEVNULL)
        p = subprocess.Popen(self.argv(*argv), **kw)
        self.procs.append(p)
        return p

    def ip(self, *argv, **kw):
        return sh("ip", "-n", self.name, *map(str, argv), **kw)

    def ips(self, *commands):
        """Several commands of ip, by one process."""
        sh("ip", "-n", self.name, "-batch", "-", input="\n".join(commands))

    def sysctl(self, name, value):
        self.sysctls(f"{name}={value}")

    def sysctls(self, *words, check=True):
        self.run("sysctl", "-qw", *words, check=check)

    def forward(self):
        self.sysctls("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")

    def nft(self, text):
        self.run("nft", "-f", "-", input=text)

    def address(self, dev, *addresses):
        self.ips(*(f"addr add {a} dev {dev}" + (" nodad" if ":" in a else "") for a in addresses))

    # ---- testudo ----

    def start(self, conf="", *options):
        """Starts testudod and waits until it says that it is ready."""
        path = os.path.join(self.lab.dir, f"{self.name}.conf")
        with open(path, "w") as f:
            f.write(conf)
        notify = os.path.join(self.lab.dir, f"{self.name}.notify")
        if os.path.exists(notify):
            os.unlink(notify)
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.bind(notify)
        s.settimeout(15)
        log = open(self.log_path, "a")
        env = dict(os.environ, NOTIFY_SOCKET=notify)
        self.daemon = subprocess.Popen(self.argv(TESTUDOD, "-f", path, *options), stdout=log,
                                       stderr=log, env=env)
        try:
            while b"READY=1" not in s.recv(4096):
                pass
        except socket.timeout:
            raise AssertionError(f"testudod on {self.name} is not ready:\n{self.log()}")
        finally:
            s.close()
        return self

    def stop(self):
        """Ordered stop; fails when the daemon does not end well."""
        self.daemon.send_signal(signal.SIGTERM)
        code = self.daemon.wait(timeout=10)
        self.daemon = None
        assert code == 0, f"testudod on {self.name} ended with {code}:\n{self.log()}"

    def kill_parent(self):
        self.daemon.kill()
        self.daemon.wait()
        self.daemon = None

    def data_pid(self):
        """The data process: the child of testudod."""
        out = sh("pgrep", "-P", str(self.daemon.pid), check=False).split()
        return int(out[0]) if out else None

    def log(self):
        with open(self.log_path) as f:
            return f.read()

    def logs_once(self, text):
        """The line is there, or comes: what the data process says takes its way through the parent."""
        wait_for(f"'{text}' in the log", lambda: text in self.log())
        assert self.log().count(text) == 1

    def setkey(self, text, *options, check=True):
        """Feeds statements to setkey -c; with check, any output of it is a failure."""
        out = self.run(SETKEY, *options, "-c", input=text, check=check)
        if check and not options:
            assert out.strip() == "", f"setkey on {self.name} said:\n{out}"
        return out

    def script(self, path):
        """Runs a shell script that calls setkey, as the FAQ has them."""
        env = dict(os.environ)
        env["PATH"] = os.path.dirname(SETKEY) + ":" + env["PATH"]
        out = self.run("sh", path, env=env)
        assert out.strip() == "", f"{path} on {self.name} said:\n{out}"

    def stats(self):
        return json.loads(self.run(TESTUDO, "stats", "--json"))

    def drops(self, reason):
        """The counter of one drop reason."""
        for r in self.stats()["drops"]:
            if r["name"] == reason:
                return r["count"]
        raise AssertionError(f"no reason called {reason}")

    def stat(self, name):
        for r in self.stats()["counters"]:
            if r["name"] == name:
                return r["count"]
        raise AssertionError(f"no counter called {name}")

    # ---- traffic ----

    def ping(self, dst, count=2, size=56, src=None, wait=1, interval=0.05, data=None):
        """Number of echo replies."""
        return echo.ping(self.name, dst, count, size, src, wait, interval, data)

    def python(self, code, *args, **kw):
        return self.run("/usr/bin/python3", "-c", code, *args, **kw)

    def python_bg(self, code, *args, **kw):
        return self.popen("/usr/bin/python3", "-c", code, *args, **kw)


TCP_SERVER = """
import socket, sys
s = socket.create_server((sys.argv[1], int(sys.argv[2])), family=socket.AF_INET6 if ":" in
                         sys.argv[1] else socket.AF_INET)
print("up", flush=True)
while True:
    c, _ = s.accept()
    n = 0
    while True:
        d = c.recv(1 << 16)
        if not d:
            break
        n += len(d)
    c.sendall(b"%d\\n" % n)
    c.close()
"""

TCP_CLIENT = """
import socket, sys
c = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[4]),
                             source_address=(sys.argv[5], 0) if sys.argv[5] else None)
n = int(sys.argv[3])
block = b"clear text that nobody may see. " * 2048
left = n
while left:
    left -= c.send(block[:left])
c.shutdown(socket.SHUT_WR)
assert int(c.makefile().readline()) == n
"""

UDP_ECHO = """
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
s.bind((sys.argv[1], int(sys.argv[2])))
print("up", flush=True)
while True:
    d, a = s.recvfrom(1 << 16)
    s.sendto(d, a)
"""

UDP_CLIENT = """
import os, socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
if sys.argv[5]:
    s.bind((sys.argv[5], 0))
s.settimeout(float(sys.argv[4]))
size = int(sys.argv[3])
d = os.urandom(size)
for attempt in range(5):
    try:
        s.sendto(d, (sys.argv[1], int(sys.argv[2])))
        r = s.recv(1 << 16)
        assert r == d
        sys.exit(0)
    except (socket.timeout, OSError) as e:
        last = e
sys.exit(f"no echo of {size} bytes: {last}")
"""


def serve(host, code, address, port):
    """Starts a server and waits until it listens."""
    p = host.python_bg(code, address, port, stdout=subprocess.PIPE)
    assert p.stdout.readline().strip() == b"up"
    return p


def tcp(client, server, address, size=200_000, port=5001, timeout=10, src=""):
    """Moves size bytes by TCP and checks that all arrived."""
    p = serve(server, TCP_SERVER, address, port)
    try:
        client.python(TCP_CLIENT, address, port, size, timeout, src, timeout=timeout + 20)
    finally:
        p.kill()
        p.wait()


def tcp_fails(client, server, address, port=5002, timeout=1.5, src=""):
    """True when no TCP connection comes up."""
    p = serve(server, TCP_SERVER, address, port)
    try:
        return not client.ok(*("/usr/bin/python3", "-c", TCP_CLIENT, address, port, 10, timeout,
                               src), timeout=timeout + 10)
    finally:
        p.kill()
        p.wait()


def udp(client, server, address, size, port=5003, timeout=2.0, src=""):
    """Sends one datagram and checks that the same comes back."""
    p = serve(server, UDP_ECHO, address, port)
    try:
        client.python(UDP_CLIENT, address, port, size, timeout, src, timeout=timeout * 6 + 10)
    finally:
        p.kill()
        p.wait()


def all_drops(*hosts):
    """All but packets that were too big, whose senders learned something (of fragments by the first), and probes."""
    return [(h.name, d["name"], d["count"]) for h in hosts for d in h.stats()["drops"]
            if d["count"] and d["name"] not in ("too-big-df", "too-big-untold", "in-path-mtu-probe")]


class Wire:
    """An Ethernet segment; the namespace is the third person."""

    def __init__(self, lab, name, mtu=1500):
        self.lab, self.name, self.mtu = lab, name, mtu
        self.host = Host(lab, name)
        self.host.ips("link add br0 type bridge", "link set br0 addrgenmode none", "link set br0 up")
        self.legs = 0

    def plug(self, host, *addresses, dev=None):
        """Gives host a leg on this wire; returns the device name on the host."""
        dev = dev or f"e{self.name}"
        port = f"p{self.legs}"
        self.legs += 1
        host.ip("link", "add", dev, "type", "veth", "peer", "name", port, "netns", self.name)
        self.host.ips(f"link set {port} addrgenmode none", f"link set {port} mtu {self.mtu} master br0 up")
        host.ip("link", "set", "dev", dev, "mtu", self.mtu, "up")
        host.address(dev, *addresses)
        return dev

    def capture(self):
        return Capture(self)


class Packet:
    """The IP view of a captured frame."""

    def __init__(self, raw):
        self.raw = raw
        self.ip = None
        ethertype = struct.unpack("!H", raw[12:14])[0]
        p = raw[14:]
        if ethertype == 0x0800 and len(p) >= 20:
            self.ip, self.version = p, 4
            self.proto = p[9]
            self.fragment = struct.unpack("!H", p[6:8])[0] & 0x3fff != 0
            self.first = struct.unpack("!H", p[6:8])[0] & 0x1fff == 0
            self.src, self.dst = (str(ipaddress.ip_address(p[i:i + 4])) for i in (12, 16))
            self.payload = p[(p[0] & 15) * 4:struct.unpack("!H", p[2:4])[0]]
        elif ethertype == 0x86dd and len(p) >= 40:
            self.ip, self.version = p, 6
            self.proto, self.fragment, self.first = p[6], False, True
            self.src, self.dst = (str(ipaddress.ip_address(p[i:i + 16])) for i in (8, 24))
            self.payload = p[40:40 + struct.unpack("!H", p[4:6])[0]]
            while self.proto in (0, 43, 44, 60) and len(self.payload) >= 8:
                if self.proto == 44:
                    self.fragment = True
                    self.first = struct.unpack("!H", self.payload[2:4])[0] & 0xfff8 == 0
                n = 8 if self.proto == 44 else 8 * (self.payload[1] + 1)
                self.proto, self.payload = self.payload[0], self.payload[n:]

    def chain(self):
        """The IPsec headers that can be seen, from outside: AH of a later fragment hides what follows."""
        proto, p, found = self.proto, self.payload, []
        while proto in (50, 51, 108):
            found.append(proto)
            if proto != 51 or not self.first or len(p) < 8:
                break
            proto, p = p[0], p[(p[1] + 2) * 4:]
        return tuple(found)

    def numbers(self):
        """SPI and sequence number of each IPsec header that can be seen, from outside."""
        found, p = [], self.payload
        for proto in self.chain():
            at = {50: 0, 51: 4, 108: 0}[proto]
            found.append(p[at:at + 8])
            p = p[(p[1] + 2) * 4:]
        return found

    def is_neighbour_discovery(self):
        return (self.ip is not None and self.version == 6 and self.proto == 58 and
                self.first and self.payload[:1] and
                self.payload[0] in (130, 131, 132, 133, 134, 135, 136, 137, 143))

    def __repr__(self):
        if self.ip is None:
            return "non-IP"
        return f"{self.src} > {self.dst} proto {self.proto} len {len(self.payload)}"


class Capture:
    """Everything that passes a wire; packets() after the block."""

    def __init__(self, wire):
        self.wire = wire
        self.path = os.path.join(wire.lab.dir, f"{wire.name}-{time.monotonic_ns()}.pcap")

    def __enter__(self):
        self.proc = self.wire.host.popen("/usr/bin/python3", os.path.join(HERE, "capture.py"),
                                         "br0", self.path, stdout=subprocess.PIPE)
        assert self.proc.stdout.readline().strip() == b"listening"
        return self

    def __exit__(self, *exc):
        self.proc.send_signal(signal.SIGTERM)
        lost = self.proc.stdout.readline().strip()
        self.proc.wait(timeout=10)
        assert exc[0] is not None or lost == b"0", f"the capture lost {lost.decode()} frames"

    def packets(self):
        for frame in self.frames():
            yield Packet(frame)

    def frames(self):
        with open(self.path, "rb") as f:
            head = f.read(24)
            order = "<" if struct.unpack("<I", head[:4])[0] in (0xa1b2c3d4, 0xa1b23c4d) else ">"
            while True:
                h = f.read(16)
                if len(h) < 16:
                    return
                yield f.read(struct.unpack(order + "IIII", h)[2])

    def between(self, nets):
        """IP packets whose source and destination both lie in one of the networks."""
        nets = [ipaddress.ip_network(n) for n in nets]

        def inside(a):
            a = ipaddress.ip_address(a)
            return any(a.version == n.version and a in n for n in nets)

        return [p for p in self.packets() if p.ip is not None and inside(p.src) and inside(p.dst)
                and not p.is_neighbour_discovery()]

    def clear(self, nets, chain=(50,)):
        """Those of them that have not exactly these headers: leaks, when policies cover the networks."""
        return [p for p in self.between(nets)
                if p.chain() != (chain if p.first else chain[:1])]

    def esp(self, nets):
        return [p for p in self.between(nets) if p.proto == 50]


class Lab:
    """All hosts and wires of one test; removes them at the end."""

    count = 0

    def __init__(self):
        Lab.count += 1
        self.prefix = f"t{Lab.count}"
        self.dir = tempfile.mkdtemp(prefix="testudo-lab-")
        self.hosts, self.wires = [], []

    def host(self, name):
        h = Host(self, f"{self.prefix}{name}")
        self.hosts.append(h)
        return h

    def wire(self, name="w", mtu=1500):
        w = Wire(self, f"{self.prefix}{name}", mtu)
        self.wires.append(w)
        return w

    def close(self):
        everyone = self.hosts + [w.host for w in self.wires]
        for h in everyone:
            for p in h.procs + ([h.daemon] if h.daemon else []):
                if p.poll() is None:
                    p.kill()
                    p.wait()
        for h in everyone:
            for pid in sh("ip", "netns", "pids", h.name, check=False).split():
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass
        sh("ip", "-force", "-batch", "-", input="".join(f"netns del {h.name}\n" for h in everyone), check=False)
        shutil.rmtree(self.dir, ignore_errors=True)


# ---- topologies ----


def two_hosts(lab, four=True, six=True, mtu=1500):
    """The FAQ's two hosts on one wire: 10.1.1.1 and 20.1.1.1, fd10::1 and fd20::1."""
    w = lab.wire(mtu=mtu)
    a, b = lab.host("a"), lab.host("b")
    for h, mine, other, mine6, other6 in ((a, "10.1.1.1", "20.1.1.1", "fd10::1", "fd20::1"),
                                          (b, "20.1.1.1", "10.1.1.1", "fd20::1", "fd10::1")):
        dev = w.plug(h, *([f"{mine}/32"] if four else []), *([f"{mine6}/128"] if six else []))
        h.ips(*([f"route add {other} dev {dev} src {mine}"] if four else []),
              *([f"route add {other6} dev {dev} src {mine6}"] if six else []))
        h.dev = dev
    return w, a, b


def two_gateways(lab, mtu=1500):
    """The FAQ's VPN: networks 10.0.1.0/24 and 10.0.2.0/24 (fd01::/64, fd02::/64), gateways
    20.0.0.1 and 20.0.0.2 (fd20::1, fd20::2), one host in each network."""
    w = lab.wire(mtu=mtu)
    gws, hosts = [], []
    for i in (1, 2):
        lan = lab.wire(f"l{i}")
        gw, h = lab.host(f"g{i}"), lab.host(f"h{i}")
        gw.dev = w.plug(gw, f"20.0.0.{i}/24", f"fd20::{i}/64")
        lan.plug(gw, f"10.0.{i}.1/24", f"fd0{i}::1/64", dev="lan")
        h.dev = lan.plug(h, f"10.0.{i}.5/24", f"fd0{i}::5/64")
        h.ips(f"route add default via 10.0.{i}.1", f"route add default via fd0{i}::1")
        gw.forward()
        gw.lan = lan
        gws.append(gw)
        hosts.append(h)
    for i, j in ((1, 2), (2, 1)):
        gws[i - 1].ips(f"route add 10.0.{j}.0/24 via 20.0.0.{j}", f"route add fd0{j}::/64 via fd20::{j}")
    return w, gws, hosts


def leaf_and_router(lab):
    """The FAQ's leaf node 10.0.1.5 with its router 10.0.1.1; a server 10.0.9.9 behind it."""
    w = lab.wire()
    leaf, router = lab.host("leaf"), lab.host("router")
    leaf.dev = w.plug(leaf, "10.0.1.5/24", "fd01::5/64")
    router.dev = w.plug(router, "10.0.1.1/24", "fd01::1/64")
    far = lab.wire("far")
    server = lab.host("server")
    server.dev = far.plug(server, "10.0.9.9/24", "fd09::9/64")
    far.plug(router, "10.0.9.1/24", "fd09::1/64", dev="far")
    leaf.ips("route add default via 10.0.1.1", "route add default via fd01::1")
    server.ips("route add default via 10.0.9.1", "route add default via fd09::1")
    router.forward()
    return w, leaf, router, server

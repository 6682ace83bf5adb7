"""Clients behind a NAT (a host with nftables' masquerade), a server in front of it, ESP in UDP between them.

Both wires have IPv4 and IPv6, and the NAT translates both.  Each client and the server have a
network of their own behind them for tunnels.
"""
import functools
import hashlib
import ipaddress
import os
import subprocess

import keys
import netlab

CLIENTS = [{4: f"10.7.0.{5 + i}", 6: f"fd07::{5 + i}"} for i in range(2)]
SERVER = {4: "20.0.0.9", 6: "fd20::9"}
OUTSIDE = {4: "20.0.0.1", 6: "fd20::1"}  # of the NAT: all that the server sees of the clients
NETS = [{4: f"10.8.{i}.0/24", 6: f"fd08:{i}::/64"} for i in range(2)]
INNER = [{4: f"10.8.{i}.1", 6: f"fd08:{i}::1"} for i in range(2)]
SERVER_NET = {4: "10.9.0.0/24", 6: "fd09::/64"}
SERVER_INNER = {4: "10.9.0.1", 6: "fd09::1"}
PORT = 4500

# Makes conntrack forget everything: what a NAT does that is started again.
FORGET = """
import socket, struct
for family in (socket.AF_INET, socket.AF_INET6):
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
    s.send(struct.pack("=IHHIIBBH", 20, 1 << 8 | 2, 5, 1, 0, family, 0, 0))
    error = struct.unpack_from("=i", s.recv(4096), 16)[0]
    assert error == 0, f"conntrack: {error}"
"""


class Nat:
    """The whole lab: nat, clients, server; the wires inside and outside."""

    def __init__(self, lab, clients=1):
        self.lab = lab
        self.inside, self.outside = lab.wire("in"), lab.wire("out")
        self.nat, self.server = lab.host("nat"), lab.host("s")
        self.clients = [lab.host(f"c{i}") for i in range(clients)]
        self.inside.plug(self.nat, "10.7.0.1/24", "fd07::1/64", dev="in")
        self.outside.plug(self.nat, *self.both(OUTSIDE), dev="out")
        self.nat.forward()
        for i, c in enumerate(self.clients):
            c.dev = self.inside.plug(c, *self.both(CLIENTS[i]))
            c.address("lo", f"{INNER[i][4]}/32", f"{INNER[i][6]}/128")
            self.routes(c, {4: "default", 6: "default"}, {4: "10.7.0.1", 6: "fd07::1"})
            self.routes(c, SERVER_NET, {4: "10.7.0.1", 6: "fd07::1"}, INNER[i])
        s = self.server
        s.dev = self.outside.plug(s, *self.both(SERVER))
        s.address("lo", f"{SERVER_INNER[4]}/32", f"{SERVER_INNER[6]}/128")
        for net in NETS:
            self.routes(s, net, OUTSIDE, SERVER_INNER)
        # What nobody asked for is dropped: it takes no port that a client may get later.
        self.nat.nft("table inet nat {\n chain post {\n type nat hook postrouting priority srcnat\n }\n"
                     " chain unasked {\n type filter hook input priority filter\n"
                     ' iifname "out" meta l4proto udp drop\n }\n}\n')
        self.map(20000)

    @staticmethod
    def both(addresses):
        return f"{addresses[4]}/24", f"{addresses[6]}/64"

    @staticmethod
    def routes(host, to, via, src=None):
        for af, word in ((4, "-4"), (6, "-6")):
            host.ip(word, "route", "add", to[af], "via", via[af], *(["src", src[af]] if src else []))

    def map(self, base, order=(0, 1)):
        """From now on a client's local port has this one outside; mappings that exist stay."""
        self.base, self.order = base, order
        rules = ["flush chain inet nat post"]
        for i in range(len(self.clients)):
            for local in (PORT, PORT + 1):
                for word, af in (("ip", 4), ("ip6", 6)):
                    rules.append(f'add rule inet nat post oifname "out" {word} saddr {CLIENTS[i][af]} '
                                 f"udp sport {local} masquerade to :{self.port(i, local)}")
        rules.append('add rule inet nat post oifname "out" masquerade')
        self.nat.nft("\n".join(rules) + "\n")

    def port(self, i=0, local=PORT):
        """The port outside of a client's local port."""
        return self.base + 100 * self.order[i] + local - PORT

    def forget(self):
        self.nat.python(FORGET)

    def start(self, conf=""):
        for h in self.clients + [self.server]:
            h.start(conf)
        return self

    def load(self, **words):
        """Gives SAs and policies of all clients, IPv4 and IPv6, to everybody."""
        for i in range(len(self.clients)):
            self.load_client(i, **words)
            self.load_server(i, **words)

    def load_client(self, i, **words):
        for af in (4, 6):
            self.clients[i].setkey(statements(self, i, af, "client", **words))

    def load_server(self, i, **words):
        for af in (4, 6):
            self.server.setkey(statements(self, i, af, "server", **words))


def spi_of(i, af, local=PORT):
    """The SPI from client to server; the one back is the next."""
    return 0x4000 + 0x1000 * (local - PORT) + 0x100 * i + 0x10 * (af == 6)


def key_of(spi):
    """20 bytes for AES-GCM: an SA that is taken for another opens nothing."""
    return "0x" + hashlib.sha256(b"%d" % spi).hexdigest()[:40]


def sa(syntax, ends, original, spi, mode, reqid):
    """One SA; ends are (source, port, destination, port), original the addresses that the sender knows."""
    src, sport, dst, dport = ends
    words = f"-m {mode} -r 16 -u {reqid}"
    key = f"-E aes-gcm-16 {key_of(spi)}"
    if syntax == "-natt":
        return (f"add {src} {dst} esp {spi} {words} "
                f"-natt {original[0]}[{sport}] {original[1]}[{dport}] {key};\n")
    oa = original[0] if syntax == "esp-udp-oa" and original[0] != src else ""
    return f"add {src}[{sport}] {dst}[{dport}] esp-udp {oa} {spi} {words} {key};\n"


def statements(nat, i, af, side, mode="transport", syntax="esp-udp", local=PORT, upper="any",
               net=None):
    """SAs and policies of client i as one side has them; net: (client's, server's) of the tunnel."""
    C, S, N = CLIENTS[i][af], SERVER[af], OUTSIDE[af]
    me, port = (C, local) if side == "client" else (N, nat.port(i, local))
    spi = spi_of(i, af, local)
    reqid = 1 + 4 * i + 2 * (local - PORT) + (af == 6)
    # The client sealed with its own address, the server with the one outside (RFC 3947 5.2).
    text = sa(syntax, (me, port, S, local), (C, S), spi, mode, reqid)
    text += sa(syntax, (S, local, me, port), (S, N), spi + 1, mode, reqid)
    here, there = net or (NETS[i][af], SERVER_NET[af])
    if mode == "transport":
        here, there = me, S
    if side == "server":
        me, S, here, there = S, me, there, here
    out, back = (f"{me}-{S}", f"{S}-{me}") if mode == "tunnel" else ("", "")
    mine, other = here, there
    if upper != "any":  # "tcp 6001": the client's port
        proto, number = upper.split()
        mine, other = (f"{here}[{number}]", there) if side == "client" else (here, f"{there}[{number}]")
        upper = proto
    return (text + f"spdadd {mine} {other} {upper} -P out ipsec esp/{mode}/{out}/unique:{reqid};\n"
            f"spdadd {other} {mine} {upper} -P in ipsec esp/{mode}/{back}/unique:{reqid};\n")


def ends(nat, i, mode, af):
    """(client's, server's) address of traffic that is covered, as the client has them."""
    return (INNER[i][af], SERVER_INNER[af]) if mode == "tunnel" else (CLIENTS[i][af], SERVER[af])


def answers(host, dst, src=None, count=2, size=56, seconds=10):
    """All of count pings are answered.  ping waits no longer for the last than it took for others to
    come: on a busy machine it tries again."""
    netlab.wait_for(f"{count} answers of {dst} to {host.name}",
                    lambda: host.ping(dst, count, size=size, src=src) == count, seconds)


# ---- what is on the wire ----


def udp_of(p):
    """(source port, destination port, data) of a datagram, or None."""
    if p.ip is None or p.proto != 17 or not p.first or len(p.payload) < 8:
        return None
    return (int.from_bytes(p.payload[0:2], "big"), int.from_bytes(p.payload[2:4], "big"),
            p.payload[8:int.from_bytes(p.payload[4:6], "big")] if not p.fragment else p.payload[8:])


def number_of(p):
    """What the fragments of one datagram have in common."""
    return (p.src, p.dst, p.ip[4:6] if p.version == 4 else p.ip[44:48])


def kind(p):
    """"esp", "ike", "keepalive" or "clear" of a packet that is no later fragment."""
    u = udp_of(p)
    if u is None or not {PORT, PORT + 1} & set(u[:2]):
        return "clear"
    if u[2] == b"\xff":
        return "keepalive"
    if u[2][:4] == b"\0\0\0\0":
        return "ike"
    return "esp" if len(u[2]) >= 8 else "clear"


class Seen:
    """The IP packets of a capture; it is read once, as that takes its time."""

    def __init__(self, capture):
        self.packets = [p for p in capture.packets()
                        if p.ip is not None and not p.is_neighbour_discovery()]

    def clear(self, nets, ike=False):
        """Packets between the networks that are neither ESP in UDP nor keepalives."""
        nets = [ipaddress.ip_network(n) for n in nets]

        @functools.lru_cache(None)
        def inside(a):
            a = ipaddress.ip_address(a)
            return any(a.version == n.version and a in n for n in nets)

        packets = [p for p in self.packets if inside(p.src) and inside(p.dst)]
        kinds = {"esp", "keepalive"} | ({"ike"} if ike else set())
        good = {number_of(p) for p in packets if p.first and p.fragment and kind(p) in kinds}
        return [p for p in packets
                if (kind(p) not in kinds if p.first else number_of(p) not in good)]

    def esp(self, src, dst):
        """ESP in UDP from src to dst: (source port, destination port, data) of each."""
        return [udp_of(p) for p in self.packets
                if p.src == src and p.dst == dst and p.first and kind(p) == "esp"]

    def ports(self, src, dst):
        return {u[:2] for u in self.esp(src, dst)}

    def numbers(self, src, dst):
        """SPI and sequence number of each."""
        return [u[2][:8] for u in self.esp(src, dst)]

    def keepalives(self, src, dst):
        return {udp_of(p)[:2] for p in self.packets
                if p.src == src and p.dst == dst and p.first and kind(p) == "keepalive"}


# ---- traffic ----

# Both ways at once, what arrives is compared; each end says so.
STREAMS = """
import random, socket, sys, threading, time
role, mine, peer, port, size, sport, seconds, pace = sys.argv[1:9]
size, family = int(size), socket.AF_INET6 if ":" in peer else socket.AF_INET
if role == "server":
    l = socket.create_server((mine, int(port)), family=family)
    l.settimeout(30)
    print("up", flush=True)
    s = l.accept()[0]
else:
    s = socket.create_connection((peer, int(port)), timeout=30, source_address=(mine, int(sport)))
s.settimeout(float(seconds))
mine, other = (1, 2) if role == "server" else (2, 1)

def send():
    r, left = random.Random(mine), size
    while left:
        b = r.randbytes(1 << 16)[:left]
        s.sendall(b)
        left -= len(b)
        time.sleep(float(pace))
    s.shutdown(socket.SHUT_WR)

t = threading.Thread(target=send)
t.start()
r, got = random.Random(other), 0
while True:
    want = r.randbytes(1 << 16)[:size - got]
    have = b""
    while len(have) < len(want):
        d = s.recv(len(want) - len(have))
        if not d:
            break
        have += d
    assert have == want, f"wrong data behind {got}"
    got += len(have)
    if got == size:
        break
assert s.recv(1) == b""
t.join()
print("all", flush=True)
"""


class Streams:
    """size random bytes by TCP in both directions at once; ok() when all of them came through.  pace:
    seconds between blocks of 64 KB."""

    def __init__(self, client, server, src, dst, size, port=6100, sport=0, seconds=30,
                 pace=0):
        words = ("/usr/bin/python3", "-c", STREAMS)
        self.server = server.popen(*words, "server", dst, src, port, size, 0, seconds, pace,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        first = self.server.stdout.readline()
        assert first.strip() == b"up", first + self.server.stdout.read()
        self.client = client.popen(*words, "client", src, dst, port, size, sport, seconds, pace,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def ok(self, seconds=40):
        try:
            said = [p.communicate(timeout=seconds)[0].strip() for p in (self.client, self.server)]
        finally:
            for p in (self.client, self.server):
                if p.poll() is None:
                    p.kill()
        assert said == [b"all", b"all"], b"\n".join(said).decode()


# Sends a numbered datagram every TICK seconds, or echoes what comes.  On SIGTERM says how many came and how many
# were missing in a row at most, which does not depend on how busy the machine is.  Senders are stopped first.
TICK, TICKS = 0.01, 60
TICKER = """
import select, signal, socket, sys, time
mine, peer, port, send, tick = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
stopped, patience = False, 0

def stop(*_):
    global stopped, patience
    stopped, patience = True, time.monotonic() + 10

signal.signal(signal.SIGTERM, stop)
s = socket.socket(socket.AF_INET6 if ":" in mine else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((mine, port))
print("up", flush=True)
count, last, missing, due, n = 0, None, 0, time.monotonic(), 0
# The sender goes on until enough has come back.
while not stopped or (send and count < int(sys.argv[6]) and time.monotonic() < patience):
    now = time.monotonic()
    if send and now >= due:
        due, n = now + tick, n + 1
        try:
            s.sendto(b"%d" % n, (peer, port))
        except OSError:
            pass
    # All that is there, before more is sent: what waits for this process is not missing.
    while select.select([s], [], [], max(0, due - time.monotonic()) if send else tick)[0]:
        try:
            d = s.recv(2048)
        except OSError:
            break
        count, got = count + 1, int(d)
        if last is not None:
            missing = max(missing, got - last - 1)
        last = got
        if not send:
            try:
                s.sendto(d, (peer, port))
            except OSError:
                pass
        if send and time.monotonic() >= due + 5 * tick:
            break
if send:
    missing = max(missing, n - (last or 0))
print(count, missing, flush=True)
"""


class Ticker:
    def __init__(self, host, mine, peer, port, send=True):
        self.p = host.python_bg(TICKER, mine, peer, port, int(send), TICK, TICKS, stdout=subprocess.PIPE)
        assert self.p.stdout.readline().strip() == b"up"

    def stop(self):
        """(datagrams that arrived, longest pause in seconds of the sender's)"""
        self.p.terminate()
        count, missing = self.p.stdout.readline().split()
        self.p.wait(timeout=10)
        return int(count), int(missing) * TICK


# Somebody who owns a port and knows nothing of ESP: answers what comes and says how much and what.
OWNER = """
import signal, socket, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(print(got, strange, flush=True)))
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
s.bind(("::", int(sys.argv[1])))
got = strange = 0
print("up", flush=True)
while True:
    d, a = s.recvfrom(2048)
    if d.startswith(b"\\0\\0\\0\\0ike ") or d == b"\\xff":
        got += 1
        if d.endswith(b"?"):
            s.sendto(d[:-1] + b"!", a)
    else:
        strange += 1
"""

# The same on the other end: asks, and wants its answers.
ASKER = """
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
s.bind(("::", int(sys.argv[1])))
s.settimeout(2)
for to in sys.argv[2:]:
    for n in range(5):
        s.sendto(b"\\0\\0\\0\\0ike %d?" % n, (to if ":" in to else "::ffff:" + to, int(sys.argv[1])))
        while True:
            d = s.recv(2048)
            if d != b"\\xff":
                break
        assert d == b"\\0\\0\\0\\0ike %d!" % n, d
print("answered", flush=True)
"""


class Owner:
    """A process that owns a UDP port."""

    def __init__(self, host, port=PORT):
        self.p = host.python_bg(OWNER, port, stdout=subprocess.PIPE)
        assert self.p.stdout.readline().strip() == b"up"

    def stop(self):
        """(packets of IKE and keepalives, others) that it got."""
        self.p.terminate()
        got, strange = self.p.stdout.readline().split()
        self.p.wait(timeout=10)
        return int(got), int(strange)


class Monitor:
    """setkey -x: every message that the PF_KEY sockets of a host get."""

    def __init__(self, host):
        self.path = os.path.join(host.lab.dir, f"{host.name}.monitor")
        self.out = open(self.path, "w")
        self.p = host.popen(netlab.SETKEY, "-x", stdout=self.out)
        # What itself asks for is the first that it shows.
        netlab.wait_for("setkey -x", lambda: host.run(netlab.SETKEY, "-D") and self.text())

    def text(self):
        with open(self.path) as f:
            return f.read()

    def stop(self):
        self.p.terminate()
        self.p.wait(timeout=10)
        self.out.close()
        return self.text()

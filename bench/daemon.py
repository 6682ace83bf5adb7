"""What two namespaces carry between them: bare, through testudo, through strongSwan.

All peers are up at once and idle while another is measured; rounds are interleaved and the
tables show medians with their spread.  Each peer carries traffic between loopback addresses of
its own, in an ESP tunnel with AES-128-GCM: testudo plain and in UDP; strongSwan's kernel-libipsec
in UDP, as it does no other.  Three parts: one TCP stream, a flood of UDP (what arrives of it), ping.
"""
import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/netns"))
import charon  # noqa: E402
import keys  # noqa: E402
import netlab  # noqa: E402
from netlab import wait_for  # noqa: E402

FLOOD = os.path.join(netlab.BUILD, "bench/bench_flood")
FLOOD_SIZE = 1372  # 1400 bytes of IP: it fits into every tunnel without fragments
PINGS = 500
LINK = ("10.99.0.1", "10.99.0.2")
# strongSwan has 4500: whoever receives ESP on a port receives it for the whole host.
UDP_PORT = 4502
# Addresses behind the link: 10.<number>.0.1 of a, 10.<number + 1>.0.1 of b.
PLAIN, UDP, SWAN = 11, 21, 1


def net(n):
    return f"10.{n}.0.0/24"


def ends(n):
    return f"10.{n}.0.1", f"10.{n + 1}.0.1"


class Peer:
    """Somebody who carries traffic from src (on a) to dst (on b); pids are its processes."""

    def __init__(self, name, src, dst, pids=()):
        self.name, self.src, self.dst, self.pids = name, src, dst, list(pids)
        self.results = {}


def link(lab):
    a, b = lab.host("a"), lab.host("b")
    a.ip("link", "add", "va", "type", "veth", "peer", "name", "vb", "netns", b.name)
    for h, dev, side in ((a, "va", 0), (b, "vb", 1)):
        h.dev = dev
        h.address(dev, f"{LINK[side]}/24")
        h.ip("link", "set", dev, "up")
        h.address("lo", *(f"{ends(n)[side]}/32" for n in (PLAIN, UDP, SWAN)))
        for n in (PLAIN, UDP):
            h.ip("route", "add", net(n + 1 - side), "via", LINK[1 - side], "src", ends(n)[side])
    return a, b


def start_testudo(a, b):
    for h in (a, b):
        h.start()
    return [h.daemon.pid for h in (a, b)] + [h.data_pid() for h in (a, b)]


def add_tunnel(a, b, n, spi, natt=None):
    sas, pa, pb = keys.tunnel(net(n), net(n + 1), *LINK, spi=spi, window=128, natt=natt)
    a.setkey(sas + pa)
    b.setkey(sas + pb)


def strongswan_up(lab, a, b):
    nets = [net(SWAN)], [net(SWAN + 1)]
    first = charon.Charon(lab, a, *LINK, *nets)
    second = charon.Charon(lab, b, *LINK[::-1], *nets[::-1])
    first.initiate()
    return [first.proc.pid, second.proc.pid]


def stranger_up(a, b, text):
    """NAME=COMMAND: a program that makes a tunnel of its own and says "src dst pid ..."."""
    name, command = text.split("=", 1)
    env = dict(os.environ, NS_A=a.name, NS_B=b.name, LINK_A=LINK[0], LINK_B=LINK[1])
    p = subprocess.Popen(command, shell=True, stdout=subprocess.PIPE, text=True, env=env)
    a.procs.append(p)
    words = p.stdout.readline().split()
    if len(words) < 2:
        sys.exit(f"{command} said nothing of a tunnel")
    return Peer(name, words[0], words[1], map(int, words[2:]))


def ticks(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as f:
            words = f.read().rsplit(")", 1)[1].split()
        total += int(words[11]) + int(words[12])
    return total


# ---- parts: each measures one peer once, and returns (figure, text) ----


def tcp(a, b, peer, seconds):
    s = b.popen("iperf3", "-s", "-1", "-p", "5900")
    wait_for("iperf3 listens", lambda: "5900" in b.run("ss", "-ltn"))
    out = a.run("iperf3", "-c", peer.dst, "-B", peer.src, "-p", "5900", "-t", seconds, "-J",
                timeout=seconds + 30)
    s.wait(timeout=10)
    end = json.loads(out)["end"]
    return end["sum_received"]["bits_per_second"] / 1e9, end["sum_sent"].get("retransmits", 0)


def flood(a, b, peer, seconds):
    r = b.popen(FLOOD, "recv", peer.dst, "5901", stdout=subprocess.PIPE, text=True)
    try:
        if r.stdout.readline().strip() != "up":
            sys.exit("bench_flood does not receive")
        sent, took = a.run(FLOOD, "send", peer.dst, "5901", peer.src, FLOOD_SIZE, seconds,
                           timeout=seconds + 30).split()
        time.sleep(0.3)
    finally:
        r.send_signal(signal.SIGTERM)
    got, lasted = r.communicate(timeout=10)[0].split()
    rate = int(got) / max(float(lasted), 1e-3) if int(got) > 1 else 0
    return rate / 1e6, 100 * (1 - int(got) / max(int(sent), 1))


def ping(a, b, peer, seconds):
    out = a.run("ping", "-n", "-i", "0.002", "-c", PINGS, "-W", 1, "-I", peer.src, peer.dst,
                check=False, timeout=120)
    times = sorted(float(line.split("time=")[1].split()[0]) for line in out.splitlines() if "time=" in line)
    if not times:
        sys.exit(f"no answer to ping through {peer.name}:\n{out}")
    return 1e3 * statistics.median(times), 1e3 * times[int(len(times) * 0.99)]


# name: function, title, unit, title of the second figure
PARTS = {
    "tcp": (tcp, "one TCP stream", "Gbit/s", "retransmits"),
    "flood": (flood, f"UDP flood of {FLOOD_SIZE} bytes, arrived", "Mpkt/s", "% lost"),
    "ping": (ping, f"ping, median of {PINGS}", "us", "99th percentile"),
}


def measure(a, b, part, peer, seconds):
    t0, c0 = time.monotonic(), ticks(peer.pids)
    figure, second = PARTS[part][0](a, b, peer, seconds)
    cpu = (ticks(peer.pids) - c0) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - t0)
    peer.results.setdefault(part, []).append((figure, second, cpu))


def spread(values, digits):
    return (f"{statistics.median(values):{7 + digits - 3}.{digits}f} "
            f"({min(values):.{digits}f} .. {max(values):.{digits}f})")


def report(part, peers):
    _, title, unit, second = PARTS[part]
    print(title)
    for p in peers:
        r = p.results[part]
        print(f"  {p.name:<28} {spread([x[0] for x in r], 1 if unit == 'us' else 3)} {unit}"
              f"  {second} {statistics.median(x[1] for x in r):.0f}"
              f"  daemons {statistics.median(x[2] for x in r):.2f} cores")
    ours = [p for p in peers if p.name.startswith("testudo")]
    for mine in ours:
        for other in peers:
            if other not in ours:
                ratios = [m[0] / o[0] if o[0] else float("inf")
                          for m, o in zip(mine.results[part], other.results[part])]
                print(f"  {mine.name} / {other.name}: {spread(ratios, 2).strip()} per round")


def calls(before, after):
    """Packets per call of one host, from testudo stats."""
    out = []
    for name in after["io"]:
        d = {k: after["io"][name][k] - before["io"][name][k] for k in ("calls", "packets")}
        if d["calls"]:
            out.append(f"{name} {d['packets'] / d['calls']:.1f}")
    return ", ".join(out)


def arguments():
    p = argparse.ArgumentParser(prog="bench/daemon")
    p.add_argument("rounds", nargs="?", type=int, default=5)
    p.add_argument("seconds", nargs="?", type=int, default=3)
    p.add_argument("--parts", default=",".join(PARTS), help="of %(default)s")
    p.add_argument("--peers", default="bare,plain,udp,strongswan", help="of %(default)s")
    p.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND",
                   help="one more: COMMAND finds the namespaces in NS_A and NS_B and their addresses in "
                        "LINK_A and LINK_B, makes a tunnel and says \"source destination pid ...\"")
    p.add_argument("--offloads", choices=("on", "off"), default="on", help="of the link")
    a = p.parse_args()
    a.parts, a.peers = a.parts.split(","), a.peers.split(",")
    if set(a.parts) - set(PARTS) or set(a.peers) - {"bare", "plain", "udp", "strongswan"}:
        p.error("no such part or peer")
    return a


def peers_up(lab, a, b, words):
    peers, wanted = [], words.peers
    pids = start_testudo(a, b) if {"plain", "udp"} & set(wanted) else []
    if "bare" in wanted:
        peers.append(Peer("bare link", *LINK))
    if "plain" in wanted:
        add_tunnel(a, b, PLAIN, 0x2000)
        peers.append(Peer("testudo, plain ESP", *ends(PLAIN), pids))
    if "udp" in wanted:
        add_tunnel(a, b, UDP, 0x3000, natt=(UDP_PORT, UDP_PORT))
        peers.append(Peer("testudo, ESP in UDP", *ends(UDP), pids))
    if "strongswan" in wanted:
        if os.path.exists(charon.CHARON):
            peers.append(Peer("strongSwan kernel-libipsec", *ends(SWAN), strongswan_up(lab, a, b)))
        else:
            print(f"strongSwan is not installed (packages {charon.PACKAGES})")
    return peers + [stranger_up(a, b, text) for text in words.peer]


def main():
    words = arguments()
    lab = netlab.Lab()
    try:
        a, b = link(lab)
        if words.offloads == "off":
            for h in (a, b):
                h.run("ethtool", "-K", h.dev, *(w for f in ("tso", "gso", "gro", "tx", "rx", "sg") for w in (f, "off")))
        peers = peers_up(lab, a, b, words)
        hosts = [h for h in (a, b) if h.daemon]
        print(f"{words.rounds} interleaved rounds, {words.seconds} s each, AES-128-GCM tunnels")
        for part in words.parts:
            before = [h.stats() for h in hosts]
            for _ in range(words.rounds):
                for peer in peers:
                    measure(a, b, part, peer, words.seconds)
            report(part, peers)
            for side, h, was in zip(("a", "b"), hosts, before):
                print(f"  packets per call, {side}: {calls(was, h.stats())}")
            sys.stdout.flush()
    finally:
        lab.close()


main()

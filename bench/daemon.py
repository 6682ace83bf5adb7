"""One TCP stream between two namespaces: bare, through testudo, through strongSwan.

All peers are up at once and idle while another is measured; rounds are interleaved and the
table shows medians with their spread.  Each peer carries traffic between loopback addresses of
its own, in an ESP tunnel with AES-128-GCM.  strongSwan's ESP is in UDP, as it does no other.
"""
import json
import os
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/netns"))
import keys  # noqa: E402
import netlab  # noqa: E402
from netlab import sh, wait_for  # noqa: E402

CHARON = "/usr/lib/ipsec/charon"
PLUGINS = "random nonce openssl kdf pem pkcs1 vici kernel-libipsec kernel-netlink socket-default"


def link(lab):
    a, b = lab.host("a"), lab.host("b")
    a.ip("link", "add", "va", "type", "veth", "peer", "name", "vb", "netns", b.name)
    for h, dev, n in ((a, "va", 1), (b, "vb", 2)):
        h.dev = dev
        h.address(dev, f"10.99.0.{n}/24")
        h.ip("link", "set", dev, "up")
        h.address("lo", f"10.{n}.0.1/32", f"10.{n + 10}.0.1/32")
        h.ip("route", "add", f"10.{13 - n}.0.0/24", "via", f"10.99.0.{3 - n}", "src", f"10.{n + 10}.0.1")
    return a, b


def testudo_up(a, b):
    sas, pa, pb = keys.tunnel("10.11.0.0/24", "10.12.0.0/24", "10.99.0.1", "10.99.0.2", window=128)
    for h, p in ((a, pa), (b, pb)):
        h.start()
        h.setkey(sas + p)
    return [h.daemon.pid for h in (a, b)] + [h.data_pid() for h in (a, b)]


def charon_up(lab, host, n):
    d = os.path.join(lab.dir, f"charon-{n}")
    os.makedirs(d)
    with open(f"{d}/strongswan.conf", "w") as f:
        f.write(f"charon {{ load = {PLUGINS}\n filelog {{ l {{ path = {d}/log\n default = 1 }} }}\n"
                f" install_routes = yes\n plugins {{ vici {{ socket = unix://{d}/vici }} }} }}\n")
    with open(f"{d}/swanctl.conf", "w") as f:
        f.write(f"connections {{ c {{ version = 2\n local_addrs = 10.99.0.{n}\n remote_addrs = 10.99.0.{3 - n}\n"
                " proposals = aes128gcm16-prfsha256-ecp256\n"
                f" local {{ auth = psk\n id = 10.99.0.{n} }}\n remote {{ auth = psk\n id = 10.99.0.{3 - n} }}\n"
                f" children {{ n {{ local_ts = 10.{n}.0.0/24\n remote_ts = 10.{3 - n}.0.0/24\n"
                " esp_proposals = aes128gcm16\n mode = tunnel } } } }\n"
                'secrets { ike-1 { secret = "benchmark" } }\n')
    p = subprocess.Popen(host.argv("unshare", "-m", "sh", "-c", "mount -t tmpfs none /run; exec "
                                   f"env STRONGSWAN_CONF={d}/strongswan.conf {CHARON}"),
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    host.procs.append(p)
    wait_for("charon answers", lambda: os.path.exists(f"{d}/vici"))
    time.sleep(0.5)
    host.run("swanctl", "--load-all", "--uri", f"unix://{d}/vici", "--file", f"{d}/swanctl.conf")
    return p.pid, f"unix://{d}/vici"


def strongswan_up(lab, a, b):
    pid_a, uri = charon_up(lab, a, 1)
    pid_b, _ = charon_up(lab, b, 2)
    a.run("swanctl", "--initiate", "--child", "n", "--uri", uri)
    return [pid_a, pid_b]


def ticks(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as f:
            words = f.read().rsplit(")", 1)[1].split()
        total += int(words[11]) + int(words[12])
    return total


def tcp(a, b, src, dst, seconds, pids, *words):
    s = b.popen("iperf3", "-s", "-1", "-p", "5900")
    wait_for("iperf3 listens", lambda: "5900" in b.run("ss", "-ltn"))
    t0, c0 = time.monotonic(), ticks(pids)
    out = a.run("iperf3", "-c", dst, "-B", src, "-p", "5900", "-t", seconds, "-J", *words,
                timeout=seconds + 30)
    cpu = (ticks(pids) - c0) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - t0)
    s.wait(timeout=10)
    end = json.loads(out)["end"]
    return end["sum_received"]["bits_per_second"] / 1e9, end["sum_sent"].get("retransmits", 0), cpu


def calls(host, before, after):
    """Packets per call of one host during a run, from testudo stats."""
    out = []
    for name in after["io"]:
        d = {k: after["io"][name][k] - before["io"][name][k] for k in ("calls", "packets")}
        if d["calls"]:
            out.append(f"{name} {d['packets'] / d['calls']:.1f}")
    return ", ".join(out)


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    lab = netlab.Lab()
    try:
        a, b = link(lab)
        peers = {"bare link": ("10.99.0.1", "10.99.0.2", [])}
        peers["testudo, plain ESP"] = ("10.11.0.1", "10.12.0.1", testudo_up(a, b))
        if os.path.exists(CHARON):
            peers["strongSwan kernel-libipsec"] = ("10.1.0.1", "10.2.0.1", strongswan_up(lab, a, b))
        else:
            print("strongSwan is not installed (packages strongswan-charon strongswan-swanctl "
                  "libcharon-extra-plugins libstrongswan-standard-plugins libstrongswan-extra-plugins)")
        results = {name: [] for name in peers}
        before = a.stats(), b.stats()
        for _ in range(rounds):
            for name, (src, dst, pids) in peers.items():
                results[name].append(tcp(a, b, src, dst, seconds, pids))
        after = a.stats(), b.stats()
        print(f"one TCP stream, {rounds} interleaved rounds of {seconds} s, AES-128-GCM tunnel")
        for name, r in results.items():
            g = [x[0] for x in r]
            print(f"  {name:<28} {statistics.median(g):7.3f} Gbit/s ({min(g):.3f} .. {max(g):.3f})"
                  f"  retransmits {statistics.median(x[1] for x in r):.0f}"
                  f"  daemons {statistics.median(x[2] for x in r):.2f} cores")
        if "strongSwan kernel-libipsec" in results:
            ratios = [t[0] / s[0] for t, s in zip(results["testudo, plain ESP"],
                                                  results["strongSwan kernel-libipsec"])]
            print(f"  testudo / strongSwan: {statistics.median(ratios):.2f} x "
                  f"({min(ratios):.2f} .. {max(ratios):.2f}) per round")
        print(f"  packets per call, sender:   {calls(a, before[0], after[0])}")
        print(f"  packets per call, receiver: {calls(b, before[1], after[1])}")
    finally:
        lab.close()


main()

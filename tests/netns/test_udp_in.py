"""ESP in UDP into the whole daemon: what is dropped and why, what stays with others, and that
super-packets stay whole on their way in."""
import socket
import struct

import keys
import netlab
from netlab import wait_for
from test_attach import in_namespace

IKE = bytes(4) + b"cookie.." + bytes(20)
FAMILIES = {4: ("10.1.1.1", "20.1.1.1"), 6: ("fd10::1", "fd20::1")}


def sas(a, b, port=4500, spi=0x1000):
    return "".join(f"add {x}[{port}] {y}[{port}] esp-udp {spi + i} -m transport -r 64 "
                   f"-E aes-gcm-16 {k};\n"
                   for i, (x, y, k) in enumerate(((a, b, keys.GCM_AB), (b, a, keys.GCM_BA))))


def protect(a, b, version):
    x, y = FAMILIES[version]
    for h in (a, b):
        h.setkey(sas(x, y))
    a.setkey(keys.policies(x, y, "esp/transport//require"))
    b.setkey(keys.policies(y, x, "esp/transport//require"))


def udp(host, address, port):
    def make():
        s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((address, port))
        s.settimeout(3)
        return s
    return in_namespace(host, make)


def io(host, name):
    return host.stats()["io"][name]


def test_what_is_not_ours_is_dropped_and_counted(lab):
    """ESP of no SA, too short for ESP, with a forged ICV: a name and a counter for each."""
    w, a, b = netlab.two_hosts(lab)
    a.start()
    for version in (4, 6):
        mine, peer = FAMILIES[version]
        a.setkey(sas(mine, peer))
        s = udp(b, peer, 4500)
        for reason, packet in (("in-no-sa", b"\0\0\x99\x99" + bytes(60)),
                               ("short-packet", b"\0\0\x10\x01\0"),
                               ("in-icv-mismatch", b"\0\0\x10\x01" + b"\0\0\0\1" + bytes(64))):
            before, errors = a.drops(reason), io(a, "udp-recv")["errors"]
            for _ in range(3):
                s.sendto(packet, (mine, 4500))
            wait_for(reason, lambda: a.drops(reason) == before + 3)
            assert io(a, "udp-recv")["errors"] == errors
        s.close()
    assert io(a, "udp-recv")["packets"] == 18


def test_owner_of_the_port_keeps_what_is_its_own(lab):
    """A program on port 4500, before and after testudo: IKE, while ESP flows past
    it, and everything when the SAs are gone."""
    w, a, b = netlab.two_hosts(lab)
    for h in (a, b):
        h.start()
    owners = [(udp(a, FAMILIES[v][0], 4500), udp(b, FAMILIES[v][1], 4500), FAMILIES[v][0])
              for v in (4, 6)]
    for v in (4, 6):
        protect(a, b, v)
    # Policies cover key management too, but for a bypass as every IKE daemon has one.
    for h, way, back in ((a, 0, 1), (b, 1, 0)):
        for pair in FAMILIES.values():
            h.setkey(f"spdadd {pair[way]}[4500] {pair[back]}[4500] udp -P out prio def + 100 none;\n"
                     f"spdadd {pair[back]}[4500] {pair[way]}[4500] udp -P in prio def + 100 none;\n")
    for v, (at_a, at_b, mine) in zip((4, 6), owners):
        assert a.ping(FAMILIES[v][1], 2) == 2
        for packet in (IKE, b"", b"abcd"):
            at_b.sendto(packet, (mine, 4500))
            assert at_a.recv(1 << 16) == packet
        netlab.tcp(a, b, FAMILIES[v][1], 100_000)
    a.setkey("flush;\n")
    esp = b"\0\0\x10\x01" + bytes(40)
    wait_for("no rule", lambda: "tproxy" not in a.run("nft", "list", "ruleset"))
    for at_a, at_b, mine in owners:
        at_b.sendto(esp, (mine, 4500))
        assert at_a.recv(1 << 16) == esp


def super_datagrams(a, b, version):
    """UDP datagrams by UDP_SEGMENT, 40 at once; all arrive, as they were sent."""
    x, y = FAMILIES[version]
    out, into = udp(a, x, 7000), udp(b, y, 7000)
    row = [bytes([i]) * 1200 for i in range(40)]
    for _ in range(400):
        out.sendmsg([b"".join(row)], [(17, 103, struct.pack("H", 1200))], 0, (y, 7000))
        assert [into.recv(1 << 16) for _ in row] == row


def test_super_packets_stay_whole(lab):
    """TCP and UDP over ESP in UDP: few calls for many packets, from the wire and into the TUN."""
    w, a, b = netlab.two_hosts(lab)
    for h in (a, b):
        h.start()
    for v in (4, 6):
        protect(a, b, v)
        for traffic in (lambda: netlab.tcp(a, b, FAMILIES[v][1], 30_000_000, timeout=30),
                        lambda: super_datagrams(a, b, v)):
            before = {n: io(b, n) for n in ("udp-recv", "tun-write", "engine-in")}
            traffic()
            for name in before:
                now = io(b, name)
                calls = now["calls"] - before[name]["calls"]
                packets = now["packets"] - before[name]["packets"]
                assert packets > 15_000 and packets / calls > 8, (v, name, packets, calls)
    for h in (a, b):
        assert {d["name"] for d in h.stats()["drops"] if d["count"]} <= {"in-path-mtu-probe"}


def test_two_workers_share_the_peers(lab):
    w, a, b = netlab.two_hosts(lab)
    for h in (a, b):
        h.start("workers 2\n")
    for v in (4, 6):
        protect(a, b, v)
        assert a.ping(FAMILIES[v][1], 3) == 3 and b.ping(FAMILIES[v][0], 3) == 3
        netlab.tcp(a, b, FAMILIES[v][1], 1_000_000)
        netlab.tcp(b, a, FAMILIES[v][0], 1_000_000)

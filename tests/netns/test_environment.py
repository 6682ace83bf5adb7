"""testudo beside what hosts have: rp_filter, one family only, NAT, firewalls, marks."""
import subprocess

import pytest

import keys
import netlab
from netlab import tcp, udp


def pair(lab, four=True, six=True, prepare=lambda h: None):
    w, a, b = netlab.two_hosts(lab, four=four, six=six)
    prepare(a)
    a.start()
    b.start()
    for A, B, want, spi in (("10.1.1.1", "20.1.1.1", four, 0x1000), ("fd10::1", "fd20::1", six, 0x1010)):
        if want:
            sas, pa, pb = keys.transport(A, B, spi=spi)
            a.setkey(sas + pa)
            b.setkey(sas + pb)
    return w, a, b


def works(w, a, b, four=True, six=True):
    with w.capture() as c:
        for A, B, want in (("10.1.1.1", "20.1.1.1", four), ("fd10::1", "fd20::1", six)):
            if want:
                assert a.ping(B, 2) == 2 and b.ping(A, 2) == 2
                tcp(a, b, B)
                tcp(b, a, A)
                udp(a, b, B, 4000)
    leaks = c.clear(["10.1.1.1", "20.1.1.1", "fd10::1", "fd20::1"])
    assert not leaks, leaks[:5]


@pytest.mark.parametrize("value", [0, 1, 2])
def test_rp_filter(lab, value):
    def prepare(h):
        h.sysctl("net.ipv4.conf.all.rp_filter", value)
        h.sysctl("net.ipv4.conf.default.rp_filter", value)

    works(*pair(lab, prepare=prepare))


@pytest.mark.parametrize("value", [0, 1, 2])
def test_rp_filter_on_gateways(lab, value):
    w, gws, (h1, h2) = netlab.two_gateways(lab)
    for g in gws:
        g.sysctl("net.ipv4.conf.all.rp_filter", value)
        g.start()
    sas, p1, p2 = keys.tunnel("10.0.1.0/24", "10.0.2.0/24", "20.0.0.1", "20.0.0.2")
    gws[0].setkey(sas + p1)
    gws[1].setkey(sas + p2)
    assert h1.ping("10.0.2.5", 2) == 2 and h2.ping("10.0.1.5", 2) == 2
    tcp(h1, h2, "10.0.2.5")


def test_ipv4_only(lab):
    def prepare(h):
        h.sysctl("net.ipv6.conf.all.disable_ipv6", 1)
        h.sysctl("net.ipv6.conf.default.disable_ipv6", 1)

    works(*pair(lab, six=False, prepare=prepare), six=False)


def test_ipv6_only(lab):
    w, a, b = pair(lab, four=False, prepare=lambda h: h.ip("addr", "flush", "dev", "lo", "scope", "host"))
    works(w, a, b, four=False)


def test_masquerade(lab):
    """A masquerade rule on the WAN neither rewrites ESP nor the inner packets."""
    w, (g1, g2), (h1, h2) = netlab.two_gateways(lab)
    for g in (g1, g2):
        g.nft(f"table ip nat {{ chain post {{ type nat hook postrouting priority srcnat; "
              f"oifname {g.dev} masquerade; }}; }}")
        g.start()
    sas, p1, p2 = keys.tunnel("10.0.1.0/24", "10.0.2.0/24", "20.0.0.1", "20.0.0.2")
    g1.setkey(sas + p1)
    g2.setkey(sas + p2)
    with w.capture() as c:
        assert h1.ping("10.0.2.5", 2) == 2 and h2.ping("10.0.1.5", 2) == 2
        tcp(h1, h2, "10.0.2.5")
        tcp(h2, h1, "10.0.1.5")
    assert not c.clear(["10.0.0.0/16", "20.0.0.0/24"])
    assert {p.src for p in c.esp(["20.0.0.0/24"])} == {"20.0.0.1", "20.0.0.2"}
    # Traffic that no policy covers is still masqueraded.
    with w.capture() as c:
        h1.ping("20.0.0.2", 1)
    assert {p.src for p in c.between(["10.0.0.0/16", "20.0.0.0/24"]) if p.dst == "20.0.0.2"} == {"20.0.0.1"}


def test_input_policy_drop(lab):
    """A firewall that lets in only ESP (and neighbour discovery) from outside."""
    def prepare(h):
        h.nft("table inet fw { chain i { type filter hook input priority 0; policy drop; "
              "iif lo accept; iifname testudo0 accept; meta l4proto esp accept; "
              "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept; }; }")

    works(*pair(lab, prepare=prepare))


@pytest.mark.parametrize("priority", ["-150", "-80", "0"])
def test_marks_of_others(lab, priority):
    """Another program writes the whole mark, before or after testudo: no leak either way."""
    w, a, b = pair(lab)
    a.nft(f"table inet other {{ chain o {{ type filter hook output priority {priority}; "
          "meta mark set 0x5; }; }")
    with w.capture() as c:
        got = a.ping("20.1.1.1", 2), a.ping("fd20::1", 2)
    assert not c.clear(["10.1.1.1", "20.1.1.1", "fd10::1", "fd20::1"])
    if int(priority) < -90:
        assert got == (2, 2), "a mark set before testudo must be kept and not disturb"
    elif got != (2, 2):
        assert a.drops("guard") > 0


def test_marks_with_routing(lab):
    """Somebody else's fwmark rule and mark live beside testudo's bits."""
    w, a, b = pair(lab)
    a.ip("rule", "add", "fwmark", "0x5/0xff", "lookup", "main", "priority", "100")
    a.nft("table inet other { chain o { type route hook output priority mangle; "
          "meta mark set meta mark & 0xffffff00 | 0x5; }; }")
    works(w, a, b)


def test_second_daemon_is_refused(lab):
    w, a, b = pair(lab)
    out = a.run(netlab.TESTUDOD, "-f", "/dev/null", check=False, timeout=10)
    assert "already runs" in out
    works(w, a, b)


def test_without_a_tun_device_the_cause_is_named(lab):
    w, a, b = netlab.two_hosts(lab)
    hide = "mount -t tmpfs none /dev/net && exec \"$@\" -f /dev/null"
    out = a.run("unshare", "-m", "sh", "-c", hide, "sh", netlab.TESTUDOD, check=False, timeout=10)
    assert "cannot create testudo0 through /dev/net/tun: No such file or directory" in out
    assert "modprobe tun" in out


def test_uncovered_traffic_stays_in_the_kernel(lab):
    w, a, b = netlab.two_hosts(lab)
    a.start()
    a.setkey("spdadd 10.1.1.1[7] 20.1.1.1 tcp -P out ipsec esp/transport//require;")
    before = a.stat("out-packets")
    assert a.ping("20.1.1.1", 3) == 3
    udp(a, b, "20.1.1.1", 100)
    tcp(a, b, "20.1.1.1")
    assert a.stat("out-packets") == before


def test_none_exception_goes_out_in_clear(lab):
    """The FAQ's example 8 idea: 'none' before a general rule."""
    w, a, b = netlab.two_hosts(lab)
    a.start()
    b.start()
    sas, pa, pb = keys.transport("10.1.1.1", "20.1.1.1")
    a.setkey(sas + "spdadd 10.1.1.1 20.1.1.1[5001] tcp -P out none;\n"
             "spdadd 20.1.1.1[5001] 10.1.1.1 tcp -P in none;\n" + pa)
    b.setkey(sas + "spdadd 20.1.1.1[5001] 10.1.1.1 tcp -P out none;\n"
             "spdadd 10.1.1.1 20.1.1.1[5001] tcp -P in none;\n" + pb)
    with w.capture() as c:
        tcp(a, b, "20.1.1.1", port=5001, size=3_000_000)
        assert a.ping("20.1.1.1", 2) == 2
    assert {p.proto for p in c.between(["10.1.1.1", "20.1.1.1"])} == {6, 50}


CROWD = """
import os, resource, socket, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
count = 1100
try:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
except OSError:
    count = 60  # a user namespace with one user: nobody is a stranger, so only a small crowd
socks = []
for name in sys.argv[1:]:
    for i in range(count):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.setblocking(False)
        for _ in range(200):
            try:
                s.connect("\\0" + name)
                break
            except BlockingIOError:
                time.sleep(0.005)
        socks.append(s)
print("there", flush=True)
time.sleep(30)
"""


def test_crowd_does_not_lock_root_out(lab):
    w, a, b = netlab.two_hosts(lab)
    a.start()
    p = a.popen("/usr/bin/python3", "-c", CROWD, "testudo/pfkey", "testudo/ctl",
                stdout=subprocess.PIPE)
    assert p.stdout.readline().strip() == b"there"
    a.setkey("add 10.1.1.1 20.1.1.1 esp 0x900 -E null;\n")
    assert a.stats()["drops"] is not None

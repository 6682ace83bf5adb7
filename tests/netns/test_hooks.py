"""What firewall rules see (D7): testudod(8) has this as a table, FIREWALLS.

A user's own table counts, in every hook, which protocols pass by which devices.
"""
import json

import pytest

import keys
import netlab
from netlab import tcp, tcp_fails

A4, B4, A6, B6 = "10.1.1.1", "20.1.1.1", "fd10::1", "fd20::1"
TUN = "testudo0"
HOOKS = {"prerouting": "i", "input": "i", "forward": "io", "output": "o", "postrouting": "o"}
PROTOS = ("clear", "esp", "ah", "comp")


def count_everything(host, devices):
    """Counters hook_input device_output device_protocol."""
    text, counters = "", ""
    for hook, sides in HOOKS.items():
        rules = ""
        for i in devices if "i" in sides else [""]:
            for o in devices if "o" in sides else [""]:
                for proto in PROTOS:
                    name = "_".join((hook, i or "-", o or "-", proto))
                    match = "{ icmp, icmpv6 }" if proto == "clear" else proto
                    counters += f'counter {name} {{ }}\n'
                    rules += (f'iifname "{i}" ' if i else "") + (f'oifname "{o}" ' if o else "")
                    rules += f"meta l4proto {match} counter name {name}\n"
        # Neighbour discovery is no part of this.
        text += (f"chain {hook} {{ type filter hook {hook} priority filter;\n"
                 f"icmpv6 type {{ 130-137, 143 }} accept\n{rules} }}\n")
    host.nft(f"table inet user {{\n{counters}{text} }}")


def counted(host):
    """The counters that are not 0; they begin anew."""
    out = json.loads(host.run("nft", "-j", "reset", "counters", "table", "inet", "user"))
    return {c["counter"]["name"].replace("_", " "): c["counter"]["packets"]
            for c in out["nftables"] if "counter" in c and c["counter"]["packets"]}


def hosts(lab, request="esp/transport//require"):
    w, a, b = netlab.two_hosts(lab)
    for h in (a, b):
        h.start()
    for A, B, spi in ((A4, B4, 0x1000), (A6, B6, 0x1010)):
        sas, pa, pb = keys.transport(A, B, spi=spi)
        a.setkey(sas + pa)
        b.setkey(sas + pb)
        assert a.ping(B, 1) == 1
    return w, a, b


@pytest.mark.parametrize("mine,peer", [(A4, B4), (A6, B6)])
def test_d07_hooks_of_a_host(lab, mine, peer):
    """Each packet is seen twice: as the application has it and as the wire has it."""
    w, a, b = hosts(lab)
    count_everything(a, [a.dev, TUN])
    assert a.ping(peer, 3) == 3
    assert counted(a) == {
        f"output - {a.dev} clear": 3, f"postrouting - {TUN} clear": 3,
        f"output - {a.dev} esp": 3, f"postrouting - {a.dev} esp": 3,
        f"prerouting {a.dev} - esp": 3, f"input {a.dev} - esp": 3,
        f"prerouting {TUN} - clear": 3, f"input {TUN} - clear": 3,
    }


@pytest.mark.parametrize("h1_h2", [("10.0.1.5", "10.0.2.5"), ("fd01::5", "fd02::5")])
def test_d07_hooks_of_a_gateway(lab, h1_h2):
    w, (g1, g2), (h1, h2) = netlab.two_gateways(lab)
    for n1, n2, gw1, gw2, spi in (("10.0.1.0/24", "10.0.2.0/24", "20.0.0.1", "20.0.0.2", 0x2000),
                                  ("fd01::/64", "fd02::/64", "fd20::1", "fd20::2", 0x2010)):
        sas, p1, p2 = keys.tunnel(n1, n2, gw1, gw2, spi=spi)
        for g, p in ((g1, p1), (g2, p2)):
            if g.daemon is None:
                g.start()
            g.setkey(sas + p)
    assert h1.ping(h1_h2[1], 1) == 1
    count_everything(g1, [g1.dev, "lan", TUN])
    assert h1.ping(h1_h2[1], 3) == 3
    assert counted(g1) == {
        "prerouting lan - clear": 3, f"forward lan {TUN} clear": 3, f"postrouting - {TUN} clear": 3,
        f"output - {g1.dev} esp": 3, f"postrouting - {g1.dev} esp": 3,
        f"prerouting {g1.dev} - esp": 3, f"input {g1.dev} - esp": 3,
        f"prerouting {TUN} - clear": 3, f"forward {TUN} lan clear": 3, "postrouting - lan clear": 3,
    }


FIREWALL = """
table inet firewall {
    chain input {
        type filter hook input priority filter; policy drop;
        icmpv6 type { 133-137 } accept
        meta l4proto { esp, ah, comp } accept
        iifname "testudo0" ct state established,related accept
        iifname "testudo0" tcp dport 5001 accept
    }
    chain output {
        type filter hook output priority filter; policy accept;
        tcp dport 5009 drop
    }
}
"""


@pytest.mark.parametrize("mine,peer", [(A4, B4), (A6, B6)])
def test_d07_a_firewall_lets_in_what_came_protected(lab, mine, peer):
    """The rules of the manual: IPsec from the wire, and by the TUN what services are for."""
    w, a, b = hosts(lab)
    a.nft(FIREWALL)
    tcp(b, a, mine)                       # to the service that is open
    tcp(a, b, peer)                       # answers
    assert tcp_fails(b, a, mine, port=5002)  # another service
    assert tcp_fails(a, b, peer, port=5009)  # judged before it is protected
    a.nft("flush chain inet firewall input")  # policy drop: neither protocol comes in
    with w.capture() as c:
        assert b.ping(mine, 2) == 0
    assert c.esp([A4, B4, A6, B6]) and not c.clear([A4, B4, A6, B6])


def test_d07_rules_about_the_wire_see_protected_packets(lab):
    w, a, b = hosts(lab)
    a.nft(f'table inet firewall {{ chain o {{ type filter hook output priority filter; '
          f'oifname "{a.dev}" meta l4proto esp drop; }}; }}')
    with w.capture() as c:
        assert a.ping(B4, 2) == 0 and a.ping(B6, 2) == 0
    assert not [p for p in c.between([A4, B4, A6, B6]) if p.src in (A4, A6)]


def test_d07_masquerading_leaves_protected_packets_alone(lab):
    """NAT on the wire's device would break AH, and the tunnel's end for ESP."""
    w, (g1, g2), (h1, h2) = netlab.two_gateways(lab)
    sas, p1, p2 = keys.tunnel("10.0.1.0/24", "10.0.2.0/24", "20.0.0.1", "20.0.0.2")
    for g, p in ((g1, p1), (g2, p2)):
        g.start()
        g.setkey(sas + p)
        g.address("lo", "198.51.100.1/32")
        g.nft(f'table ip nat {{ chain p {{ type nat hook postrouting priority srcnat; '
              f'oifname "{g.dev}" snat to 198.51.100.1; }}; }}')
    with w.capture() as c:
        assert h1.ping("10.0.2.5", 3) == 3 and h2.ping("10.0.1.5", 3) == 3
        tcp(h1, h2, "10.0.2.5")
    seen = {(p.src, p.dst) for p in c.between(["10.0.0.0/16", "20.0.0.0/24", "198.51.100.1"])}
    assert seen == {("20.0.0.1", "20.0.0.2"), ("20.0.0.2", "20.0.0.1")}

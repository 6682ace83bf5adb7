"""AH, ESP and IPComp in any order and number, transport and tunnel, one tunnel in another: required
in both directions, seen by a third person, and refused when one of the headers is missing."""
import itertools

import pytest

import netlab
from netlab import all_drops, tcp, tcp_fails, udp

AH, ESP, COMP = 51, 50, 108
HOST = {4: ("10.1.1.1", "20.1.1.1"), 6: ("fd10::1", "fd20::1")}
GATES = {4: ("20.0.0.1", "20.0.0.2"), 6: ("fd20::1", "fd20::2")}
SECOND = {4: ("30.0.0.1", "30.0.0.2"), 6: ("fd30::1", "fd30::2")}
NETS = {4: ("10.0.1.0/24", "10.0.2.0/24"), 6: ("fd01::/64", "fd02::/64")}
ENDS = {4: ("10.0.1.5", "10.0.2.5"), 6: ("fd01::5", "fd02::5")}

KEYS = {"esp": "-E aes-cbc 0x{0:032x} -A hmac-sha256 0x{0:064x}", "ah": "-A hmac-sha1 0x{0:040x}",
        "ipcomp": "-C deflate"}

# Requests, the innermost first: protocol/mode/level; a tunnel is between the hosts or gateways, or,
# as tunnel2, between their second addresses.  Then what the wire shows.
SHAPES = {
    "ah": (["ah/transport/require"], (AH,)),
    "esp-ah": (["esp/transport/use", "ah/transport/use"], (AH, ESP)),
    "ah-esp": (["ah/transport/require", "esp/transport/require"], (ESP,)),
    "esp-esp": (["esp/transport/require", "esp/transport/require"], (ESP,)),
    "ah-ah": (["ah/transport/require", "ah/transport/require"], (AH, AH)),
    "ah.tunnel": (["ah/tunnel/require"], (AH,)),
    "esp.tunnel-ah": (["esp/tunnel/use", "ah/transport/require"], (AH, ESP)),
    "ah.tunnel-esp": (["ah/tunnel/require", "esp/transport/require"], (ESP,)),
    "ah-esp.tunnel": (["ah/transport/require", "esp/tunnel/require"], (ESP,)),
    "comp-esp": (["ipcomp/transport/use", "esp/transport/require"], (ESP,)),
    "comp-esp-ah": (["ipcomp/transport/use", "esp/transport/require", "ah/transport/require"],
                    (AH, ESP)),
    "comp.tunnel-esp": (["ipcomp/tunnel/use", "esp/transport/require"], (ESP,)),
    "comp.tunnel-esp-ah": (["ipcomp/tunnel/require", "esp/transport/require",
                            "ah/transport/require"], (AH, ESP)),
    "comp-esp.tunnel-ah": (["ipcomp/transport/use", "esp/tunnel/require", "ah/transport/require"],
                           (AH, ESP)),
}
TUNNELS = {
    "ah": (["ah/tunnel/require"], (AH,)),
    "esp-ah": (["esp/tunnel/use", "ah/transport/require"], (AH, ESP)),
    "comp-esp-ah": (["ipcomp/tunnel/use", "esp/transport/require", "ah/transport/require"],
                    (AH, ESP)),
    "esp-in-esp": (["esp/tunnel2/require", "esp/tunnel/require"], (ESP,)),
    "ah-in-esp": (["ah/tunnel2/require", "esp/tunnel/require"], (ESP,)),
    "esp-in-ah": (["esp/tunnel2/require", "ah/tunnel/require"], (AH,)),
    "comp-in-esp": (["ipcomp/tunnel2/use", "esp/tunnel/require"], (ESP,)),
}


class Bundle:
    """SAs and policies of requests for traffic between two sides."""

    def __init__(self, requests, sides, ends, second=None, spi=0x1000):
        self.requests, self.sides, self.ends, self.second = requests, sides, ends, second
        self.spi = spi

    def addresses(self, mode, side):
        e = self.second if mode == "tunnel2" else self.ends
        return e if side == 0 else e[::-1]

    def sas(self):
        text = ""
        for i, r in enumerate(self.requests):
            proto, mode, _ = r.split("/")
            for side in (0, 1):
                src, dst = self.addresses(mode, side)
                spi = self.spi + 2 * i + side
                text += (f"add {src} {dst} {proto} {spi} -m {mode.rstrip('2')} -u {i + 1} "
                         f"{KEYS[proto].format(spi)};\n")
        return text

    def policy(self, verb, here, direction, left=None):
        """The policy of side here; left: the numbers of the requests that are kept."""
        side = here if direction == "out" else 1 - here
        text = f"{verb} {self.sides[side]} {self.sides[1 - side]} any -P {direction} ipsec"
        for i, r in enumerate(self.requests):
            proto, mode, level = r.split("/")
            if left is not None and i not in left:
                continue
            level = f"unique:{i + 1}" if level == "require" else level
            if mode == "transport" and self.sides == self.ends:
                text += f" {proto}/transport//{level}"
            else:
                src, dst = self.addresses(mode, side)
                text += f" {proto}/{mode.rstrip('2')}/{src}-{dst}/{level}"
        return text + ";\n"

    def load(self, host, here):
        host.setkey(self.sas() + self.policy("spdadd", here, "out") +
                    self.policy("spdadd", here, "in"))


def two_hosts(lab, shape, af, **kw):
    w, a, b = netlab.two_hosts(lab, **kw)
    bundle = Bundle(SHAPES[shape][0], HOST[af], HOST[af])
    for i, h in enumerate((a, b)):
        h.start()
        bundle.load(h, i)
    return w, a, b, bundle


def two_gateways(lab, shape, inner, outer, **kw):
    w, gws, hosts = netlab.two_gateways(lab, **kw)
    bundle = Bundle(TUNNELS[shape][0], NETS[inner], GATES[outer], SECOND[outer])
    for i, g in enumerate(gws):
        g.address("lo", SECOND[outer][i] + ("/32" if outer == 4 else "/128"))
        g.ip(f"-{outer}", "route", "add", SECOND[outer][1 - i], "via", GATES[outer][1 - i])
        g.start()
        bundle.load(g, i)
    return w, gws, hosts, bundle


def traffic(a, b, A, B):
    assert a.ping(B, 3) == 3 and b.ping(A, 3) == 3
    # A sender of forwarded fragments learns the size first.
    netlab.wait_for("large packets", lambda: a.ping(B, 1, size=4000) == 1, 5)
    tcp(a, b, B)
    tcp(b, a, A)
    udp(a, b, B, 1200)
    udp(b, a, A, 20000)


@pytest.mark.parametrize("af", [4, 6])
@pytest.mark.parametrize("shape", SHAPES)
def test_between_hosts(lab, shape, af):
    w, a, b, bundle = two_hosts(lab, shape, af)
    A, B = HOST[af]
    with w.capture() as c:
        traffic(a, b, A, B)
    assert not all_drops(a, b)
    assert not c.clear([A, B], SHAPES[shape][1])
    assert len(c.between([A, B])) > 20


@pytest.mark.parametrize("inner,outer", [(4, 4), (6, 6), (4, 6), (6, 4)])
@pytest.mark.parametrize("shape", TUNNELS)
def test_between_networks(lab, shape, inner, outer):
    w, gws, (h1, h2), bundle = two_gateways(lab, shape, inner, outer)
    A, B = ENDS[inner]
    with w.capture() as c:
        traffic(h1, h2, A, B)
    assert not all_drops(*gws)
    assert not c.between(NETS[inner]) and not c.between(SECOND[outer])
    assert not c.clear(GATES[outer], TUNNELS[shape][1])
    assert len(c.between(GATES[outer])) > 20


@pytest.mark.parametrize("af", [4, 6])
@pytest.mark.parametrize("shape", ["ah.tunnel", "esp.tunnel-ah"])
def test_d01_ah_tunnels_satisfy_policies_that_require_them(lab, shape, af):
    """What KAME rejected: the outer header's authentication is not forgotten with that header."""
    w, a, b, bundle = two_hosts(lab, shape, af)
    A, B = HOST[af]
    assert a.ping(B, 3) == 3
    tcp(a, b, B)
    assert not all_drops(a, b)
    # Any SA is not enough, what FAST took: ESP of the bundle without its AH, and the other way.
    for kept in range(len(bundle.requests)) if len(bundle.requests) > 1 else []:
        before = a.drops("in-wrong-protection")
        b.setkey(bundle.policy("spdupdate", 1, "out", {kept}))
        replies = b.ping(A, 2)
        optional = [i for i, r in enumerate(bundle.requests) if r.endswith("use")]
        if {kept} | set(optional) >= set(range(len(bundle.requests))):
            assert replies == 2
        else:
            assert replies == 0 and a.drops("in-wrong-protection") == before + 2


@pytest.mark.parametrize("af", [4, 6])
@pytest.mark.parametrize("shape", ["esp-ah", "ah-esp", "esp-esp", "ah.tunnel-esp", "comp-esp-ah",
                                   "comp.tunnel-esp-ah"])
def test_a_missing_header_is_noticed(lab, shape, af):
    """The peer leaves out some headers, or all; only IPComp and level use may be missing."""
    w, a, b, bundle = two_hosts(lab, shape, af)
    A, B = HOST[af]
    assert a.ping(B, 1) == 1
    n = len(bundle.requests)
    needed = {i for i, r in enumerate(bundle.requests)
              if r.endswith("require") and not r.startswith("ipcomp")}
    for count in range(1, n):
        for kept in itertools.combinations(range(n), count):
            b.setkey(bundle.policy("spdupdate", 1, "out", set(kept)))
            before = a.drops("in-wrong-protection") + a.drops("in-clear-but-required")
            if set(kept) >= needed:
                assert b.ping(A, 2) == 2, kept
            else:
                assert b.ping(A, 2) == 0, kept
                assert a.drops("in-wrong-protection") + a.drops("in-clear-but-required") == \
                    before + 2, kept
    b.setkey("spdflush;")
    before = a.drops("in-clear-but-required")
    if needed:
        assert b.ping(A, 2) == 0 and tcp_fails(b, a, A)
        assert a.drops("in-clear-but-required") > before
    else:
        assert b.ping(A, 2) == 2

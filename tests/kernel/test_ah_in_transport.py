"""AH, and on it ESP or IPComp on the same IP header: why Linux takes no such packet, its own ones
neither.  It checks AH while the IP header still has the number of the header that it has just
taken off (docs/bundle-matrix.md).  Nothing that can be said to ip(8) changes that."""
import hashlib
import hmac
import struct

import packets as pk
import pytest
from algorithms import Pair
from stack import Layer, Stack, mac

NUMBER = {"ah": 51, "esp": 50}
PING = pk.Ping(b"inside of both")
FAMILIES = (4, 6)


def stack(inner):
    return Stack([Layer("ah", None, mac("hmac-sha256", 256), "flag align4" if inner == 4 else ""),
                  Layer("esp", None, Pair("null", 0, "hmac-sha256", 256))], inner)


def icv(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()[:16]


def by_hand(c, seq, covered):
    """The packet; covered: the protocol in the IP header of which AH computes its ICV."""
    af = c.inner
    plain = PING.request(c, seq)
    body = plain[pk.HEADER[af]:]
    (ah_key, esp_key), pad = (c.keys[i][0][1] for i in range(2)), b"" if af == 4 else bytes(4)
    ah = struct.pack("!BBHII", pk.ICMP_OF[af], (28 + len(pad)) // 4 - 2, 0, c.spis[0][0], seq)
    whole = pk.ip(c.us, c.guest, covered, ah + bytes(16) + pad + body)
    head = bytearray(whole[:pk.HEADER[af]])
    # RFC 4302 3.3.3.1: what may change on the way counts as zero.
    for at in ((1, 6, 7, 8, 10, 11) if af == 4 else (1, 2, 3, 7)):
        head[at] = 0
    if af == 6:
        head[0] = 0x60
    ah += icv(ah_key, bytes(head) + whole[pk.HEADER[af]:]) + pad + body
    esp = struct.pack("!II", c.spis[1][0], seq) + ah
    n = -(len(ah) + 2) % 4
    esp += bytes(range(1, n + 1)) + bytes([n, NUMBER["ah"]])
    return pk.ip(c.us, c.guest, NUMBER["esp"], esp + icv(esp_key, esp))


def received(lab, c, wire):
    """What the guest's states and counters say of a packet."""
    before = lab.stat_changes()
    lab.transfer([wire], 0, [wire])
    lab.guest.run("true")
    now, states = lab.stat_changes(), lab.states()
    return {k: v - before.get(k, 0) for k, v in now.items() if v != before.get(k, 0)}, \
        [(states[i]["packets"], states[i]["failed"]) for i, _ in c.spis]


REFUSED = {"XfrmInStateProtoError": 1}


@pytest.fixture
def placed(lab):
    def place(inner):
        c = stack(inner)
        lab.place([c])
        return c
    return place


@pytest.mark.parametrize("inner", FAMILIES)
def test_ah_is_what_fails(lab, placed, inner):
    """ESP is opened and counted; AH has another ICV than the guest computes.  The packet made by
    hand is what the engine makes, and takes."""
    c = placed(inner)
    sealed = lab.seal(c, PING.request(c, 1))
    assert received(lab, c, sealed) == (REFUSED, [(0, 1), (1, 0)])
    assert received(lab, c, by_hand(c, 2, NUMBER["ah"])) == (REFUSED, [(0, 2), (2, 0)])
    lab.twin.ok("flush")
    lab.twin.ok("local", c.guest)
    for i, proto in enumerate(("ah", "esp")):
        words = c.layers[i].our_words(*c.keys[i][0])
        lab.twin.ok("setkey", f"add {c.us} {c.guest} {proto} {c.spis[i][0]} -m transport -r 8 {words};")
    lab.twin.ok("setkey", f"spdadd {c.us} {c.guest} any -P in ipsec ah/transport//require esp/transport//require;")
    assert lab.twin.packet("in", by_hand(c, 3, NUMBER["ah"])) == ("pass", PING.request(c, 3))
    assert lab.twin.packet("in", by_hand(c, 4, NUMBER["esp"])) == ("drop", "in-icv-mismatch")


@pytest.mark.parametrize("inner", FAMILIES)
@pytest.mark.parametrize("policy", ["none", "use", "any"])
def test_no_policy_helps(lab, guest, placed, inner, policy):
    """Without a policy, with templates that are optional, with states of any reqid."""
    c = placed(inner)
    guest.run("ip xfrm policy flush")
    if policy != "none":
        level = " level use" if policy == "use" else ""
        guest.ip([f"xfrm policy add src {c.us} dst {c.guest} dir in" +
                  "".join(f" tmpl proto {p} mode transport{level}" for p in ("ah", "esp"))])
    assert received(lab, c, lab.seal(c, PING.request(c, 1))) == (REFUSED, [(0, 1), (1, 0)])


@pytest.mark.parametrize("inner", FAMILIES)
def test_with_the_wrong_protocol_linux_takes_it(lab, placed, inner):
    c = placed(inner)
    got, others = lab.transfer([by_hand(c, 1, NUMBER["esp"])], 1)
    assert not others and len(got[c.spi_out]) == 1
    # What comes back is as it should be.
    word, value = lab.engine.packet("in", got[c.spi_out][0])
    assert word == "pass" and PING.answered_by(pk.Answer(value), c, 1)
    assert lab.stat_changes() == {}

"""ESP in UDP (RFC 3948) against Linux, in both forms, over IPv4 and IPv6, in both modes; through a NAT
at either end, behind which transport mode needs other checksums; what is not ESP at its port."""
import ipaddress
import struct

import packets as pk
import pytest
import sizes
from algorithms import Pair
from lab import Cell, damage
from packet_shapes import SHAPES

PAIRS = [Pair("aes-gcm-16", 160), Pair("aes-gcm-16", 288), Pair("chacha20-poly1305", 288), Pair("aes-ccm-8", 152),
         Pair("aes-gmac", 160), Pair("aes-cbc", 128, "hmac-sha256", 256), Pair("aes-ctr", 160, "aes-xcbc-mac", 128),
         Pair("3des-cbc", 192, "hmac-sha1", 160), Pair("null", 0, "hmac-md5", 128), Pair("aes-cbc", 256)]
# What guest_echo opened: port of the guest, what ip(8) calls it, our word for it, bytes before ESP.
FORMS = {"udp": (4500, "espinudp", 8), "marker": (500, "espinudp-nonike", 16)}
MODES = [(shape, esn) for esn in (False, True) for shape in SHAPES]
QUESTIONS = [pk.Ping(bytes(range(n))) for n in (0, 1, 2, 3, 6, 7, 14, 15, 100)] + \
    [pk.Largest(), pk.ClosedPort(b"received" * 8), pk.Refused()]
UDP_ECHO = 7


class UdpEcho(pk.Question):
    """A datagram that comes back, with a checksum of its own."""

    def __init__(self, data):
        self.data = data

    def request(self, c, seq):
        return pk.ip(c.us, c.guest, pk.UDP, pk.udp(c.us, c.guest, 10000 + seq, UDP_ECHO, self.data))

    def answered_by(self, a, c, seq):
        return a.proto == pk.UDP and a.data == pk.udp(c.guest, c.us, UDP_ECHO, 10000 + seq, self.data)


def header(wire):
    """(source port, destination port, length, checksum) and where they are"""
    proto, at = pk.payload(wire)
    assert proto == pk.UDP
    return struct.unpack_from("!HHHH", wire, at), at


def with_checksum(wire):
    """IPv6 needs one (RFC 8200 8.1); IPv4 has none (RFC 3948 2.1)."""
    _, at = header(wire)
    if wire[0] >> 4 == 4:
        return wire
    body = wire[at:at + 6] + b"\0\0" + wire[at + 8:]
    return wire[:at] + pk.summed(*pk.addresses(wire), pk.UDP, body, 6)


class UdpCell(Cell):
    word = "udp"

    def __init__(self, pair, shape, esn=False, form="udp"):
        super().__init__(pair, shape, esn)
        self.form = form
        self.guest_port, self.linux_word, self.front = FORMS[form]
        # What each end takes for the port and the address of the other: a NAT's.
        self.options = [], []

    def place(self, n):
        super().place(n)
        self.our_port = 20000 + n % 40000

    def __str__(self):
        return f"{super().__str__()}, {self.linux_word}"

    def engine_sa(self, inbound, last=0):
        ports = (self.guest_port, self.our_port) if inbound else (self.our_port, self.guest_port)
        return super().engine_sa(inbound, last) + [f"{self.form}={ports[0]},{ports[1]}"] + self.options[inbound]

    def encap(self, inbound):
        ports = (self.guest_port, self.our_port) if inbound else (self.our_port, self.guest_port)
        return f" encap {self.linux_word} {ports[0]} {ports[1]} {'0.0.0.0' if self.shape[2] == 4 else '::'}"

    def wire_ok(self, wire, ours):
        ports = (self.our_port, self.guest_port) if ours else (self.guest_port, self.our_port)
        (sport, dport, length, checksum), at = header(wire)
        return (sport, dport) == ports and length == len(wire) - at and with_checksum(wire) == wire and \
            (checksum == 0) == (wire[0] >> 4 == 4) and \
            (self.form == "udp" or wire[at + 8:at + 16] == bytes(8))

    def is_lost(self, wire):
        """xfrm6_udp_encap_rcv() compares what is behind the IP header with the length of that, too: over
        IPv6 Linux has ESP of less than 40 bytes for too small.  test_short_esp..., below."""
        return wire[0] >> 4 == 6 and len(wire) < 40 + self.front + 40

    @staticmethod
    def damage(wire, at):
        return with_checksum(damage(wire, at))


def run(lab, cells, questions):
    lab.place(cells)
    lab.exchange(cells, questions)
    lab.audit(cells)
    bad = [f"{c}: {'; '.join(c.bad)}"[:600] for c in cells if c.bad]
    assert not bad, "\n".join(bad[:20])


def cells(form, shape, esn):
    return [UdpCell(p, shape, esn, form) for p in PAIRS if p.integrity or not esn]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_both_directions(lab, mode, form):
    run(lab, cells(form, *mode), QUESTIONS + [UdpEcho(b"echo" * 30)])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_every_size(wide_lab, mode, form):
    run(wide_lab, cells(form, *mode)[MODES.index(mode) % 3::3], sizes.every())


@pytest.mark.parametrize("form", FORMS)
def test_short_esp_over_ipv6_is_lost_in_linux(lab, guest, form):
    """Which is why such packets are not asked for above: the guest neither opens them nor counts them;
    it sends them itself, and takes one of 40 bytes."""
    c = UdpCell(Pair("null", 0, "hmac-md5", 128), ("transport", 6, 6), False, form)
    lab.place([c])
    for n in (0, 2, 3, 6):
        wire = lab.seal(c, pk.Ping(bytes(n)).request(c, 1))
        assert c.is_lost(wire)
        lab.transfer([wire], 0, [wire])
    guest.run("true")
    assert lab.stat_changes() == {} and lab.states()[c.spi_in]["packets"] == 0
    lab.ask(c, pk.Ping(bytes(7)))
    lab.ask(c, sizes.Exact(18))
    guest.run(f"ping -c 1 -W 1 -s 0 {c.us} >/dev/null 2>&1; true")
    wire = guest.receive(30)
    assert c.is_lost(wire) and c.wire_ok(wire, False)
    assert lab.engine.packet("udp", wire)[0] == "pass"


# ---- through a NAT

def moved(wire, source=None, destination=None, port=None):
    """The packet as a NAT changes it: another address and port of the source, or of the destination."""
    b, (ports, at) = bytearray(wire), header(wire)
    where, size = (12, 4) if wire[0] >> 4 == 4 else (8, 16)
    if destination:
        where += size
    b[where:where + size] = ipaddress.ip_address(source or destination).packed
    struct.pack_into("!H", b, at + (2 if destination else 0), port)
    if size == 4:
        b[10:12] = b"\0\0"
        struct.pack_into("!H", b, 10, pk.checksum(bytes(b[:(b[0] & 15) * 4])))
    return with_checksum(bytes(b))


NAT = {4: "10.81.254.1", 6: "fd81::fffe"}
NAT_PORT = 61234


class Behind(UdpCell):
    """We are behind a NAT (then the guest knows us by its address and port), or the guest is."""

    def __init__(self, pair, shape, who, original, form="udp"):
        """original: the SA has the address from which the checksums were computed"""
        super().__init__(pair, shape, False, form)
        self.who, self.original = who, original

    def __str__(self):
        return f"{super().__str__()}, {self.who} behind a NAT{', original address' * self.original}"

    def place(self, n):
        super().place(n)
        self.nat = NAT[self.shape[2]]
        if self.who == "we":
            # To this address the guest sends, and sums it up.
            self.options = [], [f"oa-dst={self.nat}"] * self.original
            return
        self.real = self.outer_guest
        self.outer_guest, self.guest = self.nat, self.guest if self.tunnel else self.nat
        self.options = [], [f"oa-src={self.real}"] * self.original

    def guest_commands(self):
        """As the guest knows the ends."""
        saved = self.us, self.guest, self.outer_us, self.outer_guest, self.our_port
        if self.who == "we":
            self.outer_us, self.our_port = self.nat, NAT_PORT
            self.us = self.us if self.tunnel else self.nat
        else:
            self.outer_guest = self.real
            self.guest = self.guest if self.tunnel else self.real
        commands = list(super().guest_commands())
        self.us, self.guest, self.outer_us, self.outer_guest, self.our_port = saved
        return commands

    def there(self, wire):
        if self.who == "we":
            return moved(wire, source=self.nat, port=NAT_PORT)
        return moved(wire, destination=self.real, port=self.guest_port)

    def back(self, wire):
        if self.who == "we":
            return moved(wire, destination=self.outer_us, port=self.our_port)
        return moved(wire, source=self.nat, port=self.guest_port)


INSIDE = [pk.Ping(b"ping" * 9), pk.Refused(), UdpEcho(b""), UdpEcho(b"x"), UdpEcho(bytes(range(250)) * 4)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("original", [False, True], ids=["", "original"])
@pytest.mark.parametrize("who", ["we", "the guest"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_d53_through_a_nat(lab, shape, who, original, form):
    """In transport mode the checksums of TCP, UDP and ICMPv6 are those of other addresses: the answers,
    as the engine passes them on, have the right ones, with the original address and without it."""
    for pair in (PAIRS[0], PAIRS[5]):
        c = Behind(pair, shape, who, original, form)
        lab.place([c])
        wires = [c.there(lab.seal(c, q.request(c, n))) for n, q in enumerate(INSIDE)]
        got, others = lab.transfer(wires, len(wires))
        assert not others and len(got[c.spi_out]) == len(wires), (str(c), got, others)
        for n, (q, wire) in enumerate(zip(INSIDE, got[c.spi_out])):
            wire = c.back(wire)
            assert c.wire_ok(wire, False)
            word, value = lab.engine.packet("udp", wire)
            assert word == "pass" and q.answered_by(pk.Answer(value), c, n), (str(c), n, value)
        assert lab.stat_changes() == {}


# ---- what else comes

def datagram(af, src, dst, sport, dport, data):
    return pk.ip(src, dst, pk.UDP, pk.udp(src, dst, sport, dport, data))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("af", [4, 6])
def test_what_is_not_esp(lab, af, form):
    """IKE goes on to whoever has the port, on both sides; keepalives go to nobody."""
    c = UdpCell(PAIRS[0], ("tunnel", af, af), False, form)
    lab.place([c])
    ike = {"udp": bytes(4) + b"cookies!" + bytes(20), "marker": b"cookies!" + bytes(20)}[form]
    ends = (c.outer_us, c.outer_guest, c.our_port, c.guest_port)
    # The keepalive is not answered, the other one is.
    keepalive = datagram(af, *ends, b"\xff")
    got, others = lab.transfer([keepalive, datagram(af, *ends, ike)], 1, [keepalive])
    assert not got and len(others) == 1
    (sport, dport, _, _), at = header(others[0])
    assert (sport, dport) == (c.guest_port, c.our_port) and others[0][at + 8:] == ike
    if form == "udp":
        assert lab.engine.packet("udp", others[0]) == ("drop", "in-udp-not-esp")
        back = datagram(af, c.outer_guest, c.outer_us, c.guest_port, c.our_port, b"\xff")
        assert lab.engine.packet("udp", back) == ("drop", "in-natt-keepalive")
    lab.ask(c, pk.Ping(b"still"))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_each_form_refuses_the_other(lab, guest, shape):
    """States that are not in UDP, and the one that is, take nothing in the other form."""
    udp, bare = UdpCell(PAIRS[0], shape), Cell(PAIRS[0], shape)
    lab.place([udp, bare])
    sealed = {c: lab.seal(c, pk.Ping(b"form").request(c, 1)) for c in (udp, bare)}
    _, at = header(sealed[udp])
    stripped = of_protocol(sealed[udp][:at], 50, sealed[udp][at + 8:])
    body = sealed[bare][pk.HEADER[shape[2]]:]
    wrapped = with_checksum(of_protocol(sealed[bare][:pk.HEADER[shape[2]]], pk.UDP, struct.pack(
        "!HHHH", udp.our_port, udp.guest_port, 8 + len(body), 0) + body))
    lab.transfer([stripped, wrapped], 0, [stripped, wrapped])
    guest.run("true")
    assert lab.stat_changes() == {"XfrmInStateMismatch": 2}


def of_protocol(head, proto, body):
    b = bytearray(head)
    if b[0] >> 4 == 6:
        b[6], b[4:6] = proto, struct.pack("!H", len(body))
        return bytes(b) + body
    b[9], b[2:4], b[10:12] = proto, struct.pack("!H", len(head) + len(body)), b"\0\0"
    b[10:12] = struct.pack("!H", pk.checksum(bytes(b)))
    return bytes(b) + body

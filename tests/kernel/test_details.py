"""What the matrix does not have: windows, the end of the sequence numbers, traffic classes,
headers and fragments inside, padding for secrecy; and that what must not pass does not."""
import struct

import packets as pk
import pytest
from algorithms import Pair
from lab import NEAR, Cell, damage
from packet_shapes import SHAPES

GCM = Pair("aes-gcm-16", 160)
CBC = Pair("aes-cbc", 128, "hmac-sha256", 256)
PING = pk.Ping(b"ping")
TUNNELS = [s for s in SHAPES if s[0] == "tunnel"]


def good(cells):
    for c in cells:
        assert not c.bad, (str(c), c.bad)


def set_knob(lab, name, value):
    lab.engine.ok("knob", f"net.inet.ipsec.{name}", value)
    lab.engine.ok("knob", f"net.inet.ipsec.{name}", value, 6)


def placed(lab, *cells):
    lab.place(cells)
    return cells if len(cells) > 1 else cells[0]


# ---- the tests can fail

@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_other_key_is_refused_by_both(lab, guest, shape):
    wrong, right = placed(lab, Cell(CBC, shape), Cell(CBC, shape))
    keys, wrong.keys = wrong.keys, wrong.keys[::-1]
    guest.run("ip xfrm state flush")
    guest.ip([x for c in (wrong, right) for x in c.guest_commands() if " state " in x])
    wrong.keys = keys
    # The guest drops the first; only the second is answered.
    wires = [lab.seal(c, PING.request(c, 1)) for c in (wrong, right)]
    got, others = lab.transfer(wires, 1)
    assert list(got) == [right.spi_out] and not others
    assert lab.stat_changes() == {"XfrmInStateProtoError": 1}
    assert lab.states()[wrong.spi_in]["failed"] == 1
    # What the guest sends by the wrong key, we drop.
    src, dst = (f"-I {wrong.guest}", wrong.us)
    guest.run(f"ping {src} -c 1 -W 1 {dst} >/dev/null || true")
    p = guest.receive(30)
    assert lab.spi_of(p) == wrong.spi_out
    assert lab.engine.packet("in", p) == ("drop", "in-icv-mismatch")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_clear_packets_are_refused_by_both(lab, guest, shape):
    c = placed(lab, Cell(GCM, shape))
    clear = PING.request(c, 1)
    got, others = lab.transfer([clear, lab.seal(c, PING.request(c, 2))], 1)
    assert [len(v) for v in got.values()] == [1] and not others
    assert lab.stat_changes() == {"XfrmInTmplMismatch": 1}
    # Without its policy the guest answers in clear: the harness sees that, and so do we.
    guest.ip([f"xfrm policy delete src {c.guest} dst {c.us} dir out"])
    lab.exchange([c], [PING])
    assert any("unexpected packet" in b for b in c.bad), c.bad
    answer = pk.ip(c.guest, c.us, pk.ICMP_OF[shape[1]], pk.echo(c.guest, c.us, 1, 1, b"x", answer=True))
    assert lab.engine.packet("clear", answer) == ("drop", "in-clear-but-required")


def test_wrong_tunnel_is_refused_by_both(lab):
    """A packet inside of the SAs of another cell: its policy wants its own."""
    a, b = placed(lab, Cell(GCM, ("tunnel", 4, 4)), Cell(GCM, ("tunnel", 4, 4)))
    us, a.us = a.us, b.us
    lab.engine.ok("flush")
    lab.engine.ok(*a.engine_sa(False))
    lab.engine.ok(*a.engine_sp("out", False))
    wire = lab.seal(a, PING.request(b, 1))
    a.us = us
    lab.engine.ok("flush")
    for c in (a, b):
        c.prepare_engine(lab.engine)
    got, others = lab.transfer([wire, lab.seal(b, PING.request(b, 2))], 1)
    assert [len(v) for v in got.values()] == [1] and not others
    assert lab.stat_changes() == {"XfrmInTmplMismatch": 1}


# ---- sizes, headers, fragments

@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_size_around_the_blocks(lab, shape):
    cells = placed(lab, *(Cell(p, shape, True) for p in (
        GCM, CBC, Pair("3des-cbc", 192, "hmac-sha1", 160), Pair("null", 0, "hmac-sha256", 256))))
    lab.exchange(cells, [pk.Ping(bytes(range(n, 2 * n))) for n in range(70)] +
                 [pk.Ping(bytes(n)) for n in (255, 256, 257, 511, 512, 1023, 1024, 1300)])
    lab.audit(cells)
    good(cells)


def options(length, after=pk.ICMP6):
    """An options header of so many bytes (a multiple of 8) with an option for experiments that
    whoever does not know it skips (RFC 4727 3.5).  Linux accepts no more than 7 bytes of padding."""
    return bytes([after, length // 8 - 1, 0x1e, length - 4]) + bytes(range(length - 4))


def test_ipv6_extension_headers_inside(lab):
    """In transport mode hop-by-hop options stay before ESP, destination options behind them too."""
    chains = [bytes([pk.DSTOPTS]) + options(8), bytes([pk.DSTOPTS]) + options(64),
              bytes([pk.HOPOPTS]) + options(16), bytes([pk.HOPOPTS]) + options(8, pk.DSTOPTS) + options(24)]
    cells = placed(lab, *(Cell(p, s, True) for p in (GCM, CBC) for s in SHAPES if s[1] == 6))
    lab.exchange(cells, [pk.Ping(b"headers" * n, extension=chain) for chain in chains for n in (0, 1, 9)])
    lab.audit(cells)
    good(cells)


def test_ipv4_options_inside(lab):
    fields = [b"\1\1\1\0", bytes([7, 11, 4]) + bytes(8) + b"\0", b"\1" * 39 + b"\0"]
    cells = placed(lab, *(Cell(p, s, True) for p in (GCM, CBC) for s in SHAPES if s[1] == 4))
    lab.exchange(cells, [pk.Ping(b"options" * n, options=o) for o in fields for n in (0, 1, 9)])
    lab.audit(cells)
    good(cells)


@pytest.mark.parametrize("shape", TUNNELS, ids=str)
def test_fragments_inside_of_tunnels(lab, shape):
    """The inner packet comes in two pieces, each protected; the guest joins them and answers."""
    c = placed(lab, Cell(CBC, shape))
    data = bytes(i & 0xff for i in range(1200))
    whole = pk.Ping(data).request(c, 5)
    head = pk.HEADER[shape[1]]
    body, pieces = whole[head:], []
    for at, more in ((0, 1), (640, 0)):
        part = body[at:640] if more else body[at:]
        if shape[1] == 4:
            p = bytearray(pk.ip(c.us, c.guest, pk.ICMP, part, ident=99))
            struct.pack_into("!HHH", p, 6, at // 8 | more << 13, 63 << 8 | pk.ICMP, 0)
            struct.pack_into("!H", p, 10, pk.checksum(bytes(p[:20])))
        else:
            p = pk.ip(c.us, c.guest, 44, struct.pack("!BBHI", pk.ICMP6, 0, at | more, 99) + part)
        pieces.append(lab.seal(c, bytes(p)))
    got, others = lab.transfer(pieces, 1)
    assert not others
    word, value = lab.engine.packet("in", got[c.spi_out][0])
    assert word == "pass" and pk.Ping(data).answered_by(pk.Answer(value), c, 5)


@pytest.mark.parametrize("shape", TUNNELS, ids=str)
def test_padding_for_secrecy_is_removed(lab, shape):
    """RFC 4303 2.7: the guest fills small packets; what is inside says how long it is."""
    for pair in (GCM, CBC):
        c = placed(lab, Cell(pair, shape, state="tfcpad 700"))
        wire = lab.seal(c, PING.request(c, 1))
        got, _ = lab.transfer([wire], 1)
        assert len(got[c.spi_out][0]) > len(wire) + 500
        word, value = lab.engine.packet("in", got[c.spi_out][0])
        assert word == "pass" and PING.answered_by(pk.Answer(value), c, 1)


@pytest.mark.parametrize("shape", TUNNELS, ids=str)
def test_padding_for_secrecy_of_ours(lab, shape):
    """The other way: the guest takes our padding off, and answers."""
    for pair in (GCM, CBC):
        c = placed(lab, Cell(pair, shape))
        set_knob(lab, "tfc_pad", 700)
        try:
            wires = [lab.seal(c, pk.Ping(bytes(n)).request(c, 1)) for n in (0, 1, 300)]
        finally:
            set_knob(lab, "tfc_pad", 0)
        assert len({len(w) for w in wires}) == 1 and len(wires[0]) > 700
        got, others = lab.transfer(wires, 3)
        assert not others
        for wire, n in zip(got[c.spi_out], (0, 1, 300)):
            word, value = lab.engine.packet("in", wire)
            assert word == "pass" and pk.Ping(bytes(n)).answered_by(pk.Answer(value), c, 1)


@pytest.mark.parametrize("shape", [s for s in SHAPES if s[0] == "transport"], ids=str)
def test_dummies_are_dropped(lab, shape):
    """RFC 4303 2.6: the guest drops what announces no next header, and goes on."""
    for pair in (GCM, CBC):
        c = placed(lab, Cell(pair, shape))
        dummies = [lab.seal(c, pk.ip(c.us, c.guest, 59, bytes(n))) for n in (0, 1, 64, 900)]
        got, others = lab.transfer(dummies + [lab.seal(c, PING.request(c, 2))], 1)
        assert not others and len(got[c.spi_out]) == 1
        word, value = lab.engine.packet("in", got[c.spi_out][0])
        assert word == "pass" and PING.answered_by(pk.Answer(value), c, 2)


# ---- sequence numbers

@pytest.mark.parametrize("esn", [False, True], ids=["", "esn"])
@pytest.mark.parametrize("window", [32, 64, 128, 512, 1024, 2048, 4096])
def test_windows(lab, window, esn):
    """The newest packet first, then the oldest one of the window, the one before that, and the
    newest and the oldest one again.  With ESN the 2^32nd packet is in the window, and what is
    left of it is taken for a packet of the next 2^32 (RFC 4303 A2.2), so that its ICV is wrong;
    we say then what it is.
    Powers of two: Linux misplaces the bit of the first packet in a window of another size."""
    c = placed(lab, Cell(GCM, ("tunnel", 6, 4), esn, window))
    plain = [PING.request(c, n) for n in range(window + 9)]
    sealed = [p for _, p in lab.engine.packets("out", plain)]

    def disorder(wires):
        newest, oldest = wires[window + 8], wires[9]
        return [newest, oldest, wires[8], newest, oldest]
    # As a barrier at the end, one more packet.
    got, others = lab.transfer(disorder(sealed) + [lab.seal(c, PING.request(c, 1))], 3)
    assert not others and len(got[c.spi_out]) == 3
    assert lab.stat_changes() == ({"XfrmInStateSeqError": 2, "XfrmInStateProtoError": 1} if esn else
                                  {"XfrmInStateSeqError": 3})
    assert lab.states()[c.spi_in]["packets"] == 3
    # The other way: answers to as many packets, in that order.
    got, others = lab.transfer([p for _, p in lab.engine.packets("out", plain)], len(plain))
    assert not others and len(got[c.spi_out]) == len(plain)
    answers = [(word, value if word == "drop" else "") for word, value in
               lab.engine.packets("in", disorder(got[c.spi_out]))]
    assert answers == [("pass", ""), ("pass", ""), ("drop", "in-replay-too-old"),
                       ("drop", "in-replay-duplicate"), ("drop", "in-replay-duplicate")]


def test_the_last_number(lab, guest):
    """Without ESN both send number 2^32 - 1 and then nothing (RFC 4303 3.3.3)."""
    c = placed(lab, Cell(CBC, ("transport", 4, 4)))
    last = 2**32 - 2
    lab.engine.ok("flush")
    lab.engine.ok(*c.engine_sa(False, last))
    lab.engine.ok(*c.engine_sa(True))
    lab.engine.ok(*c.engine_sp("out", False))
    lab.engine.ok(*c.engine_sp("in", True))
    commands = [x for x in c.guest_commands() if " state " in x]
    guest.run("ip xfrm state flush")
    guest.ip([commands[0], commands[1].replace("replay-window 64", f"replay-window 64 replay-oseq {last:#x}")])
    lab.ask(c, PING)
    assert lab.engine.packet("out", PING.request(c, 2)) == ("drop", "out-sequence-exhausted")
    guest.run(f"ping -c 1 -W 1 {c.us} >/dev/null && exit 1; true")
    assert guest.receive(0.2) is None
    assert lab.stat_changes() == {"XfrmOutStateSeqError": 1}


def test_a_gap_beyond_half_of_the_numbers(lab, guest):
    """ESN: after 2^31 and more lost packets the low half alone is ambiguous; what both infer then
    is the nearer one, and the ICV decides."""
    c = placed(lab, Cell(GCM, ("transport", 6, 6), True))
    # We go on far ahead of what the guest has seen.
    lab.engine.ok("flush")
    lab.engine.ok(*c.engine_sa(False, NEAR + 2**31))
    lab.engine.ok(*c.engine_sp("out", False))
    lab.engine.ok(*c.engine_sa(True))
    lab.engine.ok(*c.engine_sp("in", True))
    got, others = lab.transfer([lab.seal(c, PING.request(c, 1))], 1)
    assert len(got[c.spi_out]) == 1 and not others
    assert lab.states()[c.spi_in]["seq"] == NEAR + 2**31 + 1


# ---- traffic classes of tunnels

TOS = [0x00, 0x01, 0x02, 0x03, 0x28, 0xb8, 0xba, 0xbb]


def tos_of(p):
    return p[1] if p[0] >> 4 == 4 else (p[0] << 4 | p[1] >> 4) & 0xff


def marked(wire, ecn):
    """The packet with another ECN field in its outer header."""
    b = bytearray(wire)
    if b[0] >> 4 == 6:
        b[1] = b[1] & 0xcf | ecn << 4
        return bytes(b)
    b[1] = b[1] & 0xfc | ecn
    b[10:12] = b"\0\0"
    b[10:12] = struct.pack("!H", pk.checksum(bytes(b[:20])))
    return bytes(b)


def set_ecn(lab, value):
    set_knob(lab, "ecn", value)


@pytest.mark.parametrize("shape", TUNNELS, ids=str)
def test_traffic_class_goes_through(lab, shape):
    """RFC 6040 normal mode here: what we put outside the guest reads as it does its own, and
    every congestion mark arrives inside."""
    c = placed(lab, Cell(CBC, shape))
    set_ecn(lab, 2)
    try:
        for tos in TOS:
            question = pk.Ping(b"class", tos=tos)
            wire = lab.seal(c, question.request(c, 1))
            assert tos_of(wire) == tos
            for outer in range(4):
                # A mark on what cannot carry it is not asked of the guest: it ignores it.
                if outer == 3 and tos & 3 == 0:
                    continue
                sent = marked(lab.seal(c, question.request(c, 1)), outer)
                got, _ = lab.transfer([sent], 1)
                answer = got[c.spi_out][0]
                # The answer has the class in which the request arrived: CE if it was marked.
                arrived = tos | 3 if outer == 3 else tos
                # Linux never sends a CE outside (RFC 6040 compatibility of its own kind: ECT(0)).
                assert tos_of(answer) == (arrived if arrived & 3 != 3 else arrived & ~3 | 2)
                # Back: marked on the way, or not.
                for mark in (False, True):
                    again = marked(answer, 3) if mark else answer
                    word, value = lab.engine.packet("in", again)
                    if mark and arrived & 3 == 0:
                        assert (word, value) == ("drop", "in-ecn-mark-lost")
                    else:
                        a = pk.Answer(value)
                        assert word == "pass" and a.tos == (arrived | 3 if mark else arrived), (a, tos, outer, mark)
                    # Each number is accepted once: a new answer for the second half.
                    if not mark:
                        got, _ = lab.transfer([marked(lab.seal(c, question.request(c, 1)), outer)], 1)
                        answer = got[c.spi_out][0]
    finally:
        set_ecn(lab, 0)


@pytest.mark.parametrize("shape", TUNNELS, ids=str)
def test_ecn_forbidden_is_understood(lab, shape):
    """The default: nothing of ECN outside; the guest's inner field stays what it was."""
    c = placed(lab, Cell(GCM, shape))
    for tos in TOS:
        question = pk.Ping(b"class", tos=tos)
        assert tos_of(lab.seal(c, question.request(c, 1))) == tos & 0xfc
        assert lab.ask(c, question).tos == tos


# ---- damage

@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_damaged_byte_is_noticed_by_both(lab, shape):
    for pair in (GCM, CBC, Pair("null", 0, "hmac-sha256", 256)):
        c = placed(lab, Cell(pair, shape, True))
        start = pk.HEADER[shape[2]]
        wire = lab.seal(c, PING.request(c, 1))
        # Not the SPI, which names another SA then.
        bad = [damage(wire, at) for at in range(start + 4, len(wire))]
        got, others = lab.transfer(bad + [wire], 1, bad)
        assert not others and len(got[c.spi_out]) == 1
        stat = lab.stat_changes()
        assert set(stat) <= {"XfrmInStateProtoError", "XfrmInStateSeqError"} and sum(stat.values()) == len(bad), stat
        answer = got[c.spi_out][0]
        for at in range(start + 4, len(answer)):
            word, value = lab.engine.packet("in", damage(answer, at))
            assert word == "drop" and (value == "in-icv-mismatch" or at < start + 8), (at, word, value)
        assert lab.engine.packet("in", answer)[0] == "pass"

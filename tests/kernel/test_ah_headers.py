"""AH and what stands in front of it: fields and options that may change on the way, source routes,
and the alignment of its header; against Linux, both directions."""
import ipaddress
import struct

import packets as pk
import pytest
from lab import damage
from stack import Layer, Stack, mac

SHA1, SHA256 = ("hmac-sha1", 160), ("hmac-sha256", 256)
ALIGN = "flag align4"


def stack(inner, m=SHA256, tunnel=None, **kw):
    return Stack([Layer("ah", tunnel, mac(*m), ALIGN if (tunnel or inner) == 4 else "", **kw)], inner)


def good(cells):
    for c in cells:
        assert not c.bad, (str(c), c.bad)


def placed(lab, *cells):
    lab.place(cells)
    return cells if len(cells) > 1 else cells[0]


# No operation, router alert, record route with room, timestamp, an unknown one that is copied.
OPTIONS4 = [b"\1\1\1\0", b"\x94\4\0\0", b"\7\x0b\4" + bytes(8) + b"\0", b"\x44\x0c\5\0" + bytes(8),
            b"\x9e\4\1\2", b"\1" * 39 + b"\0", b"\x94\4\0\0\7\x0b\4" + bytes(8) + b"\0"]


def test_ipv4_options_in_front(lab):
    """Linux answers with the options that it got, and records its own address in them."""
    cells = placed(lab, *(stack(4, m) for m in (SHA1, SHA256)))
    lab.exchange(cells, [pk.Ping(b"options" * n, options=o) for o in OPTIONS4 for n in (0, 1, 9)])
    lab.audit(cells)
    good(cells)


def option(kind, length, after):
    """An options header of so many bytes with one option."""
    return bytes([after, length // 8 - 1, kind, length - 4]) + bytes(range(length - 4))


def test_ipv6_extension_headers_in_front(lab):
    """Options whose type says that they may change (0x20), and ones that may not (RFC 8200 4.2)."""
    chains = [bytes([pk.HOPOPTS]) + option(kind, n, pk.ICMP6) for kind in (0x1e, 0x3e) for n in (8, 16, 64)]
    chains += [bytes([pk.DSTOPTS]) + option(kind, n, pk.ICMP6) for kind in (0x1e, 0x3e) for n in (8, 24)]
    chains += [bytes([pk.HOPOPTS]) + option(0x3e, 16, pk.DSTOPTS) + option(0x1e, 8, pk.ICMP6)]
    cells = placed(lab, *(stack(6, m) for m in (SHA1, SHA256)))
    lab.exchange(cells, [pk.Ping(b"headers" * n, extension=chain) for chain in chains for n in (0, 1, 9)])
    lab.audit(cells)
    good(cells)


def changed(wire, at, value):
    """The packet with other bytes there, and the checksum of its IPv4 header."""
    b = bytearray(wire)
    b[at:at + len(value)] = value
    if b[0] >> 4 == 4:
        b[10:12] = b"\0\0"
        b[10:12] = struct.pack("!H", pk.checksum(bytes(b[:(b[0] & 15) * 4])))
    return bytes(b)


@pytest.mark.parametrize("shape", [(None, 4), (None, 6), (4, 6), (6, 4)], ids=str)
def test_what_may_change_on_the_way(lab, shape):
    """Routers change hop limits, classes and flow labels: both accept it."""
    c = placed(lab, stack(shape[1], tunnel=shape[0]))
    outer = shape[0] or shape[1]
    places = [(1, b"\x48"), (8, b"\x07")] if outer == 4 else [(0, b"\x64\x8f\x12\x34"), (7, b"\x07")]
    for n, (at, value) in enumerate(places, 1):
        question = pk.Ping(b"way")
        got, others = lab.transfer([changed(lab.seal(c, question.request(c, n)), at, value)], 1)
        assert not others and len(got[c.spi_out]) == 1, (at, others)
        word, answer = lab.engine.packet("in", changed(got[c.spi_out][0], at, value))
        assert word == "pass", (at, answer)


@pytest.mark.parametrize("shape", [(None, 4), (None, 6), (4, 4), (6, 6)], ids=str)
def test_what_may_not_change_is_noticed_by_both(lab, shape):
    """Identification and source of the IP header, and every byte behind it but the SPI."""
    c = placed(lab, stack(shape[1], tunnel=shape[0]))
    head = pk.HEADER[shape[0] or shape[1]]
    wire = lab.seal(c, pk.Ping(b"ping").request(c, 1))
    places = [head + 1] + list(range(head + 12, len(wire)))  # not the next header, nor the numbers
    bad = [damage(wire, at) for at in places[1:]]
    if head == 20:
        bad.append(changed(wire, 4, bytes([wire[4] ^ 0x40])))
    got, others = lab.transfer(bad + [wire], 1, bad)
    assert not others and len(got[c.spi_out]) == 1
    assert lab.stat_changes() == {"XfrmInStateProtoError": len(bad)}
    answer = got[c.spi_out][0]
    for at in range(head + 12, len(answer)):
        assert lab.engine.packet("in", damage(answer, at)) == ("drop", "in-icv-mismatch"), at
    if head == 20:
        assert lab.engine.packet("in", changed(answer, 4, bytes([answer[4] ^ 0x40]))) == ("drop", "in-icv-mismatch")
    assert lab.engine.packet("in", answer)[0] == "pass"


def packed(address):
    return ipaddress.ip_address(address).packed


ROUTER = {4: "10.81.200.1", 6: "fd81::ffff"}


def test_loose_source_route(lab):
    """The sender authenticates the packet as it is at its end (RFC 4302 3.3.3.1.1.2, A.1): the
    destination is the last hop of the route.  We send to the router, play it, and the guest checks."""
    c = placed(lab, stack(4))
    engine = lab.twin
    engine.ok("flush")
    key = c.keys[0][0][1]
    engine.ok("setkey", f"add {c.us} {ROUTER[4]} ah {c.spi_in} -m transport -r 8 -A {SHA256[0]} 0x{key.hex()};")
    engine.ok("setkey", f"spdadd {c.us} {ROUTER[4]} any -P out ipsec ah/transport//require;")
    route = b"\x83\7\4" + packed(c.guest) + b"\0"
    plain = pk.ip(c.us, ROUTER[4], pk.ICMP, pk.echo(c.us, c.guest, c.n, 1, b"routed"), options=route)
    word, wire = engine.packet("out", plain)
    assert word == "send", wire
    # The router: the option keeps what was the destination, and points behind it.
    wire = changed(wire, 22, b"\x08" + packed(ROUTER[4]))
    wire = changed(wire, 16, packed(c.guest))
    lab.guest.run("sysctl -w net.ipv4.conf.all.accept_source_route=1 net.ipv4.conf.eth0.accept_source_route=1 >/dev/null")
    lab.transfer([wire], 0)
    lab.guest.run("sysctl -w net.ipv4.conf.all.accept_source_route=0 >/dev/null")
    assert lab.states()[c.spi_in]["packets"] == 1 and lab.states()[c.spi_in]["failed"] == 0


def test_routing_header(lab):
    """The same with a routing header of type 0 (RFC 4302 3.3.3.1.2.3)."""
    c = placed(lab, stack(6))
    engine = lab.twin
    engine.ok("flush")
    key = c.keys[0][0][1]
    engine.ok("setkey", f"add {c.us} {ROUTER[6]} ah {c.spi_in} -m transport -r 8 -A {SHA256[0]} 0x{key.hex()};")
    engine.ok("setkey", f"spdadd {c.us} {ROUTER[6]} any -P out ipsec ah/transport//require;")
    header = bytes([pk.ROUTING, pk.ICMP6, 2, 0, 1]) + bytes(4) + packed(c.guest)
    plain = pk.ip(c.us, ROUTER[6], pk.ICMP6, pk.echo(c.us, c.guest, c.n, 1, b"routed"), extension=header)
    word, wire = engine.packet("out", plain)
    assert word == "send", wire
    # The router swaps addresses; no segment is left.
    wire = changed(wire, 43, b"\0")
    wire = changed(wire, 48, packed(ROUTER[6]))
    wire = changed(wire, 24, packed(c.guest))
    lab.transfer([wire], 0)
    assert lab.states()[c.spi_in]["packets"] == 1 and lab.states()[c.spi_in]["failed"] == 0

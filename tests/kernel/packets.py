"""Packets inside of the protection: what we send and what the guest's stack must answer."""
import ipaddress
import struct

ICMP, TCP, UDP, ICMP6, DSTOPTS, ROUTING, FRAGMENT, HOPOPTS = 1, 6, 17, 58, 60, 43, 44, 0
# ICMP types per family: echo request, echo reply, port unreachable (type, code)
ECHO = {4: 8, 6: 128}
REPLY = {4: 0, 6: 129}
UNREACHABLE = {4: (3, 3), 6: (1, 4)}
ICMP_OF = {4: ICMP, 6: ICMP6}
HEADER = {4: 20, 6: 40}


def family(address):
    return 6 if ":" in address else 4


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    s = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff


def ip(src, dst, proto, payload, tos=0, options=b"", extension=b"", ident=1, df=False):
    """extension: IPv6 extension headers; the first one's number goes before it."""
    s, d = ipaddress.ip_address(src).packed, ipaddress.ip_address(dst).packed
    if len(s) == 16:
        first = extension[0] if extension else proto
        body = extension[1:] + payload
        return struct.pack("!IHBB", 6 << 28 | tos << 20, len(body), first, 63) + s + d + body
    h = struct.pack("!BBHHHBBH", 0x45 + len(options) // 4, tos, 20 + len(options) + len(payload), ident,
                    0x4000 * df, 63, proto, 0) + s + d + options
    return h[:10] + struct.pack("!H", checksum(h)) + h[12:] + payload


def addresses(packet):
    at, n = (12, 4) if packet[0] >> 4 == 4 else (8, 16)
    return tuple(str(ipaddress.ip_address(packet[a:a + n])) for a in (at, at + n))


def payload(packet):
    """(protocol, offset) of what stands behind the IP header, its options and extension headers."""
    if packet[0] >> 4 == 4:
        return packet[9], (packet[0] & 15) * 4
    proto, at = packet[6], 40
    while proto in (HOPOPTS, ROUTING, DSTOPTS):
        proto, at = packet[at], at + 8 * (packet[at + 1] + 1)
    return proto, at


class Joiner:
    """Joins the fragments of IPv6 packets, as a host does before IPsec.  Linux 6.1 makes some where
    an IPv4 tunnel goes through an IPv6 one: it takes 1280 bytes for the most there."""

    def __init__(self):
        self.parts = {}

    def add(self, packet):
        """The packet when it is whole, else None."""
        if packet[0] >> 4 != 6 or packet[6] != FRAGMENT:
            return packet
        key = packet[8:40] + packet[44:48]
        field = int.from_bytes(packet[42:44], "big")
        parts = self.parts.setdefault(key, {})
        parts[field & 0xfff8] = packet[48:], field & 1
        body, more = b"", 1
        while more and len(body) in parts:
            data, more = parts[len(body)]
            body += data
        if more:
            return None
        del self.parts[key]
        return packet[:4] + struct.pack("!HB", len(body), packet[40]) + packet[7:40] + body


def pseudo(src, dst, proto, length):
    s, d = ipaddress.ip_address(src).packed, ipaddress.ip_address(dst).packed
    return s + d + (struct.pack("!BBH", 0, proto, length) if len(s) == 4 else
                    struct.pack("!II", length, proto))


def summed(src, dst, proto, data, offset):
    """Fills in the checksum at the offset."""
    head = b"" if proto == ICMP else pseudo(src, dst, proto, len(data))
    # RFC 768: no checksum is 0, one that is 0 is 0xffff.
    return data[:offset] + struct.pack("!H", checksum(head + data) or 0xffff * (proto == UDP)) + data[offset + 2:]


def echo(src, dst, ident, seq, data, answer=False):
    af = family(src)
    kind = REPLY[af] if answer else ECHO[af]
    return summed(src, dst, ICMP_OF[af], struct.pack("!BBHHH", kind, 0, 0, ident, seq) + data, 2)


def udp(src, dst, sport, dport, data):
    return summed(src, dst, UDP, struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data, 6)


def syn(src, dst, sport, dport, seq):
    return summed(src, dst, TCP, struct.pack("!HHIIBBHHH", sport, dport, seq, 0, 5 << 4, 2, 1000, 0, 0), 16)


class Answer:
    """An IP packet taken apart, without what a sender is free to choose."""

    def __init__(self, packet):
        af = packet[0] >> 4
        self.src, self.dst = addresses(packet)
        self.af = af
        if af == 4:
            self.tos, self.proto, length = packet[1], packet[9], (packet[0] & 15) * 4
            assert struct.unpack_from("!H", packet, 2)[0] == len(packet)
            assert checksum(packet[:length]) == 0
            self.fragment = struct.unpack_from("!H", packet, 6)[0] & 0x3fff
        else:
            self.tos, self.proto, length = (packet[0] << 4 | packet[1] >> 4) & 0xff, packet[6], 40
            assert struct.unpack_from("!H", packet, 4)[0] + 40 == len(packet)
            self.fragment = 0
        self.data = packet[length:]

    def __repr__(self):
        return f"{self.src} > {self.dst} proto {self.proto} tos {self.tos:#x} {self.data.hex()}"


MTU = 1500


class Question:
    """A packet to the guest, and what its answer looks like.  The ends of a cell have us, guest (the
    inner addresses), n (its number) and room(MTU), the bytes of the largest packet that fits."""

    def fits(self, cell):
        """It can be asked at all."""
        return True

    def limit(self, cell):
        """(bytes that it must fit into on the wire, or, if it is too long, not, whether it is too long)"""
        return MTU, False


class Ping(Question):
    """An echo request and the reply that belongs to it."""

    def __init__(self, data, **header):
        self.data, self.header = data, header

    def payload(self, cell):
        return self.data

    def request(self, c, seq):
        return ip(c.us, c.guest, ICMP_OF[family(c.us)], echo(c.us, c.guest, c.n, seq, self.payload(c)),
                  **self.header)

    def answered_by(self, a, c, seq):
        return a.proto == ICMP_OF[a.af] and \
            a.data == echo(c.guest, c.us, c.n, seq, self.payload(c), answer=True)


class Largest(Ping):
    """Fills the MTU."""

    def __init__(self):
        super().__init__(b"")

    def payload(self, cell):
        return bytes((7 * i + cell.n) & 0xff for i in range(cell.room(MTU) - HEADER[family(cell.us)] - 8))


class ClosedPort(Question):
    """UDP to a port where nobody listens: the guest sends back what it has received."""

    def __init__(self, data):
        self.data = data

    def request(self, c, seq):
        return ip(c.us, c.guest, UDP, udp(c.us, c.guest, 10000 + seq, 9, self.data))

    def answered_by(self, a, c, seq):
        quoted, head = a.data[8:], HEADER[a.af]
        return a.proto == ICMP_OF[a.af] and tuple(a.data[:2]) == UNREACHABLE[a.af] and \
            len(quoted) >= head + 8 and self.request(c, seq).startswith(quoted)


class Refused(Question):
    """A TCP connection that nobody takes: the reset acknowledges our number."""

    def request(self, c, seq):
        return ip(c.us, c.guest, TCP, syn(c.us, c.guest, 10000 + seq, 9, 0x12345678))

    def answered_by(self, a, c, seq):
        return a.proto == TCP and len(a.data) >= 20 and \
            struct.unpack_from("!HHII", a.data) == (9, 10000 + seq, 0, 0x12345679) and a.data[13] == 0x14

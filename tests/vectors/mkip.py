#!/usr/bin/python3
"""Writes ip.txt: packets made by scapy and what a parser has to find in them.

    tests/vectors/mkip.py > tests/vectors/ip.txt

Nothing is parsed here.  A packet is a list of pieces (its IP header, extension headers, the rest);
the offsets are the sums of their lengths.  Where ESP goes is written down by hand for each case, as
the number of pieces in front of it.
"""
import ipaddress

from scapy.all import (
    AH, ESP, GRE, ICMP, IP, SCTP, TCP, UDP, ICMPv6EchoRequest, IPOption, IPOption_Router_Alert, IPv6,
    IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, PadN, raw)

A4, B4, A6, B6 = '192.0.2.1', '198.51.100.2', '2001:db8::1', '2001:db8::2'
HBH, ROUTING, FRAG, DST = 0, 43, 44, 60


def block(name, data, result, **fields):
    print(f'\n# {name}\nresult = {result}\npacket = {data.hex()}')
    for key, value in fields.items():
        print(f'{key} = {value}')


def flags(**on):
    return ''.join(c for c in 'DFLOP' if on.get(c)) or '-'


def v4(name, proto, rest=b'', ports=None, options=(), df=False, mf=False, frag=0, padding=b'', **ip):
    """ports: what the parser must know, or None."""
    header = IP(src=A4, dst=B4, proto=proto, frag=frag, options=list(options),
                flags=2 * df + mf, **ip)
    data = raw(header / rest)
    l4 = len(raw(header))
    fragment = mf or frag != 0
    block(name, data + padding, 'ok',
          src=ipaddress.ip_address(A4).packed.hex(), dst=ipaddress.ip_address(B4).packed.hex(),
          proto=proto, total=len(data), l4=l4, esp=l4, nh=9, nhv=proto, tos=header.tos,
          ttl=header.ttl, sport=(ports or (0, 0))[0], dport=(ports or (0, 0))[1],
          flags=flags(D=df, F=fragment, L=frag != 0, O=fragment and ports is None,
                      P=ports is not None))


def chain(numbers, pieces, last):
    """Extension headers with the numbers of what follows them."""
    following = numbers[1:] + [last]
    return [bytes([nh]) + raw(piece)[1:] for nh, piece in zip(following, pieces)]


def v6(name, proto, rest=b'', ports=None, ext=(), esp=0, frag=False, later=False, padding=b'', tc=0,
       hlim=64):
    """ext: pairs of number and header; esp: how many of them stand in front of ESP."""
    numbers, pieces = [n for n, _ in ext], chain([n for n, _ in ext], [h for _, h in ext], proto)
    rest = raw(rest)
    first = (numbers + [proto])[0]
    header = raw(IPv6(src=A6, dst=B6, nh=first, tc=tc, hlim=hlim, fl=0x12345,
                      plen=sum(map(len, pieces)) + len(rest)))
    data = header + b''.join(pieces) + rest
    block(name, data + padding, 'ok',
          src=ipaddress.ip_address(A6).packed.hex(), dst=ipaddress.ip_address(B6).packed.hex(),
          proto=proto, total=len(data), l4=40 + sum(map(len, pieces)),
          esp=40 + sum(map(len, pieces[:esp])),
          nh=6 if esp == 0 else 40 + sum(map(len, pieces[:esp - 1])),
          nhv=(numbers + [proto])[esp], tos=tc, ttl=hlim, sport=(ports or (0, 0))[0],
          dport=(ports or (0, 0))[1],
          flags=flags(F=frag or later, L=later, O=(frag or later) and ports is None,
                      P=ports is not None))


def bad(name, result, packet, **patch):
    """patch: _offset=byte."""
    data = bytearray(raw(packet))
    for where, value in patch.items():
        data[int(where[1:])] = value
    block(name, bytes(data), result)


print('# IP packets made with scapy 2.5 by tests/vectors/mkip.py, and what they contain.')
print('# flags: D = DF, F = fragment, L = later fragment, O = opaque, P = ports known.')

PORTS = bytes([0x30, 0x39, 0x00, 0x50])
P = (12345, 80)
DCCP = PORTS + bytes([4]) + bytes(11)
TCP_, UDP_ = TCP(sport=P[0], dport=P[1]) / b'data', UDP(sport=P[0], dport=P[1]) / b'data'
ALERT = IPOption_Router_Alert()
FULL = IPOption(b'\x07\x27\x04' + bytes(36) + b'\x00')  # record route: all 40 bytes

v4('TCP', 6, TCP_, P)
v4('UDP', 17, UDP_, P)
v4('UDP-Lite', 136, PORTS + bytes(4), P)
v4('SCTP', 132, SCTP(sport=P[0], dport=P[1]), P)
v4('DCCP', 33, DCCP, P)
v4('ICMP echo', 1, ICMP(), (8, 0))
v4('ICMP need-frag', 1, ICMP(type=3, code=4), (3, 4))
v4('ESP', 50, ESP(spi=256, seq=1) / bytes(24))
v4('AH', 51, AH(spi=256, seq=1) / TCP_)
v4('IPComp', 108, bytes([6, 0, 0, 2]) + bytes(20))
v4('GRE', 47, GRE() / IP())
K = (0xc0a8, 0x0102)
v4('GRE with a key', 47, GRE(key_present=1, key=0xc0a80102) / IP(), K)
v4('GRE with checksum and key', 47, GRE(chksum_present=1, key_present=1, key=0xc0a80102) / IP(), K)
v4('GRE with key and sequence number', 47,
   GRE(key_present=1, seqnum_present=1, key=0xc0a80102, sequence_number=9) / IP(), K)
v4('GRE with all of it', 47,
   GRE(chksum_present=1, key_present=1, seqnum_present=1, key=0xc0a80102) / IP(), K)
v4('GRE with key 0', 47, GRE(key_present=1, key=0) / IP(), (0, 0))
v4('GRE of RFC 1701 with routing', 47, bytes([0x60, 0, 8, 0, 0, 0, 0, 0]) +
   bytes([0xc0, 0xa8, 1, 2]) + bytes(4), K)
v4('GRE without a key, with a sequence number', 47, GRE(seqnum_present=1) / IP())
v4('GRE of PPTP has no key', 47, bytes([0x30, 1, 0x88, 0x0b, 0xc0, 0xa8, 1, 2]) + bytes(8))
v4('three bytes of GRE', 47, b'\x20\x00\x08')
v4('GRE with three bytes of its key', 47, raw(GRE(key_present=1, key=0xc0a80102))[:7])
v4('GRE with its key only', 47, raw(GRE(key_present=1, key=0xc0a80102)), K)
v4('GRE with checksum, key cut off', 47,
   raw(GRE(chksum_present=1, key_present=1, key=0xc0a80102))[:11])
v4('first fragment of GRE with a key', 47, GRE(key_present=1, key=0xc0a80102) / IP(), K, mf=True)
v4('first fragment of GRE, key cut off', 47, raw(GRE(key_present=1, key=1))[:4], mf=True)
v4('later fragment of GRE', 47, GRE(key_present=1, key=0xc0a80102) / IP(), frag=3)
v4('echo reply: type 0', 1, ICMP(type=0), (0, 0))
v4('IP in IP', 4, IP(src=A4, dst=B4) / UDP_)
v4('IPv6 in IP', 41, IPv6(src=A6, dst=B6) / UDP_)
v4('no payload', 17)
v4('protocol 0 is no extension header in IPv4', 0, bytes(16))
v4('protocol 44 neither', 44, bytes(16))
v4('protocol 255', 255, bytes(4))
v4('DF, TOS, TTL', 6, TCP_, P, df=True, tos=0xb9, ttl=1)
v4('TTL 0', 6, TCP_, P, ttl=0)
v4('Ethernet padding', 17, UDP_, P, padding=bytes(14))
v4('four bytes of options', 17, UDP_, P, options=[ALERT])
v4('forty bytes of options', 6, TCP_, P, options=[FULL])
v4('options, no payload', 17, options=[ALERT])
v4('three of four bytes of ports', 17, PORTS[:3])
v4('ports only', 6, PORTS, P)
v4('one byte of ICMP', 1, b'\x08')
v4('two bytes of ICMP', 1, b'\x08\x01', (8, 1))
v4('first fragment', 17, UDP_, P, mf=True)
v4('first fragment with options', 17, UDP_, P, mf=True, options=[ALERT])
v4('first fragment without all of the ports', 6, PORTS[:2], mf=True)
v4('first fragment of a protocol without ports', 47, bytes(16), mf=True)
v4('first fragment of ICMP', 1, ICMP(), (8, 0), mf=True)
v4('middle fragment', 17, PORTS + bytes(4), frag=3, mf=True)
v4('last fragment', 17, PORTS + bytes(4), frag=3)
v4('fragment that ends at 65535', 17, bytes(11), frag=8188, mf=True)

ip4 = IP(src=A4, dst=B4) / UDP_
bad('version 0', 'ip-header', ip4, _0=0x05)
bad('version 5', 'ip-header', ip4, _0=0x55)
bad('version 15', 'ip-header', ip4, _0=0xf5)
bad('header length 0', 'ip-header', ip4, _0=0x40)
bad('header length 16', 'ip-header', ip4, _0=0x44)
bad('header longer than the packet', 'ip-header', ip4, _0=0x49)
bad('total length 0', 'ip-header', ip4, _3=0)
bad('total length 19', 'ip-header', ip4, _3=19)
bad('total length of one byte more', 'short', ip4, _3=33)
bad('total length of 65535', 'short', ip4, _2=255, _3=255)
bad('fragment beyond 65535', 'ip-header', IP(frag=8189) / bytes(4))
bad('last possible offset', 'ip-header', IP(frag=8191) / bytes(8))

H, D = IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(4))]), IPv6ExtHdrDestOpt(
    options=[PadN(optdata=bytes(4))])
D24 = IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(20))])
R = IPv6ExtHdrRouting(type=0, addresses=[A6])
FIRST, LATER = IPv6ExtHdrFragment(m=1, id=1), IPv6ExtHdrFragment(offset=3, m=1, id=1)
LAST, ATOMIC = IPv6ExtHdrFragment(offset=3, id=1), IPv6ExtHdrFragment(id=1)
EDGE = IPv6ExtHdrFragment(offset=8191, m=0, id=1)
h, d, d24, r, f = (HBH, H), (DST, D), (DST, D24), (ROUTING, R), (FRAG, FIRST)

v6('TCP', 6, TCP_, P)
v6('UDP', 17, UDP_, P)
v6('UDP-Lite', 136, PORTS + bytes(4), P)
v6('SCTP', 132, SCTP(sport=P[0], dport=P[1]), P)
v6('DCCP', 33, DCCP, P)
v6('ICMPv6 echo', 58, ICMPv6EchoRequest(), (128, 0))
v6('mobility header', 135, bytes([59, 1, 5, 7]) + bytes(12), (5, 0))
v6('mobility header of type 0', 135, bytes([59, 1, 0, 0]) + bytes(12), (0, 0))
v6('GRE with a key', 47, GRE(key_present=1, key=0xc0a80102) / IP(), K)
v6('GRE with a key behind options', 47, GRE(key_present=1, key=0xc0a80102) / IP(), K, [h, d, r, d24], 3)
v6('first fragment of GRE, key cut off', 47, raw(GRE(key_present=1, key=1))[:4], None, [f], 1,
   frag=True)
v6('mobility header without its type', 135, bytes([59, 1]))
v6('ESP', 50, ESP(spi=256, seq=1) / bytes(24))
v6('AH ends the walk', 51, AH(spi=256, seq=1) / UDP_)
v6('IPComp', 108, bytes([6, 0, 0, 2]) + bytes(20))
v6('no next header', 59)
v6('no next header, with bytes behind', 59, bytes(9))
v6('no payload', 17)
v6('HIP is taken for an upper layer', 139, bytes(40))
v6('traffic class, hop limit', 17, UDP_, P, tc=0xb9, hlim=255)
v6('padding behind the packet', 17, UDP_, P, padding=bytes(5))
v6('three of four bytes of ports', 17, PORTS[:3])
v6('hop-by-hop', 17, UDP_, P, [h], 1)
v6('destination options only: behind ESP', 17, UDP_, P, [d], 0)
v6('destination options of 24 bytes', 17, UDP_, P, [d24], 0)
v6('routing', 17, UDP_, P, [r], 1)
v6('destination options before routing: before ESP', 17, UDP_, P, [d, r], 2)
v6('hop-by-hop, options, routing, options', 6, TCP_, P, [h, d, r, d24], 3)
v6('hop-by-hop, options', 6, TCP_, P, [h, d], 1)
v6('routing, options', 6, TCP_, P, [r, d], 1)
v6('two routing headers', 17, UDP_, P, [r, r], 2)
v6('ESP behind hop-by-hop and options', 50, ESP(spi=1, seq=1) / bytes(16), None, [h, d], 1)
v6('first fragment', 17, UDP_, P, [f], 1, frag=True)
v6('first fragment, all headers', 6, TCP_, P, [h, d, r, f, d], 4, frag=True)
v6('options in front of a fragment header', 6, TCP_, P, [d, f], 2, frag=True)
v6('first fragment without ports', 6, PORTS[:2], None, [f], 1, frag=True)
v6('first fragment of a protocol without ports', 47, bytes(8), None, [f], 1, frag=True)
v6('middle fragment', 17, PORTS + bytes(4), None, [(FRAG, LATER)], 1, later=True)
v6('last fragment', 17, PORTS + bytes(4), None, [(FRAG, LAST)], 1, later=True)
v6('later fragment behind routing', 6, PORTS, None, [h, r, (FRAG, LAST)], 3, later=True)
v6('later fragment of something with options', 60, bytes(16), None, [(FRAG, LAST)], 1, later=True)
v6('fragment that ends at 65535', 17, bytes(7), None, [(FRAG, EDGE)], 1, later=True)
v6('atomic fragment is a whole packet', 17, UDP_, P, [(FRAG, ATOMIC)], 1)
v6('sixteen extension headers', 17, UDP_, P, [d] * 16, 0)


def chained(numbers, rest=b''):
    """An IPv6 packet with these headers, each of 8 bytes, then UDP."""
    following = numbers[1:] + [17]
    body = b''.join(bytes([n]) + bytes(7) for n in following) + rest
    return IPv6(src=A6, dst=B6, nh=numbers[0], plen=len(body)) / body


ip6 = IPv6(src=A6, dst=B6) / UDP_
bad('version 5', 'ip-header', ip6, _0=0x50)
bad('payload length of one byte more', 'short', ip6, _5=13)
bad('seventeen extension headers', 'ext-header', chained([DST] * 17, raw(UDP_)))
bad('hop-by-hop behind destination options', 'ext-header', chained([DST, HBH], raw(UDP_)))
bad('hop-by-hop twice', 'ext-header', chained([HBH, HBH], raw(UDP_)))
bad('two fragment headers', 'ext-header', chained([FRAG, FRAG], raw(UDP_)))
bad('options longer than the packet', 'ext-header', chained([DST]), _41=1)
bad('hop-by-hop longer than the packet', 'ext-header', chained([HBH], raw(UDP_)), _41=255)
bad('no room for a header', 'ext-header', IPv6(src=A6, dst=B6, nh=DST, plen=0))
bad('seven bytes of options', 'ext-header', IPv6(src=A6, dst=B6, nh=DST, plen=7) / bytes(7))
bad('seven bytes of fragment header', 'ext-header', IPv6(src=A6, dst=B6, nh=FRAG, plen=7) / bytes(7))
bad('first fragment that ends within its headers', 'ext-header',
    IPv6(src=A6, dst=B6, nh=FRAG, plen=12) / bytes([DST, 0, 0, 1, 0, 0, 0, 1, 17, 0, 0, 0]))
bad('fragment beyond 65535', 'ext-header',
    IPv6(src=A6, dst=B6, nh=FRAG, plen=16) / bytes([17, 0, 255, 248, 0, 0, 0, 1]) / bytes(8))
bad('jumbogram (RFC 2675)', 'ext-header', chained([HBH], raw(UDP_)), _4=0, _5=0)

#!/usr/bin/python3
# Writes the seeds of the target "ip" to corpus/ip: python3 tests/fuzz/mkcorpus_ip.py
import os

from scapy.all import (
    AH, ESP, GRE, ICMP, IP, TCP, UDP, ICMPv6EchoRequest, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, IPOption, IPOption_Router_Alert, PadN, Raw, raw)

A4, B4, A6, B6 = '192.0.2.1', '198.51.100.2', '2001:db8::1', '2001:db8::2'
ip4 = IP(src=A4, dst=B4, id=7)
ip6 = IPv6(src=A6, dst=B6)
pad = bytes(range(200))
ts = [('NOP', None), ('NOP', None), ('Timestamp', (1, 2))]
syn = TCP(sport=1, dport=2, flags='S', options=[('MSS', 1460), ('WScale', 7)])
routing = IPv6ExtHdrRouting(type=0, addresses=[A6])
seeds = {
    'v4-tcp': ip4 / TCP(sport=1, dport=2, seq=9, flags='PA', options=ts) / Raw(pad),
    'v4-tcp-syn': ip4 / syn,
    'v4-tcp-syn-odd-mss': ip4 / TCP(flags='SA', options=[('NOP', None), ('MSS', 1460)]),
    'v4-tcp-syn-bad-option': ip4 / TCP(flags='S', dataofs=6) / Raw(b'\x03\x09\2\4'),
    'v4-tcp-syn-mss-length': ip4 / TCP(flags='S', dataofs=6) / Raw(b'\2\3\4\1'),
    'v4-udp-df': IP(src=A4, dst=B4, flags='DF') / UDP(sport=5, dport=6) / Raw(pad),
    'v4-options': IP(src=A4, dst=B4, options=[IPOption_Router_Alert()]) / UDP() / Raw(pad),
    'v4-options-bad': IP(src=A4, dst=B4, options=[IPOption(b'\x94\x09\0\0')]) / UDP() / Raw(pad),
    'v4-options-not-copied': IP(src=A4, dst=B4, options=[IPOption(b'\7\3\4\1')]) / UDP() / Raw(pad),
    'v4-frag-first': IP(src=A4, dst=B4, flags='MF') / UDP() / Raw(pad),
    'v4-frag-later': IP(src=A4, dst=B4, frag=20, proto=17) / Raw(pad),
    'v4-icmp': ip4 / ICMP() / Raw(b'ping'),
    'v4-icmp-error': ip4 / ICMP(type=3, code=4) / ip4 / UDP(),
    'v4-esp': ip4 / ESP(spi=256, seq=1) / Raw(pad[:40]),
    'v4-gre-key': ip4 / GRE(key_present=1, key=0xc0a80102) / ip4 / UDP(),
    'v4-gre-all': ip4 / GRE(chksum_present=1, key_present=1, seqnum_present=1, key=7) / ip4,
    'v4-gre-short': ip4 / GRE(key_present=1, key=7),
    'v4-gre-1701': IP(src=A4, dst=B4, proto=47) / Raw(b'\x60\0\x08\0' + bytes(12)),
    'v4-pptp': IP(src=A4, dst=B4, proto=47) / Raw(b'\x30\1\x88\x0b' + bytes(12)),
    'v4-multicast': IP(src=A4, dst='224.0.0.1') / UDP() / Raw(pad),
    'v6-tcp': ip6 / TCP(sport=1, dport=2, flags='A', options=ts) / Raw(pad),
    'v6-tcp-syn': ip6 / syn,
    'v6-udp': ip6 / UDP() / Raw(pad),
    'v6-chain': ip6 / IPv6ExtHdrHopByHop(options=[PadN(optdata=b'\0' * 4)]) /
    IPv6ExtHdrDestOpt() / routing / IPv6ExtHdrDestOpt() / UDP() / Raw(pad),
    'v6-frag-first': ip6 / IPv6ExtHdrFragment(m=1, id=3) / UDP() / Raw(pad),
    'v6-frag-later': ip6 / IPv6ExtHdrFragment(offset=25, nh=17, id=3) / Raw(pad),
    'v6-atomic': ip6 / IPv6ExtHdrFragment(id=3) / UDP() / Raw(pad),
    'v6-icmp': ip6 / ICMPv6EchoRequest(data=b'ping'),
    'v6-mh': IPv6(src=A6, dst=B6, nh=135) / Raw(b'\x3b\1\5\0' + bytes(12)),
    'v6-ah': ip6 / AH(spi=256, seq=1) / UDP(),
    'v6-none': IPv6(src=A6, dst=B6, nh=59),
    'v6-hop-by-hop-late': ip6 / IPv6ExtHdrDestOpt() / IPv6ExtHdrHopByHop() / UDP(),
    'v6-two-fragment-headers': ip6 / IPv6ExtHdrFragment() / IPv6ExtHdrFragment() / UDP(),
    'v6-many-headers': ip6 / Raw(b''),
}
where = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'corpus', 'ip')
os.makedirs(where, exist_ok=True)
for name, packet in seeds.items():
    data = raw(packet)
    if name == 'v6-many-headers':
        data = raw(IPv6(src=A6, dst=B6, nh=60, plen=17 * 8)) + 17 * (b'\x3c' + bytes(7))
    with open(os.path.join(where, name), 'wb') as f:
        f.write(data)

#!/usr/bin/python3
# Writes the seeds of the target "reass" to corpus/reass: python3 tests/fuzz/mkcorpus_reass.py
import os

from scapy.all import IP, UDP, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, Raw, raw

A4, B4, A6, B6 = '192.0.2.1', '198.51.100.2', '2001:db8::1', '2001:db8::2'
DATA = raw(UDP(sport=1, dport=2, len=200)) + bytes(range(192))


def v4(at, n, more, **other):
    return IP(src=A4, dst=B4, id=7, proto=17, flags='MF' if more else 0, frag=at // 8, **other) / Raw(
        DATA[at:at + n])


def v6(at, n, more, front=None, **other):
    head = IPv6(src=A6, dst=B6)
    if front:
        head = head / front
    return head / IPv6ExtHdrFragment(offset=at // 8, m=more, id=7, nh=17, **other) / Raw(DATA[at:at + n])


big = bytes(2400)
seeds = {
    'v4-order': [v4(0, 80, 1), v4(80, 80, 1), v4(160, 40, 0)],
    'v4-reverse': [v4(160, 40, 0), v4(80, 80, 1), v4(0, 80, 1)],
    'v4-options': [v4(80, 120, 0), v4(0, 80, 1, options=b'\1\1\1\1')],
    'v4-overlap': [v4(0, 80, 1), v4(72, 80, 1), v4(80, 80, 1), v4(160, 40, 0)],
    'v4-twice': [v4(0, 80, 1), v4(0, 80, 1), v4(80, 120, 0)],
    'v4-two-ends': [v4(80, 40, 0), v4(80, 120, 0)],
    'v4-beyond-end': [v4(80, 40, 0), v4(120, 40, 1)],
    'v4-length': [v4(0, 84, 1), v4(80, 3, 1)],
    'v4-tiny': [IP(src=A4, dst=B4, id=7, proto=6, flags='MF') / Raw(DATA[:8])],
    'v4-ecn': [v4(0, 80, 1, tos=3), v4(80, 120, 0)],
    'v4-ecn-mark': [v4(0, 80, 1, tos=3), v4(80, 120, 0, tos=2)],
    'v4-blocks': [IP(src=A4, dst=B4, id=8, proto=17, flags='MF') / Raw(DATA[:16] + big[:2384]),
                  IP(src=A4, dst=B4, id=8, proto=17, frag=300) / Raw(big)],
    'v4-whole': [IP(src=A4, dst=B4) / UDP() / Raw(DATA)],
    'v4-bad': [Raw(b'\x45\0\0\x10')],
    'v6-order': [v6(0, 80, 1), v6(80, 80, 1), v6(160, 40, 0)],
    'v6-reverse': [v6(160, 40, 0), v6(80, 80, 1), v6(0, 80, 1)],
    'v6-chain': [v6(0, 80, 1, IPv6ExtHdrHopByHop()), v6(80, 120, 0, IPv6ExtHdrHopByHop())],
    'v6-chain-behind': [
        IPv6(src=A6, dst=B6) / IPv6ExtHdrFragment(m=1, id=9) / IPv6ExtHdrDestOpt() / UDP() / Raw(bytes(8)),
        IPv6(src=A6, dst=B6) / IPv6ExtHdrFragment(offset=3, id=9, nh=60) / Raw(bytes(8))],
    'v6-atomic': [v6(0, 200, 0)],
    'v6-tiny': [IPv6(src=A6, dst=B6) / IPv6ExtHdrFragment(m=1, nh=6) / Raw(DATA[:8])],
    'v6-long': [v6(65520, 8, 1), IPv6(src=A6, dst=B6) / IPv6ExtHdrHopByHop() /
                IPv6ExtHdrFragment(offset=8190, nh=17) / Raw(bytes(15))],
    'sources': [IP(src=f'10.0.0.{i}', dst=B4, id=i, flags='MF', frag=9, proto=17) / Raw(DATA[:80])
                for i in range(24)],
    'one-source': [IP(src=A4, dst=B4, id=i, flags='MF', frag=9, proto=17) / Raw(DATA[:80]) for i in range(24)],
    'share': [IP(src=A4, dst=B4, id=7, flags='MF', frag=9 + 10 * i, proto=17) / Raw(DATA[:80]) for i in range(12)],
}
where = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'corpus', 'reass')
os.makedirs(where, exist_ok=True)
for name, packets in seeds.items():
    data = b''
    for i, packet in enumerate(packets):
        bytes_ = raw(packet)
        data += len(bytes_).to_bytes(2, 'big') + bytes([0]) + bytes_
    with open(os.path.join(where, name), 'wb') as f:
        f.write(data)
first = raw(v4(0, 80, 1))
last = raw(v4(80, 120, 0))
with open(os.path.join(where, 'v4-timeout'), 'wb') as f:
    f.write(len(first).to_bytes(2, 'big') + b'\0' + first + len(last).to_bytes(2, 'big') + b'\xfe' + last)
with open(os.path.join(where, 'v4-ways'), 'wb') as f:
    f.write(len(first).to_bytes(2, 'big') + b'\0' + first + len(last).to_bytes(2, 'big') + b'\1' + last)

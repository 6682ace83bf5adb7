#!/usr/bin/env python3
"""Writes ah_computed.txt: AH packets, for which no publication has numbers.

usage: mkah.py

Whole IP packets before and after AH, computed with the Python packages cryptography and hashlib
alone.  "authenticated" is what the ICV is computed of, field by field as RFC 4302 3.3.3 says.
"""
import ipaddress
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from mkesp import MAC, Writer, checksum, icv_len, octets, whole_mac

A, B, G, H = '192.0.2.1', '198.51.100.9', '203.0.113.1', '203.0.113.2'
A6, B6, G6, H6 = '2001:db8:1::1', '2001:db8:2::9', '2001:db8:a::1', '2001:db8:b::2'
AH, SPI = 51, 0x1234
GMAC = {'aes-128-gmac': 20, 'aes-192-gmac': 28, 'aes-256-gmac': 36}
OLD = ('keyed-md5', 'keyed-sha1', 'hmac-md5', 'hmac-sha1', 'hmac-ripemd160', 'hmac-sha256',
       'hmac-sha384', 'hmac-sha512', 'aes-xcbc-mac')


def packed(address):
    return ipaddress.ip_address(address).packed


def ip4(src, dst, proto, payload, tos=0, ident=7, flags=0, ttl=64, options=b''):
    head = struct.pack('>2B3H2BH', 0x45 + len(options) // 4, tos,
                       20 + len(options) + len(payload), ident, flags, ttl, proto, 0)
    head += packed(src) + packed(dst) + options
    return head[:10] + struct.pack('>H', checksum(head)) + head[12:] + payload


def ip6(src, dst, nh, payload, tclass=0, label=0, hlim=64):
    return struct.pack('>IHBB', 6 << 28 | tclass << 20 | label, len(payload), nh, hlim) + \
        packed(src) + packed(dst) + payload


def header(spi, nh, seq, icv, hlen, align):
    """The AH header, padded; hlen 8: the old one."""
    h = struct.pack('>BBHI', nh, 0, 0, spi) + (struct.pack('>I', seq & 0xffffffff) if hlen == 12 else b'')
    h += icv
    h += bytes(-len(h) % align)
    return h[:1] + bytes([len(h) // 4 - 2]) + h[2:]


def compute(auth, key, data, iv, length):
    if auth in GMAC:
        e = Cipher(algorithms.AES(key[:-4]), modes.GCM(key[-4:] + iv)).encryptor()
        e.authenticate_additional_data(data)
        e.finalize()
        return iv + e.tag
    return whole_mac(auth, key, data)[:length]


class Vector:
    """One packet; what differs from the plain case is given by name."""

    def __init__(self, label, auth, v6, tunnel, size, esn=None, old=False, align=None, cover=None,
                 middle=b'', first=17):
        self.label, self.auth, self.v6, self.tunnel = label, auth, v6, tunnel
        self.size, self.esn, self.old, self.cover = size, esn, old, cover
        self.align = align or (8 if v6 else 4)
        self.said = align
        self.middle, self.first = middle, first

    def inner(self):
        udp = struct.pack('>4H', 1000, 2000, 8 + self.size, 0) + octets(self.label + ' data', self.size)
        if self.v6:
            return ip6(A6, B6, self.first, self.middle + udp, 0x48, 0xabcde, 33)
        return ip4(A, B, 17, udp, 0x48, 7, 0x4000, 33, self.middle)

    def wrap(self, proto, content):
        """The packet with this behind its headers, and as the ICV sees the headers."""
        if self.tunnel:
            # TOS and DF are copied, the rest is the engine's
            return ((ip6(G6, H6, proto, content, 0x48), ip6(G6, H6, proto, content, 0, 0, 0)) if self.v6
                    else (ip4(G, H, proto, content, 0x48, 0x4242, 0x4000),
                          self.zeroed(ip4(G, H, proto, content, 0, 0x4242, 0, 0), b'')))
        if self.v6:
            middle = self.announce(self.middle, proto)
            cover = self.announce(self.cover if self.cover is not None else self.middle, proto)
            nh = self.first if self.middle else proto
            return (ip6(A6, B6, nh, middle + content, 0x48, 0xabcde, 33),
                    ip6(A6, B6, nh, cover + content, 0, 0, 0))
        cover = self.cover if self.cover is not None else self.middle
        return (ip4(A, B, proto, content, 0x48, 7, 0x4000, 33, self.middle),
                self.zeroed(ip4(A, B, proto, content, 0, 7, 0, 0, self.middle), cover))

    @staticmethod
    def announce(middle, proto):
        """One extension header only."""
        return bytes([proto]) + middle[1:] if middle else b''

    @staticmethod
    def zeroed(packet, options):
        return packet[:10] + bytes(2) + packet[12:20] + options + packet[20 + len(options):]

    def write(self, out):
        key = octets(self.label + ' key', MAC.get(self.auth) or GMAC[self.auth])
        seq = int.from_bytes(octets(self.label + ' number', 3), 'big') + 1 | (self.esn or 0) << 32
        iv = octets(self.label + ' iv', 8) if self.auth in GMAC else b''
        length = 16 if self.old or iv else icv_len(self.auth)
        inner = self.inner()
        payload = inner if self.tunnel else inner[(40 if self.v6 else 20) + len(self.middle):]
        nh = (41 if self.v6 else 4) if self.tunnel else 17
        hlen = 8 if self.old else 12
        empty = header(SPI, nh, seq, bytes(len(iv) + length), hlen, self.align)
        data = self.wrap(AH, empty + payload)[1]
        if self.esn is not None:
            data += struct.pack('>I', self.esn)
        icv = compute(self.auth, key, data, iv, length)
        fields = {'auth': self.auth, 'akey': key, 'seq': struct.pack('>Q', seq), 'plain': inner,
                  'authenticated': data,
                  'packet': self.wrap(AH, header(SPI, nh, seq, icv, hlen, self.align) + payload)[0]}
        if self.tunnel:
            fields['mode'] = 'tunnel'
        if self.old:
            fields['old'] = 'yes'
        if self.esn is not None:
            fields['esn'] = 'yes'
        if self.first == 60:
            fields['only'] = 'received'  # testudo puts AH in front of these (RFC 8200 4.1)
        if self.said:
            fields['align'] = bytes([self.said])
        out.add(self.label, **fields)


def algorithms_of(out):
    for n, auth in enumerate([*MAC, *GMAC]):
        for v6 in (False, True):
            for tunnel in (False, True):
                where = f'{auth}, IPv{6 if v6 else 4} {"tunnel" if tunnel else "transport"}'
                Vector(where, auth, v6, tunnel, 5 + 7 * n).write(out)
                Vector(where + ', ESN', auth, v6, tunnel, 3 * n, esn=n).write(out)
                if auth in OLD:
                    Vector(where + ', old', auth, v6, tunnel, 11 * n, old=True).write(out)


def alignments(out):
    for auth in ('hmac-sha256', 'hmac-sha512', 'aes-128-gmac'):
        Vector(f'{auth}, IPv4 aligned to 8', auth, False, False, 20, align=8).write(out)
        Vector(f'{auth}, IPv6 aligned to 4', auth, True, True, 20, align=4).write(out)


def options(out):
    """Options of IPv4, hop-by-hop and destination options of IPv6: as sent, and as authenticated."""
    for name, sent, cover in (
            ('router alert', '94040000', '94040000'),
            ('record route behind router alert', '940400000707040000000001', '940400000000000000000001'),
            ('time stamp', '4408050000000000', '0000000000000000'),
            ('security, no operation', '01820b000000000000000000', '01820b000000000000000000')):
        Vector(name, 'hmac-sha256', False, False, 9, middle=bytes.fromhex(sent),
               cover=bytes.fromhex(cover)).write(out)
    for first, name in ((0, 'hop-by-hop'), (60, 'destination')):
        Vector(f'{name} options', 'hmac-sha256', True, False, 9, first=first,
               middle=bytes.fromhex('1101' '3e03010203' '1e03040506' '01020000'),
               cover=bytes.fromhex('1101' '3e03000000' '1e03040506' '01020000')).write(out)


if __name__ == '__main__':
    writer = Writer('ah_computed.txt', 'AH packets in transport and tunnel mode', 'mkah.py')
    algorithms_of(writer)
    alignments(writer)
    options(writer)

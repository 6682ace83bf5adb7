#!/usr/bin/env python3
"""Writes esp_computed.txt, des_half_iv.txt and keyed.txt: what no publication has numbers for.

usage: mkesp.py

ESP packets in tunnel mode, with and without extended sequence numbers, with each algorithm that
the Python packages cryptography and hashlib have (all but Twofish), computed with these alone.
"""
import hashlib
import hmac
import struct
import warnings

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.cmac import CMAC

try:
    from cryptography.hazmat.decrepit.ciphers import algorithms as old
except ImportError:
    old = algorithms
warnings.simplefilter('ignore')

ORIGIN = """# {title}
# Origin: our own computation with the Python packages cryptography (OpenSSL) and hashlib; {by}.
"""
# kind, bytes of salt, bytes of ICV, bytes of key, whether the IV is in the packet
AEAD = {'aes-gcm-16': ('gcm', 4, 16, (16, 24, 32), True),
        'aes-gcm-12': ('gcm', 4, 12, (16, 24, 32), True),
        'aes-gcm-8': ('gcm', 4, 8, (16, 24, 32), True),
        'aes-gcm-16-iiv': ('gcm', 4, 16, (16, 24, 32), False),
        'aes-gmac': ('gmac', 4, 16, (16, 24, 32), True),
        'aes-ccm-16': ('ccm', 3, 16, (16, 24, 32), True),
        'aes-ccm-12': ('ccm', 3, 12, (16, 24, 32), True),
        'aes-ccm-8': ('ccm', 3, 8, (16, 24, 32), True),
        'aes-ccm-8-iiv': ('ccm', 3, 8, (16, 24, 32), False),
        'chacha20-poly1305': ('chacha', 4, 16, (32,), True),
        'chacha20-poly1305-iiv': ('chacha', 4, 16, (32,), False)}
# cipher, bytes of key, of IV, block for the padding
CIPHER = {'aes-cbc': (algorithms.AES, (16, 24, 32), 16, 16),
          'aes-ctr': (None, (20, 28, 36), 8, 4),
          'camellia-cbc': (old.Camellia if hasattr(old, 'Camellia') else algorithms.Camellia,
                           (16, 24, 32), 16, 16),
          '3des-cbc': (old.TripleDES if hasattr(old, 'TripleDES') else algorithms.TripleDES,
                       (24,), 8, 8),
          'des-cbc': (None, (8,), 8, 8),
          'cast128-cbc': (old.CAST5, (5, 10, 16), 8, 8),
          'blowfish-cbc': (old.Blowfish, (5, 16, 56), 8, 8),
          'null': (None, (0,), 0, 4)}
MAC = {'hmac-sha256': 32, 'hmac-sha384': 48, 'hmac-sha512': 64, 'hmac-sha256-96': 32,
       'hmac-sha1': 20, 'hmac-md5': 16, 'hmac-ripemd160': 20, 'aes-xcbc-mac': 16,
       'aes-cmac': 16, 'keyed-md5': 16, 'keyed-sha1': 20}
ICV = {'md5': 12, 'sha1': 12, 'ripemd160': 12, 'sha256': 16, 'sha384': 24, 'sha512': 32}


def octets(label, n):
    """n bytes that look random and are always the same."""
    out, i = b'', 0
    while len(out) < n:
        out += hashlib.sha512(f'{label} {i}'.encode()).digest()
        i += 1
    return out[:n]


def crypt(cipher, mode, data):
    e = Cipher(cipher, mode).encryptor()
    return e.update(data) + e.finalize()


# ---- MACs -----------------------------------------------------------------------------

def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def xcbc(key, data):
    """RFC 3566 4: the last block is mixed with K2, or padded and mixed with K3."""
    k1, k2, k3 = (crypt(algorithms.AES(key), modes.ECB(), bytes([i] * 16)) for i in (1, 2, 3))
    *blocks, last = [data[i:i + 16] for i in range(0, len(data), 16)] or [b'']
    last = xor(last, k2) if len(last) == 16 else xor((last + b'\x80').ljust(16, b'\0'), k3)
    state = bytes(16)
    for block in (*blocks, last):
        state = crypt(algorithms.AES(k1), modes.ECB(), xor(state, block))
    return state


def keyed(name, key, data):
    """RFC 1828 and RFC 1852: the key is filled as the hash fills a message, and comes once more."""
    fill = key + b'\x80'
    fill = fill.ljust(len(fill) + (56 - len(fill)) % 64, b'\0')
    fill += struct.pack('<Q' if name == 'md5' else '>Q', 8 * len(key))
    return hashlib.new(name, fill + data + key).digest()


def whole_mac(name, key, data):
    if name == 'aes-xcbc-mac':
        return xcbc(key, data)
    if name == 'aes-cmac':
        c = CMAC(algorithms.AES(key))
        c.update(data)
        return c.finalize()
    if name.startswith('keyed-'):
        return keyed(name[6:], key, data)
    return hmac.new(key, data, name[5:].removesuffix('-96')).digest()


def icv_len(name):
    return 12 if name.endswith('-96') else ICV.get(name.removeprefix('hmac-'), 12)


def mac(name, key, data):
    return whole_mac(name, key, data)[:icv_len(name)]


# ---- packets --------------------------------------------------------------------------

def checksum(data):
    s = sum(struct.unpack(f'>{len(data) // 2}H', data))
    s = (s & 0xffff) + (s >> 16)
    return 0xffff - ((s & 0xffff) + (s >> 16))


def inner(label, payload):
    """UDP over IPv4 without checksum of its own."""
    udp = struct.pack('>4H', 1000, 2000, 8 + payload, 0) + octets(label + ' payload', payload)
    ip = struct.pack('>2B3H2BH8B', 0x45, 0, 20 + len(udp), 7, 0, 64, 17, 0,
                     192, 0, 2, 1, 198, 51, 100, 9)
    return ip[:10] + struct.pack('>H', checksum(ip)) + ip[12:] + udp


def padded(data, block):
    n = -(len(data) + 2) % max(block, 4)
    return data + bytes(range(1, n + 1)) + bytes([n, 4])


def aead(kind, key, nonce, aad, iv, text, icv_len):
    """Ciphertext and ICV."""
    if kind in ('gcm', 'gmac'):
        e = Cipher(algorithms.AES(key), modes.GCM(nonce)).encryptor()
        # RFC 4543 3.3: the IV and the payload are additional data, too
        e.authenticate_additional_data(aad if kind == 'gcm' else aad + iv + text)
        out = text if kind == 'gmac' else e.update(text)
        e.finalize()
        return out, e.tag[:icv_len]
    c = AESCCM(key, tag_length=icv_len) if kind == 'ccm' else ChaCha20Poly1305(key)
    out = c.encrypt(nonce, text, aad)
    return out[:len(text)], out[len(text):]


def encrypt(name, key, iv, text):
    if name == 'null':
        return text
    if name == 'aes-ctr':
        return crypt(algorithms.AES(key[:-4]), modes.CTR(key[-4:] + iv + b'\0\0\0\1'), text)
    if name == 'des-cbc':
        return crypt(CIPHER['3des-cbc'][0](key * 3), modes.CBC(iv), text)
    return crypt(CIPHER[name][0](key), modes.CBC(iv), text)


class Writer:
    def __init__(self, name, title, by='mkesp.py'):
        self.file = open(name, 'w')
        self.file.write(ORIGIN.format(title=title, by=by))
        self.n = 0

    def add(self, comment, **fields):
        self.file.write(f'\n# {comment}\n')
        for key, value in fields.items():
            if value is not None:
                value = value.hex() if isinstance(value, bytes) else value
                self.file.write(f'{key} = {value}'.rstrip() + '\n')

    def header(self, label, esn):
        """SPI and sequence number, and the high half if there is one; all SPIs differ."""
        self.n += 1
        seq = octets(label + ' seq', 8)
        return struct.pack('>I', 0x1000 + self.n) + seq[4:], seq[:4] if esn else None


def size(label):
    return 1 + octets(label + ' size', 1)[0] % 120


def add_aead(out, name, key_len, esn):
    kind, salt_len, icv_len, _, has_iv = AEAD[name]
    label = f'{name}, {8 * key_len} bits' + (', ESN' if esn else '')
    key, salt = octets(label + ' key', key_len), octets(label + ' salt', salt_len)
    header, high = out.header(label, esn)
    # RFC 4106 5: the high half comes in the middle; RFC 8750 4: the number is the IV.
    aad = header if high is None else header[:4] + high + header[4:]
    iv = octets(label + ' iv', 8) if has_iv else (high or bytes(4)) + header[4:]
    text = padded(inner(label, size(label)), 4)
    cipher, icv = aead(kind, key, salt + iv, aad, iv, text, icv_len)
    out.add(label, enc=name, ekey=key + salt, esn=high, header=header, iv=iv if has_iv else b'',
            plain=text, cipher=cipher, icv=icv)


def add_pair(out, enc, key_len, auth, esn):
    _, _, iv_len, block = CIPHER[enc]
    label = f'{enc}, {8 * key_len} bits, {auth}' + (', ESN' if esn else '')
    ekey, akey = octets(label + ' ekey', key_len), octets(label + ' akey', MAC[auth])
    header, high = out.header(label, esn)
    iv = octets(label + ' iv', iv_len)
    text = padded(inner(label, size(label)), block)
    cipher = encrypt(enc, ekey, iv, text)
    # RFC 4303 2.2.1: the high half behind the payload
    icv = mac(auth, akey, header + iv + cipher + (high or b''))
    out.add(label, enc=enc, ekey=ekey, auth=auth, akey=akey, esn=high, header=header, iv=iv,
            plain=text, cipher=cipher, icv=icv)


def packets():
    out = Writer('esp_computed.txt', 'ESP packets in tunnel mode')
    for esn in (False, True):
        for name, what in AEAD.items():
            for key_len in what[3]:
                add_aead(out, name, key_len, esn)
        macs = list(MAC)
        for enc, what in CIPHER.items():
            for key_len in what[1]:
                # each MAC in its turn; NULL with all of them
                for auth in MAC if enc == 'null' else (macs[0],):
                    add_pair(out, enc, key_len, auth, esn)
                macs = macs[1:] + macs[:1]


def half_iv():
    out = Writer('des_half_iv.txt', 'DES-CBC with an IV made of the second word of the header and '
                 'its complement: RFC 1829 4,\n# and the sequence number as in '
                 'draft-ietf-ipsec-ciph-des-derived-01')
    for n in (8, 16, 64, 200):
        label = f'DES, half IV, {n} bytes'
        key, header, text = octets(label + ' key', 8), octets(label + ' header', 8), octets(label, n)
        iv = header[4:] + xor(header[4:], b'\xff' * 4)
        out.add(label, enc='des-cbc-half', ekey=key, header=header, plain=text,
                cipher=encrypt('des-cbc', key, iv, text))


def macs_alone():
    out = Writer('keyed.txt', 'Keyed MD5 and keyed SHA-1 (RFC 1828, RFC 1852), truncated to 96 bits')
    for name in ('keyed-md5', 'keyed-sha1'):
        # around the ends of blocks
        for n in (1, 8, 31, 39, 40, 43, 44, 48, 55, 56, 63, 64, 65, 128, 300, 1500):
            label = f'{name}, {n} bytes'
            key, data = octets(label + ' key', MAC[name]), octets(label, n)
            out.add(label, auth=name, akey=key, plain=data, icv=mac(name, key, data))


if __name__ == '__main__':
    packets()
    half_iv()
    macs_alone()

#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Prints src/crypto/selftest.def: one ESP packet protected with every algorithm.

Nothing of testudo takes part: modes, nonces and MACs are written out here as their RFCs say,
on the ciphers and hashes of Python's hashlib and cryptography modules, and of libgcrypt for
Twofish and RIPEMD-160.  usage: mkselftest.py >src/crypto/selftest.def
"""
import ctypes
import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.cmac import CMAC

SPI, SEQ, ESN_HI = bytes.fromhex('00001000'), bytes.fromhex('00000001'), bytes.fromhex('01020304')
IV = bytes(range(0xa0, 0xb0))
PLAIN = bytes(range(0x20, 0x40))


def key(first, n):
    return bytes((first + 7 * i) & 0xff for i in range(n))


# ---- libgcrypt ----------------------------------------------------------------------

GCRY = ctypes.CDLL('libgcrypt.so.20')
GCRY.gcry_check_version.restype = ctypes.c_char_p
GCRY.gcry_check_version(None)
GCRY.gcry_md_hash_buffer.restype = None


def ripemd160(data):
    out = ctypes.create_string_buffer(20)
    GCRY.gcry_md_hash_buffer(3, out, data, ctypes.c_size_t(len(data)))  # GCRY_MD_RMD160
    return out.raw


def twofish_cbc(k, iv, data):
    number = {16: 303, 24: None, 32: 10}[len(k)]  # GCRY_CIPHER_TWOFISH128, GCRY_CIPHER_TWOFISH
    h = ctypes.c_void_p()
    buf = ctypes.create_string_buffer(data, len(data))
    assert GCRY.gcry_cipher_open(ctypes.byref(h), number, 3, 0) == 0  # GCRY_CIPHER_MODE_CBC
    assert GCRY.gcry_cipher_setkey(h, k, ctypes.c_size_t(len(k))) == 0
    assert GCRY.gcry_cipher_setiv(h, iv, ctypes.c_size_t(16)) == 0
    assert GCRY.gcry_cipher_encrypt(h, buf, ctypes.c_size_t(len(data)), None, 0) == 0
    return buf.raw


# ---- ciphers: (key with salt, esn) -> IV, payload, ICV or None ---------------------------


def lib(algorithm, mode, data):
    e = Cipher(algorithm, mode).encryptor()
    return e.update(data) + e.finalize()


def cbc(algorithm, size):
    return lambda k, esn: (IV[:size], lib(algorithm(k), modes.CBC(IV[:size]), PLAIN), None)


def twofish(k, esn):
    return IV, twofish_cbc(k, IV, PLAIN), None


def half_iv(k, esn):
    """RFC 1829: 4 bytes of the packet and their complement; one-key DES is 3DES with one key."""
    iv = SEQ + bytes(b ^ 0xff for b in SEQ)
    return b'', lib(algorithms.TripleDES(k), modes.CBC(iv), PLAIN), None


def ctr(k, esn):
    """RFC 3686 4: nonce, IV, block counter from 1."""
    return IV[:8], lib(algorithms.AES(k[:-4]), modes.CTR(k[-4:] + IV[:8] + struct.pack('>I', 1)),
                       PLAIN), None


def aad(esn):
    return SPI + (ESN_HI if esn else b'') + SEQ


def aead(make, icv, salt, implicit=False):
    """RFC 4106, 4309, 7634; RFC 8750: the sequence number for the IV."""
    def run(k, esn):
        iv = (ESN_HI if esn else bytes(4)) + SEQ if implicit else IV[:8]
        c = make(k[:-salt], icv).encrypt(k[-salt:] + iv, PLAIN, aad(esn))
        # A shorter tag of GCM is the beginning of the long one.
        return b'' if implicit else iv, c[:len(PLAIN)], c[len(PLAIN):][:icv]
    return run


def gmac(k, esn):
    """RFC 4543 3.3: all is AAD."""
    c = AESGCM(k[:-4]).encrypt(k[-4:] + IV[:8], b'', aad(esn) + IV[:8] + PLAIN)
    return IV[:8], PLAIN, c


def gcm(k, icv):
    return AESGCM(k)


def ccm(k, icv):
    return AESCCM(k, icv)


def chacha(k, icv):
    return ChaCha20Poly1305(k)


def null(k, esn):
    return b'', PLAIN, None


# ---- MACs: (key, message) -> tag -------------------------------------------------------


def hmac_of(name, n):
    return lambda k, m: hmac.new(k, m, name).digest()[:n]


def hmac_ripemd160(k, m):
    k = k.ljust(64, b'\0')
    inner = ripemd160(bytes(b ^ 0x36 for b in k) + m)
    return ripemd160(bytes(b ^ 0x5c for b in k) + inner)[:12]


def keyed(name, order):
    """RFC 1828, RFC 1852: key and its fill, message, key."""
    def run(k, m):
        fill = b'\x80' + bytes(56 - len(k) - 1) + struct.pack(order + 'Q', 8 * len(k))
        return hashlib.new(name, k + fill + m + k).digest()[:12]
    return run


def xcbc(k, m):
    """RFC 3566 4."""
    def ecb(k, block):
        return lib(algorithms.AES(k), modes.ECB(), block)

    def xor(a, b):
        return bytes(x ^ y for x, y in zip(a, b))
    k1, k2, k3 = (ecb(k, bytes([i]) * 16) for i in (1, 2, 3))
    blocks = [m[i:i + 16] for i in range(0, len(m), 16)]
    e = bytes(16)
    for b in blocks[:-1]:
        e = ecb(k1, xor(e, b))
    last = blocks[-1]
    last = xor(last, k2) if len(last) == 16 else xor((last + b'\x80').ljust(16, b'\0'), k3)
    return ecb(k1, xor(e, last))[:12]


def cmac(k, m):
    c = CMAC(algorithms.AES(k))
    c.update(m)
    return c.finalize()[:12]


CIPHERS = {
    'AES_GCM_16': aead(gcm, 16, 4), 'AES_GCM_12': aead(gcm, 12, 4), 'AES_GCM_8': aead(gcm, 8, 4),
    'AES_GCM_16_IIV': aead(gcm, 16, 4, True),
    'AES_CCM_16': aead(ccm, 16, 3), 'AES_CCM_12': aead(ccm, 12, 3), 'AES_CCM_8': aead(ccm, 8, 3),
    'AES_CCM_8_IIV': aead(ccm, 8, 3, True),
    'CHACHA20_POLY1305': aead(chacha, 16, 4),
    'CHACHA20_POLY1305_IIV': aead(chacha, 16, 4, True),
    'AES_GMAC': gmac,
    'AES_CBC': cbc(algorithms.AES, 16), 'AES_CTR': ctr,
    'CAMELLIA_CBC': cbc(algorithms.Camellia, 16), 'TWOFISH_CBC': twofish,
    '3DES_CBC': cbc(algorithms.TripleDES, 8), 'DES_CBC': cbc(algorithms.TripleDES, 8),
    'CAST128_CBC': cbc(algorithms.CAST5, 8), 'BLOWFISH_CBC': cbc(algorithms.Blowfish, 8),
    'DES_HALF_IV': half_iv, 'NULL': null,
}
MACS = {
    'HMAC_MD5': (16, hmac_of('md5', 12)), 'HMAC_SHA1': (20, hmac_of('sha1', 12)),
    'HMAC_SHA256': (32, hmac_of('sha256', 16)), 'HMAC_SHA384': (48, hmac_of('sha384', 24)),
    'HMAC_SHA512': (64, hmac_of('sha512', 32)), 'HMAC_RIPEMD160': (20, hmac_ripemd160),
    'HMAC_SHA256_96': (32, hmac_of('sha256', 12)), 'AES_XCBC_MAC': (16, xcbc),
    'AES_CMAC': (16, cmac), 'KEYED_MD5': (16, keyed('md5', '<')),
    'KEYED_SHA1': (20, keyed('sha1', '>')), 'NULL': (0, lambda k, m: bytes(12)),
}
# Every AEAD and cipher with every length of key that it treats differently.
ROWS = [(a, n, None, esn)
        for a, lengths in (('AES_GCM_16', (20, 28, 36)), ('AES_GCM_12', (20, 36)),
                           ('AES_GCM_8', (28, 20)), ('AES_GCM_16_IIV', (20, 28, 36)),
                           ('AES_CCM_16', (19, 27, 35)), ('AES_CCM_12', (35, 19)),
                           ('AES_CCM_8', (19, 35)), ('AES_CCM_8_IIV', (35, 27)),
                           ('CHACHA20_POLY1305', (36,)), ('CHACHA20_POLY1305_IIV', (36,)),
                           ('AES_GMAC', (20, 28, 36)))
        for n in lengths for esn in (False, True)]
ROWS += [('AES_CBC', 16, 'HMAC_SHA1', False), ('AES_CBC', 24, 'HMAC_MD5', True),
         ('AES_CBC', 32, 'HMAC_SHA256', True), ('AES_CBC', 16, 'HMAC_SHA384', True),
         ('AES_CBC', 32, 'HMAC_SHA512', False), ('AES_CBC', 16, 'AES_XCBC_MAC', True),
         ('AES_CBC', 24, 'AES_CMAC', False), ('AES_CBC', 32, 'NULL', True),
         ('AES_CTR', 20, 'HMAC_SHA256_96', False), ('AES_CTR', 28, 'AES_XCBC_MAC', False),
         ('AES_CTR', 36, 'HMAC_SHA512', True), ('CAMELLIA_CBC', 16, 'HMAC_SHA1', False),
         ('CAMELLIA_CBC', 24, 'HMAC_SHA256', True), ('CAMELLIA_CBC', 32, 'AES_CMAC', True),
         ('TWOFISH_CBC', 16, 'HMAC_MD5', False), ('TWOFISH_CBC', 32, 'HMAC_SHA512', True),
         ('3DES_CBC', 24, 'HMAC_MD5', False), ('3DES_CBC', 24, 'HMAC_SHA384', True),
         ('DES_CBC', 8, 'HMAC_MD5', True), ('DES_CBC', 8, 'KEYED_SHA1', False),
         ('DES_HALF_IV', 8, 'KEYED_MD5', False), ('CAST128_CBC', 5, 'HMAC_MD5', False),
         ('CAST128_CBC', 10, 'HMAC_SHA1', True), ('CAST128_CBC', 11, 'HMAC_RIPEMD160', False),
         ('CAST128_CBC', 16, 'HMAC_SHA256', False), ('BLOWFISH_CBC', 5, 'HMAC_SHA1', False),
         ('BLOWFISH_CBC', 16, 'HMAC_SHA1', True), ('BLOWFISH_CBC', 56, 'HMAC_SHA256', True)]
ROWS += [(c, n, None, False)
         for c, n in (('AES_CBC', 16), ('AES_CBC', 24), ('AES_CBC', 32), ('AES_CTR', 20),
                      ('CAMELLIA_CBC', 24), ('TWOFISH_CBC', 32), ('3DES_CBC', 24), ('DES_CBC', 8),
                      ('DES_HALF_IV', 8), ('CAST128_CBC', 16), ('BLOWFISH_CBC', 32), ('NULL', 0))]
ROWS += [('NULL', 0, m, esn) for m in MACS for esn in (False, True)]
ROWS += [(None, 0, m, esn) for m in MACS for esn in (False, True)]


def row(enc, n, auth, esn):
    iv, cipher, icv = CIPHERS[enc or 'NULL'](key(0x01, n), esn)
    if auth:
        length, mac = MACS[auth]
        icv = mac(key(0x81, length), SPI + SEQ + iv + cipher + (ESN_HI if esn else b''))
    return '    {%s, %d, %s, %s,\n\t"%s",\n\t"%s"},' % (
        'TDO_EALG_' + enc if enc else 0, n, 'TDO_AALG_' + auth if auth else 0,
        'true' if esn else 'false', cipher.hex(), (icv or b'').hex())


print('/* SPDX-License-Identifier: BSD-2-Clause */')
print('/* Cipher, its key in bytes, MAC, ESN; payload and ICV.  Made by tests/vectors/mkselftest.py. */')
for r in ROWS:
    print(row(*r))

"""What scapy and zlib have, as testudo names it."""
import zlib

from packet_engine import Engine

BUILT = [name for name, *_ in Engine().algorithms()]
# testudo's name, scapy's, bytes of the key
MACS = [m for m in (("hmac-md5", "HMAC-MD5-96", 16), ("hmac-sha1", "HMAC-SHA1-96", 20),
                    ("hmac-sha256", "SHA2-256-128", 32), ("hmac-sha384", "SHA2-384-192", 48),
                    ("hmac-sha512", "SHA2-512-256", 64), ("aes-cmac", "AES-CMAC-96", 16)) if m[0] in BUILT]


def deflate(data, level=9, strategy=zlib.Z_DEFAULT_STRATEGY, window=15):
    z = zlib.compressobj(level, zlib.DEFLATED, -window, 9, strategy)
    return z.compress(data) + z.flush()


def inflate(stream):
    z = zlib.decompressobj(-15)
    data = z.decompress(stream)
    assert z.eof and not z.unused_data, "not one whole stream"
    return data

"""What the algorithms are called: testudo's names (rows of the engine's table) and the kernel's."""

# Rows of the engine's table that Linux does not have, and why.
KERNEL_LACKS = {
    ("aead", "aes-gcm-16-iiv"): "no implicit IV (RFC 8750)",
    ("aead", "chacha20-poly1305-iiv"): "no implicit IV (RFC 8750)",
    ("aead", "aes-ccm-8-iiv"): "no implicit IV (RFC 8750)",
    ("enc", "des-deriv"): "no derived IV",
    ("auth", "keyed-md5"): "no keyed hashes",
    ("auth", "keyed-sha1"): "no keyed hashes",
    ("auth", "aes-128-gmac"): "no GMAC in AH",
    ("auth", "aes-192-gmac"): "no GMAC in AH",
    ("auth", "aes-256-gmac"): "no GMAC in AH",
    ("auth", "null"): "its digest_null has an ICV of no bytes, that of the KAME family has 12",
}
AEADS = {
    "aes-gcm-16": ("rfc4106(gcm(aes))", 128),
    "aes-gcm-12": ("rfc4106(gcm(aes))", 96),
    "aes-gcm-8": ("rfc4106(gcm(aes))", 64),
    "aes-ccm-16": ("rfc4309(ccm(aes))", 128),
    "aes-ccm-12": ("rfc4309(ccm(aes))", 96),
    "aes-ccm-8": ("rfc4309(ccm(aes))", 64),
    "chacha20-poly1305": ("rfc7539esp(chacha20,poly1305)", 128),
    "aes-gmac": ("rfc4543(gcm(aes))", 128),
}
CIPHERS = {
    "aes-cbc": "cbc(aes)",
    "aes-ctr": "rfc3686(ctr(aes))",
    "camellia-cbc": "cbc(camellia)",
    "twofish-cbc": "cbc(twofish)",
    "3des-cbc": "cbc(des3_ede)",
    "des-cbc": "cbc(des)",
    "cast128-cbc": "cbc(cast5)",
    "blowfish-cbc": "cbc(blowfish)",
    "null": "ecb(cipher_null)",
}
# name, bits of the ICV on the wire
MACS = {
    "hmac-md5": ("hmac(md5)", 96),
    "hmac-sha1": ("hmac(sha1)", 96),
    "hmac-sha256": ("hmac(sha256)", 128),
    "hmac-sha256-96": ("hmac(sha256)", 96),
    "hmac-sha384": ("hmac(sha384)", 192),
    "hmac-sha512": ("hmac(sha512)", 256),
    "hmac-ripemd160": ("hmac(rmd160)", 96),
    "aes-xcbc-mac": ("xcbc(aes)", 96),
    "aes-cmac": ("cmac(aes)", 96),
}
KNOWN = {"aead": AEADS, "enc": CIPHERS, "auth": MACS}


class Pair:
    """A cipher with its key length, and a MAC or None."""

    def __init__(self, cipher, bits, mac=None, mac_bits=0, between=False):
        """between: one of dozens of key lengths, but neither of the ends nor 128"""
        self.cipher, self.bits, self.mac, self.mac_bits, self.between = cipher, bits, mac, mac_bits, between

    @property
    def integrity(self):
        return self.mac is not None or self.cipher in AEADS

    def __str__(self):
        return f"{self.cipher}{f' {self.bits}' if self.bits else ''}{f' + {self.mac}' if self.mac else ''}"

    def guest_words(self, key, mac_key):
        if self.cipher in AEADS:
            name, icv = AEADS[self.cipher]
            return f"aead '{name}' 0x{key.hex()} {icv}"
        words = f"enc '{CIPHERS[self.cipher]}' {'0x' + key.hex() if key else repr('')}"
        if self.mac:
            name, icv = MACS[self.mac]
            words = f"auth-trunc '{name}' 0x{mac_key.hex()} {icv} {words}"
        return words


def untested(rows):
    """Rows of the engine that are neither tested nor known to be absent from Linux."""
    return [(kind, name) for name, kind, _ in rows
            if name not in KNOWN[kind] and (kind, name) not in KERNEL_LACKS]


def pairs(rows):
    """All pairs that both have, with every key length; of ciphers that have dozens of those, the
    ones between the ends and 128 are alone and with one MAC."""
    tested = [(name, kind, bits) for name, kind, bits in rows if name in KNOWN[kind]]
    ciphers = [(name, b, bits) for name, kind, bits in tested if kind == "enc" for b in bits]
    macs = [(name, bits[0]) for name, kind, bits in tested if kind == "auth"]
    out = [Pair(name, b) for name, kind, bits in tested if kind == "aead" for b in bits]
    for mac in [(None, 0)] + macs:
        for name, b, bits in ciphers:
            between = len(bits) > 3 and b not in (bits[0], 128, bits[-1])
            if (name != "null" or mac[0]) and (mac[0] in (None, "hmac-sha256") or not between):
                out.append(Pair(name, b, *mac, between))
    return out

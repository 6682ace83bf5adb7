#!/usr/bin/env python3
"""Writes wycheproof_*.txt from the JSON files of project Wycheproof.

usage: mkwycheproof.py DIRECTORY

DIRECTORY is the project's testvectors_v1.  What ESP cannot express is left out: IVs of other
lengths than salt and IV together, other tag lengths than ours, keys longer than those of our rows,
MACs over nothing (ipsec-mb does not do them; what ESP and AH cover has a header).
The GMAC file does not fit at all: in ESP the IV is part of what is authenticated.
"""
import hashlib
import hmac
import json
import pathlib
import sys

ORIGIN = """# {title}
# Origin: project Wycheproof (C2SP), testvectors_v1/{name}_test.json, copyright Google and others.
# Licence: Apache-2.0 (http://www.apache.org/licenses/LICENSE-2.0); the values are as they were,
# in another form.  Made by mkwycheproof.py.
"""
AEAD = {'aes_gcm': ('AES-GCM', 'aes-gcm-16', 4), 'aes_ccm': ('AES-CCM', 'aes-ccm-16', 3),
        'chacha20_poly1305': ('ChaCha20-Poly1305', 'chacha20-poly1305', 4)}
CBC = {'aes_cbc_pkcs5': ('AES-CBC', 'aes-cbc'), 'camellia_cbc_pkcs5': ('Camellia-CBC', 'camellia-cbc')}
# our name, bytes of key, bytes of ICV
HMAC = {'hmac_sha1': ('hmac-sha1', 20, 12), 'hmac_sha256': ('hmac-sha256', 32, 16),
        'hmac_sha384': ('hmac-sha384', 48, 24), 'hmac_sha512': ('hmac-sha512', 64, 32)}


def groups(root, name):
    return json.loads((root / f'{name}_test.json').read_text())['testGroups']


def start(name, title):
    out = open(f'wycheproof_{name}.txt', 'w')
    out.write(ORIGIN.format(title=title, name=name))
    return out


def add(out, test, **fields):
    comment = ', '.join(part for part in (*test['flags'], test['comment']) if part)
    out.write(f'\n# {test["tcId"]}: {comment}\n')
    for key, value in fields.items():
        if value is not None:
            out.write(f'{key} = {value}'.rstrip() + '\n')


def invalid(bad):
    return 'invalid' if bad else None


def aead(root, name, title, alg, salt_len):
    out = start(name, f'{title}: the header is the AAD')
    for group in groups(root, name):
        if group['ivSize'] != 8 * (salt_len + 8) or group['tagSize'] != 128:
            continue
        for test in group['tests']:
            bad = test['result'] == 'invalid'
            add(out, test, enc=alg, ekey=test['key'] + test['iv'][:2 * salt_len],
                header=test['aad'], iv=test['iv'][2 * salt_len:],
                plain=None if bad else test['msg'], cipher=test['ct'], icv=test['tag'],
                result=invalid(bad))


def cbc(root, name, title, alg):
    """Faults of the padding are not ours to find: ESP has another one."""
    out = start(name, f'{title}; the padding of PKCS#5 is part of the plaintext')
    for group in groups(root, name):
        for test in group['tests']:
            if test['result'] == 'valid':
                fill = 16 - len(test['msg']) // 2 % 16
                add(out, test, enc=alg, ekey=test['key'], iv=test['iv'],
                    plain=test['msg'] + bytes([fill] * fill).hex(), cipher=test['ct'])


def truncated(test, name, icv_len):
    """The MAC as ESP sends it, and whether it is wrong: the fault may stand behind it."""
    right = hmac.digest(bytes.fromhex(test['key']), bytes.fromhex(test['msg']),
                        getattr(hashlib, name.removeprefix('hmac_')))
    mac = bytes.fromhex(test['tag'])[:icv_len]
    return mac.hex(), mac != right[:icv_len]


def hmac_set(root, name, alg, key_len, icv_len):
    out = start(name, f'HMAC, truncated to {icv_len} bytes as ESP uses it; shorter keys are filled '
                'with zeros,\n# which gives the same MAC (RFC 2104 2)')
    for group in groups(root, name):
        if group['keySize'] > 8 * key_len or group['tagSize'] < 8 * icv_len:
            continue
        for test in group['tests']:
            mac, bad = truncated(test, name, icv_len)
            if test['msg'] and (bad or test['result'] == 'valid'):
                add(out, test, auth=alg, akey=test['key'].ljust(2 * key_len, '0'),
                    plain=test['msg'], icv=mac, result=invalid(bad))


def cmac(root):
    out = start('aes_cmac', 'AES-CMAC, truncated to 96 bits (RFC 4494)')
    for group in groups(root, 'aes_cmac'):
        for test in group['tests']:
            bits = [int(word) for word in test['comment'].split() if word.isdigit()]
            behind = 'in tag' in test['comment'] and bits and min(bits) >= 96
            if group['keySize'] in (192, 256) or behind or not test['msg']:
                continue
            add(out, test, auth='aes-cmac', akey=test['key'], plain=test['msg'],
                icv=test['tag'][:24], result=invalid(test['result'] == 'invalid'))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    root = pathlib.Path(sys.argv[1])
    for name, what in AEAD.items():
        aead(root, name, *what)
    for name, what in CBC.items():
        cbc(root, name, *what)
    for name, what in HMAC.items():
        hmac_set(root, name, *what)
    cmac(root)


main()

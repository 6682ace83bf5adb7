#!/usr/bin/env python3
"""Writes nist_*.txt from the files of NIST's Cryptographic Algorithm Validation Program.

usage: mknist.py DIRECTORY

DIRECTORY holds the unpacked .rsp files, in any folders.  What ESP cannot express is left out:
IVs of GCM that are not 96 bits long, nonces of CCM that are not 88 bits long, other tag
lengths than ours, keys longer than those of our rows.  Of the rest, each combination of
lengths stays.
"""
import pathlib
import sys

ORIGIN = """# {title}
# Origin: NIST, Cryptographic Algorithm Validation Program:
# {files}.
# Licence: a work of the government of the United States, in the public domain.
# Made by mknist.py.
"""
GCM_NAME = {128: 'aes-gcm-16', 96: 'aes-gcm-12', 64: 'aes-gcm-8'}
# L of the file: our names, bytes of key, bytes of ICV.  Other hashes have longer keys only.
HMAC_NAME = {20: [('hmac-sha1', 20, 12)],
             32: [('hmac-sha256', 32, 16), ('hmac-sha256-96', 32, 12)]}


def find(root, name):
    for path in sorted(pathlib.Path(root).rglob(name)):
        return path
    sys.exit(f'{name}: not found below {root}')


def blocks(path):
    """The cases of a file, as dictionaries; settings in square brackets go into them."""
    section, case = {}, {}
    for line in path.read_text().splitlines():
        line = line.strip()
        if line.startswith('['):
            if case:
                yield case
                case = {}
            for part in line.strip('[]').split(','):
                key, _, value = part.partition('=')
                if value:
                    section[key.strip()] = value.strip()
                else:
                    section = {'': key.strip()}
        elif '=' in line and not line.startswith('#'):
            key, _, value = line.partition('=')
            case = case or dict(section)
            case[key.strip()] = value.strip()
        elif line == 'FAIL':
            case['FAIL'] = True
        elif not line and case:
            yield case
            case = {}
    if case:
        yield case


def cases(path):
    """As blocks(); lengths that stand in a block of their own stay for those that follow."""
    lengths = {}
    for case in blocks(path):
        if any(key in case for key in ('COUNT', 'Count')):
            yield {**lengths, **case}
        else:
            lengths.update(case)


class Writer:
    def __init__(self, name, title, files):
        self.file = open(name, 'w')
        self.file.write(ORIGIN.format(title=title, files=files))

    def add(self, comment, **fields):
        self.file.write(f'\n# {comment}\n')
        for key, value in fields.items():
            if value is not None:
                self.file.write(f'{key} = {value}'.rstrip() + '\n')


def cbc(root):
    out = Writer('nist_aes_cbc.txt', 'AES-CBC', 'CBCMMT, CBCGFSbox and CBCKeySbox of all key lengths')
    for bits in (128, 192, 256):
        for name in ('MMT', 'GFSbox', 'KeySbox'):
            path = find(root, f'CBC{name}{bits}.rsp')
            for case in cases(path):
                if name != 'MMT' and case[''] == 'DECRYPT':
                    continue
                out.add(f'{path.name}, {case[""]}, {case["COUNT"]}', enc='aes-cbc',
                        ekey=case['KEY'], iv=case['IV'], plain=case['PLAINTEXT'],
                        cipher=case['CIPHERTEXT'])


def des3(root):
    out = Writer('nist_des3_cbc.txt', '3DES-CBC', 'TCBCMMT2 and TCBCMMT3')
    for name in ('TCBCMMT2.rsp', 'TCBCMMT3.rsp'):
        for case in cases(find(root, name)):
            key = case['KEY1'] + case['KEY2'] + case['KEY3'] if 'KEY1' in case else None
            out.add(f'{name}, {case[""]}, {case["COUNT"]}', enc='3des-cbc', ekey=key,
                    iv=case['IV'], plain=case['PLAINTEXT'], cipher=case['CIPHERTEXT'])


def des(root):
    """Triple DES with three equal keys is DES; not from the files with weak keys."""
    files = 'TCBCpermop.rsp', 'TCBCsubtab.rsp', 'TCBCvarkey.rsp'
    out = Writer('nist_des_cbc.txt', 'DES-CBC: cases of 3DES whose three keys are equal',
                 ', '.join(files))
    for name in files:
        for case in cases(find(root, name)):
            if case[''] == 'ENCRYPT':
                out.add(f'{name}, {case["COUNT"]}', enc='des-cbc', ekey=case['KEYs'],
                        iv=case['IV'], plain=case['PLAINTEXT'], cipher=case['CIPHERTEXT'])


def gcm(root):
    out = Writer('nist_aes_gcm.txt', 'AES-GCM: 96-bit IVs; the header is the AAD',
                 'gcmEncryptExtIV and gcmDecrypt of all key lengths')
    for kind in ('EncryptExtIV', 'Decrypt'):
        for bits in (128, 192, 256):
            path = find(root, f'gcm{kind}{bits}.rsp')
            seen = set()
            for case in cases(path):
                bad = 'FAIL' in case
                what = case['PTlen'], case['AADlen'], case['Taglen']
                if case['IVlen'] != '96' or int(case['Taglen']) not in GCM_NAME or what in seen:
                    continue
                if kind == 'Decrypt' and not bad:
                    continue  # as those of the other file
                seen.add(what)
                out.add(f'{path.name}, PTlen {what[0]}, AADlen {what[1]}, count {case["Count"]}',
                        enc=GCM_NAME[int(case['Taglen'])], ekey=case['Key'] + case['IV'][:8],
                        header=case['AAD'], iv=case['IV'][8:], plain=case.get('PT'),
                        cipher=case['CT'], icv=case['Tag'], result='invalid' if bad else None)


def ccm(root):
    out = Writer('nist_aes_ccm.txt', 'AES-CCM: 88-bit nonces; the header is the AAD',
                 'VNT of all key lengths')
    for bits in (128, 192, 256):
        path = find(root, f'VNT{bits}.rsp')
        key = None
        for case in cases(path):
            key = case.get('Key', key)
            if case['Nlen'] != '11':
                continue
            icv = int(case['Tlen']) * 2
            out.add(f'{path.name}, {case["Count"]}', enc=f'aes-ccm-{icv // 2}',
                    ekey=key + case['Nonce'][:6], header=case['Adata'], iv=case['Nonce'][6:],
                    plain=case['Payload'], cipher=case['CT'][:-icv], icv=case['CT'][-icv:])


def hmac(root):
    out = Writer('nist_hmac.txt', 'HMAC, truncated as ESP uses it; keys that are shorter than '
                 'ours\n# are filled with zeros, which gives the same MAC (RFC 2104 2)', 'HMAC')
    for case in cases(find(root, 'HMAC.rsp')):
        for name, key_len, icv_len in HMAC_NAME.get(int(case['L']), []):
            lens = int(case['Klen']), int(case['Tlen'])
            if lens[0] > key_len or lens[1] < icv_len:
                continue
            out.add(f'HMAC.rsp, L {case["L"]}, Klen {lens[0]}, Tlen {lens[1]}, '
                    f'count {case["Count"]}', auth=name, akey=case['Key'].ljust(2 * key_len, '0'),
                    plain=case['Msg'], icv=case['Mac'][:2 * icv_len])


def cmac(root):
    out = Writer('nist_aes_cmac.txt', 'AES-CMAC with 128-bit keys, truncated to 96 bits '
                 '(RFC 4494)', 'CMACGenAES128 and CMACVerAES128')
    for name in ('CMACGenAES128.rsp', 'CMACVerAES128.rsp'):
        for case in cases(find(root, name)):
            msg = case['Msg'] if case['Mlen'] != '0' else ''
            bad = case.get('Result', 'P').startswith('F')
            # The fault of a MAC may stand behind what we compare; some messages are very long.
            if int(case['Tlen']) < 12 or len(msg) > 8192 or 'MAC changed' in case.get('Result', ''):
                continue
            out.add(f'{name}, Tlen {case["Tlen"]}, count {case["Count"]}', auth='aes-cmac',
                    akey=case['Key'], plain=msg, icv=case['Mac'][:24],
                    result='invalid' if bad else None)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for make in (cbc, des3, des, gcm, ccm, hmac, cmac):
        make(sys.argv[1])


main()

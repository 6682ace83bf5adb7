#!/usr/bin/python3
"""Writes deflate.txt: raw DEFLATE streams (RFC 1951) made by Python's zlib, with what is in them,
and streams that are none, by hand.

    tests/vectors/mkdeflate.py > tests/vectors/deflate.txt
"""
import random
import zlib

rng = random.Random(3173)
TEXT = (b'GET /index.html HTTP/1.1\r\nHost: www.example.org\r\nAccept: text/html,text/plain\r\n'
        b'Accept-Language: en\r\nConnection: keep-alive\r\n\r\n')


def deflate(data, level=9, strategy=zlib.Z_DEFAULT_STRATEGY, flush=None, step=100):
    z = zlib.compressobj(level, zlib.DEFLATED, -15, 9, strategy)
    if flush is None:
        return z.compress(data) + z.flush()
    parts = []
    for i in range(0, len(data), step):
        parts += [z.compress(data[i:i + step]), z.flush(flush)]
    return b''.join(parts) + z.flush()


def block(name, stream, plain=None, result='bad'):
    print(f'\n# {name}\nstream = {stream.hex()}')
    if plain is None:
        print(f'result = {result}')
    else:
        assert zlib.decompress(stream, -15) == plain
        print(f'result = ok\nplain = {plain.hex()}')


def bits(text):
    """Bits in the order in which they are read."""
    text = text.replace(' ', '')
    text += '0' * (-len(text) % 8)
    return bytes(int(text[i:i + 8][::-1], 2) for i in range(0, len(text), 8))


print('# Raw DEFLATE streams made with zlib by tests/vectors/mkdeflate.py, and bad ones by hand.')
contents = {
    'nothing': b'',
    'one byte': b'x',
    'text': TEXT * 3,
    'text of 1400 bytes': (TEXT * 10)[:1400],
    'zeros': bytes(3000),
    'noise': rng.randbytes(700),
    'few symbols': bytes(rng.choice(b'abcd') for _ in range(2500)),
    'all symbols': bytes(range(256)) * 8,
    'far matches': TEXT + rng.randbytes(2600) + TEXT,
}
for name, plain in contents.items():
    for level in (0, 1, 6, 9):
        block(f'{name}, level {level}', deflate(plain, level), plain)
    block(f'{name}, fixed codes', deflate(plain, strategy=zlib.Z_FIXED), plain)
    block(f'{name}, literals only', deflate(plain, strategy=zlib.Z_HUFFMAN_ONLY), plain)
    block(f'{name}, runs', deflate(plain, strategy=zlib.Z_RLE), plain)
    block(f'{name}, many blocks', deflate(plain, flush=zlib.Z_FULL_FLUSH, step=500), plain)
    block(f'{name}, many blocks with matches across', deflate(plain, flush=zlib.Z_SYNC_FLUSH, step=250), plain)

block('no bytes', b'')
block('the reserved block type', bits('1 11'))
block('a stored block whose lengths differ', b'\x01\x03\x00\xfd\xfeabc')
block('a stored block that ends early', b'\x01\x04\x00\xfb\xffabc')
block('no final block', deflate(TEXT, flush=zlib.Z_FULL_FLUSH)[:-2])
block('a match before the first byte', bits('1 10 0000001 00000 0000000'))
block('a match from too far back', bits('1 10 01110001 0000001 00001 0000000'))
block('a distance code that does not exist', bits('1 10 01110001 0000001 11110 0000000'))
block('more codes of code lengths than fit', bits('1 01 00000 00000 1111' + ' 100' * 19))
block('a repeated code length without one before it',
      bits('1 01 00000 00000 0000 100 100 000 000 0 00' + ' 1' * 300))
block('zlib header', zlib.compress(TEXT, 9))
# RFC 1951 3.2.6: codes 286 and 287 "will never actually occur"; zlib refuses them, libdeflate
# takes them for 285.
block('a length code that does not exist', bits('1 10 01110001 11000110 00000 0000000'), result='any')

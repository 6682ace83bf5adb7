#!/usr/bin/python3
# Writes the seeds of the target "nfq" to corpus/nfq: python3 tests/fuzz/mkcorpus_nfq.py
import os
import struct

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'corpus', 'nfq')


def attr(kind, value):
    return struct.pack('=HH', len(value) + 4, kind) + value + bytes(-len(value) % 4)


def message(*attrs, kind=0x300):
    body = struct.pack('>BBH', 2, 0, 5800) + b''.join(attrs)
    return struct.pack('=IHHII', len(body) + 16, kind, 0, 0, 0) + body


def hdr(hook):
    return attr(1, struct.pack('>IHB', 7, 0x0800, hook))


seeds = {
    'input': message(hdr(1), attr(10, bytes(40))),
    'forward': message(attr(3, bytes(4)), hdr(2), attr(10, bytes(41))),
    'no-payload': message(hdr(1)),
    'no-header': message(attr(10, bytes(40))),
    'short-header': message(attr(1, b'abc'), attr(10, b'x')),
    'short-attribute': message(hdr(1), struct.pack('=HH', 3, 10)),
    'long-attribute': message(hdr(1), struct.pack('=HH', 400, 10)),
    'other-type': message(hdr(1), kind=0x302),
}

os.makedirs(FOLDER, exist_ok=True)
for name, data in seeds.items():
    with open(os.path.join(FOLDER, name), 'wb') as f:
        f.write(data)

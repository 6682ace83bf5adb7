#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
# Writes the seeds of the target "pfkey" to corpus/pfkey: python3 tests/fuzz/mkcorpus_pfkey.py
# Conversations of a key manager and of setkey; little-endian.
import struct
from pathlib import Path

(GETSPI, UPDATE, ADD, DELETE, GET, ACQUIRE, REGISTER, EXPIRE, FLUSH, DUMP, PROMISC, PCHANGE,
 SPDUPDATE, SPDADD, SPDDELETE, SPDGET, SPDACQUIRE, SPDDUMP, SPDFLUSH, SPDSETIDX, SPDEXPIRE,
 SPDDELETE2, NEWMAP) = range(1, 24)
AH, ESP, IPCOMP = 2, 3, 9
GUEST, MANAGER, UNREAD, WAIT = 0x8000, 0x4000, 0x2000, 0x1000
V4A, V4B = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
V6A, V6B = (bytes([0x20, 1, 0x0d, 0xb8] + [0] * 11 + [n]) for n in (1, 2))


def pad8(b):
    return b + bytes(-len(b) % 8)


def ext(kind, body):
    b = pad8(bytes(4) + body)
    return struct.pack("<HH", len(b) // 8, kind) + b[4:]


def sockaddr(a, port=0):
    if not a:
        return bytes([16, 0]) + bytes(14)
    if len(a) == 4:
        return struct.pack(">BBH", 16, 2, port) + a + bytes(8)
    return struct.pack(">BBHI", 28, 24, port, 0) + a + bytes(4)


def address(kind, a, proto=255, plen=None, port=0):
    plen = len(a) * 8 if plen is None else plen
    return ext(kind, bytes([proto, plen, 0, 0]) + sockaddr(a, port))


def pair(a, b, **kw):
    return address(5, a, **kw) + address(6, b, **kw)


def sa(spi, auth=3, enc=12, replay=4, flags=0):
    return ext(1, struct.pack(">I", spi) + bytes([replay, 0, auth, enc]) + struct.pack("<I", flags))


def sa2(mode=1, reqid=0):
    return ext(19, struct.pack("<BBHII", mode, 0, 0, 0, reqid))


def lifetime(kind, alloc=0, size=0, add=0, use=0):
    return ext(kind, struct.pack("<IQQQ", alloc, size, add, use))


def key(kind, n):
    return ext(kind, struct.pack("<HH", n * 8, 0) + b"0123456789abcdef0123456789abcdef0123456789abcdef"[:n])


def keys(enc=16, auth=20):
    return key(9, enc) + key(8, auth)


def request(proto=50, mode=1, level=2, reqid=0, src=None, dst=None):
    body = (sockaddr(src) + sockaddr(dst)) if src or dst else b""
    n = len(pad8(bytes(8) + body))
    return pad8(struct.pack("<HHBBH", n, proto, mode, level, reqid) + body)


def policy(requests=b"", direction=2, kind=2, pid=0, prio=0):
    return ext(18, struct.pack("<HBBII", kind, direction, 0, pid, prio) + requests)


# Extensions of testudo: formats in src/wire/pfkey_msg.h
def tdo_sa(tunnel=(0, 0, 0, 0, 0), flags=0, cpu=0, window=0):
    return ext(40, bytes(tunnel) + struct.pack("<BHI", flags, cpu, window))


def tdo_sel(a, b, proto=17, plen=None, sport=(0, 65535), dport=(0, 65535)):
    plen = (len(a) * 8,) * 2 if plen is None else plen
    return ext(41, bytes([proto, *plen, 0]) + struct.pack(">HHHH", *sport, *dport) + sockaddr(a) + sockaddr(b))


def tdo_sp(tunnel=(0, 0, 0, 0, 0), flags=0, pfp=0, reqids=(), n=None):
    return ext(42, bytes(tunnel) + struct.pack("<BBB%dI" % len(reqids), flags, pfp, len(reqids) if n is None else n, *reqids))


def msg(kind, satype=0, *exts, err=0, seq=1, pid=2):
    body = b"".join(exts)
    return struct.pack("<BBBBHHII", 2, kind, err, satype, (16 + len(body)) // 8, 0, seq, pid) + body


def item(m, flags=0):
    return struct.pack("<H", len(m) | flags) + m


def add(spi, *extra, a=V4A, b=V4B, kind=ADD, satype=ESP, k=None, **kw):
    return msg(kind, satype, sa(spi, **kw), sa2(), keys() if k is None else k, pair(a, b), *extra)


def ident(kind, text):
    return ext(kind, struct.pack("<HHQ", 2, 0, 0) + text)


SELECT = dict(proto=6, plen=24, port=443)
SEEDS = {
    "sa": [msg(REGISTER, ESP), add(4096), add(4096), msg(GET, ESP, sa(4096), pair(V4A, V4B)),
           msg(DUMP), add(4096, kind=UPDATE), msg(DELETE, ESP, sa(4096), pair(V4A, V4B)),
           msg(GET, ESP, sa(4096), pair(V4A, V4B)), msg(DELETE, ESP, pair(V4A, V4B)), msg(FLUSH),
           msg(DUMP), msg(GET, ESP, pair(V4A, V4B)), msg(GET, ESP, sa(1)), msg(ADD, ESP, pair(V4A, V4B))],
    "sa6": [add(4096, a=V6A, b=V6B, enc=20, auth=0, k=key(9, 20)), msg(DUMP, ESP),
            add(4097, a=V6A, b=V6B, enc=11, auth=251, k=b""),
            add(4098, ext(26, struct.pack("<I", 30)), a=V6A, b=V6B), msg(DUMP, ESP), msg(FLUSH, ESP)],
    "getspi": [msg(GETSPI, ESP, sa2(), pair(V4A, V4B), ext(16, struct.pack("<III", 5000, 5000, 0))),
               add(5000, kind=UPDATE), msg(GETSPI, ESP, sa2(), pair(V4A, V4B)),
               msg(GETSPI, ESP, pair(V4A, V4B), ext(16, struct.pack("<III", 1, 99, 0))),
               msg(GETSPI, IPCOMP, pair(V4A, V4B)), msg(GETSPI, ESP, pair(V4A, V4B), ext(16, struct.pack("<III", 9, 1, 0)))],
    "lifetimes": [(msg(REGISTER, ESP), MANAGER),
                  add(4096, lifetime(3, 9, 9, 15, 9), lifetime(4, 5, 5, 5, 5)), (msg(DUMP), WAIT), (msg(DUMP), WAIT),
                  msg(SPDADD, 0, policy(request()), pair(V4A, V4B), lifetime(3, add=5)), (msg(DUMP), WAIT), (msg(DUMP), WAIT)],
    "acquire": [(msg(REGISTER, ESP), MANAGER), msg(SPDADD, 0, policy(request()), pair(V4A, V4B)), (msg(FLUSH), WAIT), (msg(FLUSH), WAIT),
                msg(SPDFLUSH), msg(SPDADD, 0, policy(request(51)), pair(V4A, V4B)), (msg(REGISTER, AH), MANAGER), (msg(FLUSH), WAIT)],
    "hold": [(msg(REGISTER, ESP), MANAGER), msg(SPDADD, 0, policy(request()), pair(V4A, V4B)), (msg(DUMP, pid=3), WAIT),
             (msg(GETSPI, ESP, pair(V4B, V4A), ext(16, struct.pack("<III", 0xc0000000, 0xcfffffff, 0))), MANAGER),
             (add(4096), MANAGER), msg(DELETE, ESP, sa(4096), pair(V4A, V4B)), (msg(DUMP, pid=1), WAIT), (msg(DUMP, pid=40), WAIT),
             (msg(DUMP, pid=1), WAIT), (msg(ACQUIRE, ESP, err=110, seq=2), MANAGER), (msg(ACQUIRE, ESP, err=110, seq=3), MANAGER),
             (msg(DUMP, pid=1), WAIT), msg(SPDFLUSH), (msg(DUMP, pid=1), WAIT)],
    "hold-use": [(msg(REGISTER, ESP), MANAGER),
                 msg(SPDADD, 0, policy(request(level=1)), pair(V4A, V4B), ext(42, bytes(5) + bytes([1, 0x1f, 1]) + bytes(4))),
                 (msg(DUMP, pid=3), WAIT), (msg(DUMP, pid=3), WAIT), (msg(DUMP, pid=40), WAIT), (msg(DUMP, pid=1), WAIT),
                 (msg(ACQUIRE, ESP, err=110), MANAGER), add(4096), (msg(DUMP, pid=1), WAIT)],
    "setidx": [(msg(REGISTER, ESP), MANAGER), msg(SPDSETIDX, 0, policy(), pair(V4A, V4B)), (msg(DUMP, pid=3), WAIT),
               (msg(SPDACQUIRE, err=2), MANAGER), (msg(DUMP, pid=3), WAIT), msg(SPDUPDATE, 0, policy(request()), pair(V4A, V4B)),
               add(4096), (msg(DUMP, pid=3), WAIT), msg(SPDSETIDX, 0, policy(direction=1), pair(V4B, V4A)), msg(SPDACQUIRE)],
    "natt": [add(4096, ext(20, bytes([2, 0, 0, 0])), ext(21, bytes([0x11, 0x94, 0, 0])), ext(22, bytes([0x11, 0x94, 0, 0])),
                 address(23, V4A), address(24, V4B), ext(25, struct.pack("<HH", 552, 0))), add(4097, ext(20, bytes(4))),
             add(4098, ext(20, bytes([9, 0, 0, 0]))), msg(DUMP),
             add(4096, ext(21, bytes([0x75, 0x30, 0, 0])), kind=UPDATE, k=b"", enc=0, auth=0), msg(GET, ESP, sa(4096), pair(V4A, V4B)),
             add(4096, address(28, V4A), ext(22, bytes([0x75, 0x31, 0, 0])), kind=UPDATE, k=b"", enc=0, auth=0),
             add(4099, ext(21, bytes([0x11, 0x94, 0, 0]))), add(4100, ext(20, bytes([1, 0, 0, 0])), a=V6A, b=V6B),
             add(4101, ext(20, bytes([2, 0, 0, 0])), address(23, V6A)), msg(GETSPI, ESP, pair(V4A, V4B), ext(20, bytes([2, 0, 0, 0]))),
             msg(DUMP), msg(FLUSH)],
    "rare": [add(4096, address(7, V4A), ident(10, b"a.example\0"), ident(11, b"b.example\0"),
                 ext(12, bytes([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]) + bytes(8)), ext(13, bytes(4) + bytes(72)),
                 lifetime(2), ext(14, bytes(12)), ext(15, bytes(12))),
             add(4097, ident(10, b"12345678")), add(4098, ident(10, b"a\0"), ext(11, bytes([3]) + bytes(11)))],
    "policy": [msg(SPDADD, 0, policy(request(mode=2, level=3, src=V4A, dst=V4B)), pair(V4A, V4B, **SELECT)),
               msg(SPDADD, 0, policy(request(mode=2, level=3, src=V4A, dst=V4B)), pair(V4A, V4B, **SELECT)),
               msg(SPDGET, 0, policy(pid=1)), (msg(SPDDUMP), GUEST),
               msg(SPDUPDATE, 0, policy(request() + request(51)), pair(V4A, V4B, **SELECT)),
               msg(SPDSETIDX, 0, policy(direction=1, kind=0), pair(V6A, V6B, proto=58, plen=0)),
               msg(SPDADD, 0, policy(request(mode=2, src=V6A, dst=V4B), direction=1), pair(V6A, V6B, plen=64)), msg(SPDDUMP),
               msg(SPDDELETE, 0, policy(), pair(V4A, V4B, **SELECT)), msg(SPDDELETE2, 0, policy(pid=2)), msg(SPDDELETE2, 0, policy(pid=99)),
               msg(SPDFLUSH), msg(SPDDUMP), msg(SPDADD, 0, policy(kind=4), pair(V4A, V4B)),
               msg(SPDADD, 0, policy(request(108, src=b"", dst=V4B), prio=5), pair(V4A, V4B)),
               msg(SPDADD, 0, pair(V4A, V4B)), msg(SPDADD, 0, policy(), address(5, V4A)), msg(SPDADD, 0, policy()), msg(SPDGET),
               msg(SPDDELETE2), msg(SPDADD, 0, policy(request() * 9), pair(V4A, V4B)), msg(SPDADD, 0, policy(request(6)), pair(V4A, V4B))],
    "own_sa": [add(4096, tdo_sa((4, 3, 47, 64, 3), 1, 1), tdo_sel(V4A, V4B, sport=(1000, 2000))), msg(DUMP),
               add(4097, tdo_sel(V6A, V6B, 58, (64, 0), (128, 129), (0, 0))), msg(GET, ESP, sa(4097), pair(V4A, V4B)),
               add(4096, address(27, V4B), address(28, V4A), kind=UPDATE), add(4097, address(28, V4A), kind=UPDATE, k=b"", enc=0, auth=0),
               add(4098, address(27, V6A), kind=UPDATE), add(4099, address(27, V6A), address(28, V4A), kind=UPDATE), msg(DUMP),
               add(4100, ext(43, struct.pack("<HH", 17, 0) + bytes(272))), msg(DUMP, ESP),
               add(4101, ext(44, struct.pack("<HH", 1000, 10))), msg(GET, ESP, sa(4101), pair(V4A, V4B)), add(4102, ext(46, struct.pack("<HH", 1300, 0))), msg(DUMP, ESP), add(4101, kind=UPDATE, k=b"", enc=0, auth=0)],
    "own_sp": [msg(SPDADD, 0, policy(request(level=3) + request(51, level=3)), pair(V4A, V4B, proto=17),
                   tdo_sel(V4A, V4B, dport=(1000, 2000)), tdo_sp((5, 1, 255, 1, 2), 1, 0x1f, (70000, 0))), msg(SPDDUMP), msg(SPDGET, 0, policy(pid=1)),
               msg(SPDUPDATE, 0, policy(request(level=3, reqid=5)), pair(V4A, V4B, proto=17), tdo_sel(V4A, V4B, dport=(1000, 2000)), tdo_sp(reqids=(0xffffffff,))),
               msg(SPDDUMP), msg(SPDADD, 0, policy(request()), pair(V4A, V4B, proto=1), tdo_sel(V4A, V4B, 1, sport=(0, 0))),
               msg(SPDDELETE, 0, policy(), pair(V4A, V4B, proto=17), tdo_sel(V4A, V4B, dport=(1000, 2000))),
               msg(SPDADD, 0, policy(), pair(V4A, V4B), tdo_sel(V4A, V4B)), msg(SPDADD, 0, policy(), pair(V4A, V4B, proto=17, port=5), tdo_sel(V4A, V4B, sport=(5, 6), dport=(5, 5))),
               msg(SPDADD, 0, policy(request()), pair(V4A, V4B), tdo_sp(reqids=(1, 2))), msg(SPDADD, 0, policy(request()), pair(V4A, V4B), tdo_sp(reqids=(0,))), msg(SPDFLUSH)],
    "own_wrong": [msg(ADD, ESP, e) for e in
                  (ext(40, bytes(4)), tdo_sa((6, 0, 0, 0, 0)), tdo_sa((0, 4, 0, 0, 0)), tdo_sa((0, 0, 65, 0, 0)), tdo_sa((0, 0, 0, 0, 4)), tdo_sa(flags=2),
                   ext(41, bytes(12)), tdo_sel(V4A, V6B), tdo_sel(b"", b""), tdo_sel(V4A, V4B, plen=(33, 32)), tdo_sel(V4A, V4B, sport=(2, 1)),
                   tdo_sel(V4A, V4B) + bytes(8), ext(41, bytes(12) + sockaddr(V4A) * 2 + bytes(8)), ext(41, bytes(12) + sockaddr(V4A) + bytes([16, 9]) + bytes(14)),
                   ext(41, bytes(12) + bytes([200, 2]) + bytes(30)), tdo_sp((0, 9, 0, 0, 0)), tdo_sp(flags=4), tdo_sp(pfp=0x20), tdo_sp(n=9), tdo_sp(reqids=(1, 2, 3), n=2),
                   tdo_sp(reqids=(1, 2, 3, 4, 5, 6, 7, 8, 9)), ext(43, bytes(4)), ext(43, struct.pack("<HH", 17, 0) + bytes(264)), ext(29, bytes(12)), ext(44, bytes(12)), ext(46, bytes(12)), ext(46, struct.pack("<HH", 100, 0)))],
    "promisc": [(msg(PROMISC, 1), MANAGER), add(4096), msg(DUMP), msg(SPDDUMP), msg(FLUSH, 4), (msg(PROMISC, 0), MANAGER),
                msg(PROMISC, 2), msg(PROMISC, 1, bytes(8))],
    "guest": [(m, GUEST) for m in (msg(REGISTER), msg(REGISTER, ESP), msg(DUMP), msg(SPDDUMP), add(4096), msg(PROMISC, 1))],
    "register": [msg(REGISTER), msg(REGISTER, AH), msg(REGISTER, ESP), msg(REGISTER, ESP), (msg(REGISTER, ESP), MANAGER),
                 msg(REGISTER, IPCOMP), msg(REGISTER, 7), msg(ACQUIRE, ESP, pair(V4A, V4B)), add(4096),
                 msg(ACQUIRE, ESP, pair(V4A, V4B)), msg(ACQUIRE, ESP), msg(ACQUIRE, ESP, err=110)],
    "queue": [(add(4096 + i), UNREAD) for i in range(4)] + [(msg(DUMP), UNREAD)] * 20 + [(msg(DUMP), UNREAD | MANAGER), msg(FLUSH)],
    "types": [msg(t, s) for t in range(26) for s in (0, 3)] + [b"", b"\2", bytes(16), msg(DUMP)[:-1], msg(FLUSH, 11)],
    "wrong": [msg(ADD, ESP, e) for e in
              (ext(0, b""), ext(17, b"1234"), ext(99, b"1234"), bytes(8), struct.pack("<HHI", 9, 1, 0), ext(1, b"1234"),
               sa(4096) * 2, sa2(mode=3), ext(5, bytes(4)), address(5, V4A, plen=33), address(5, b""),
               ext(5, bytes([0, 0, 0, 0, 15, 2]) + bytes(14)), ext(5, bytes([0, 0, 0, 0, 16, 28]) + bytes(14)),
               ext(5, bytes([0, 0, 0, 0, 200, 2]) + bytes(14)), ext(5, bytes([0, 0, 0, 0, 16, 2]) + bytes(30)),
               ext(5, bytes([0, 0, 0, 0, 16, 24]) + bytes(14)), ext(5, bytes([0, 0, 0, 0, 17, 0]) + bytes(30)),
               address(5, V4A) + address(6, V6B), address(5, V4A, proto=6) + address(6, V4B, proto=17),
               ext(8, struct.pack("<HH", 7, 0)), ext(8, struct.pack("<HH", 65528, 0)), ext(8, struct.pack("<HH", 64, 0)),
               ext(12, bytes([0, 0, 0, 0, 0, 9] + [0] * 6)), ext(13, bytes(12)))]
             + [msg(SPDADD, 0, p, pair(V4A, V4B)) for p in
                (policy(kind=9), policy(direction=3), policy(request(), kind=1), policy(request(mode=3)), policy(request(level=4)),
                 policy(bytes(8)), policy(b"\x40" + request()[1:]), policy(struct.pack("<HHBBH", 16, 50, 2, 2, 0) + bytes(8)),
                 policy(struct.pack("<HHBBH", 40, 50, 2, 2, 0) + sockaddr(V4A) + bytes([16, 28]) + bytes(14)),
                 policy(struct.pack("<HHBBH", 56, 50, 2, 2, 0) + sockaddr(V4A) * 2 + bytes(16)))],
    # reasons, in requests and in what is printed
    "why": [msg(31), msg(ADD, 77), msg(DELETE, ESP, sa(0x1001), pair(V4A, V4B)),
            add(0x1001, ext(45, struct.pack("<HH", 1, 0) + b"because\0")), add(0x1001),
            msg(FLUSH, 0, ext(45, bytes(4) + b"12345678")), msg(FLUSH, 0, ext(45, bytes(4))),
            msg(SPDGET, 0, policy(pid=99), ext(45, bytes(4) + b"x" * 99 + bytes(1)))],
}


def main():
    out = Path(__file__).parent / 'corpus' / 'pfkey'
    out.mkdir(parents=True, exist_ok=True)
    for name, items in SEEDS.items():
        (out / name).write_bytes(b"".join(item(*i) if isinstance(i, tuple) else item(i) for i in items))


main()

"""Packets of policies, as a key manager sends them that has many; for test_rows.py.

    rows_client.py once FILE ROUND        one row with all kinds of trouble in it
    rows_client.py storm FILE ROUND       rows without an end, until the daemon hangs up
    rows_client.py leave FILE ROUND       eight rows, and hangs up without a look at answers
    rows_client.py mix FILE ROUND         rows that add, delete and flush what others have, too
Each line of FILE is a destination whose policy was answered with success, or its end with "-".
"""
import os
import random
import socket
import struct
import sys

SPDADD, SPDDELETE, SPDFLUSH, ROWS, OUT, EEXIST, EPIPE = 14, 15, 19, 31, 2, 17, 32


def connect():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(20)
    s.connect(b"\0testudo/pfkey")
    s.send(base(ROWS, 0, b""))
    return s


def base(kind, seq, body):
    return struct.pack("=BBBBHHII", 2, kind, 0, 0, 2 + len(body) // 8, 0, seq, os.getpid()) + body


def address(kind, a, plen):
    return struct.pack("=HHBBHBBH4s8x", 3, kind, 255, plen, 0, 16, 2, 0, socket.inet_aton(a))


def policy(kind, seq, dst):
    """What goes there is discarded."""
    return base(kind, seq, address(5, "0.0.0.0", 0) + address(6, dst, 32) +
                struct.pack("=HHHBBII", 2, 18, 0, OUT, 0, 0, 0))


def answers(s, want):
    """errno by number, for these numbers; what others do is passed over."""
    found, want = {}, set(want)
    while not want <= set(found):
        p = s.recv(1 << 17)
        if not p:
            raise ConnectionResetError
        at = 0
        while at < len(p):
            length, _, seq, pid = struct.unpack_from("=HHII", p, at + 4)
            if pid == os.getpid():
                found[seq] = p[at + 2]
            at += length * 8
    return found


def somewhere(n):
    return f"20.{2 + (n >> 16)}.{n >> 8 & 255}.{n & 255}"


def once(s, f, start):
    """The third is refused; what is watched is added, deleted and added again."""
    a = "20.1.1.1"
    row = [(SPDADD, somewhere(1)), (SPDADD, a), (SPDADD, somewhere(1)), (SPDDELETE, a),
           (SPDADD, somewhere(2)), (SPDADD, a), (SPDADD, somewhere(3))]
    s.send(b"".join(policy(k, i, d) for i, (k, d) in enumerate(row, 1)))
    got = answers(s, range(1, len(row) + 1))
    assert [got[i] for i in range(1, 8)] == [0, 0, EEXIST, 0, 0, 0, 0], got
    print(a, file=f, flush=True)


def storm(s, f, start):
    n, seq = start, 1
    while True:
        row = {}
        for _ in range(random.choice((1, 2, 60, 127))):
            row[seq] = somewhere(n)
            n, seq = n + 1, seq + 1
        s.send(b"".join(policy(SPDADD, i, d) for i, d in row.items()))
        for i, err in answers(s, row).items():
            if i in row:
                if err == EPIPE:  # the parent is gone
                    raise ConnectionResetError
                assert err == 0, (err, row[i])
                print(row[i], file=f, flush=True)


def leave(s, f, start):
    s.recv(1 << 17)
    for n in range(start, start + 800, 100):
        s.send(b"".join(policy(SPDADD, i, somewhere(n + i)) for i in range(100)))
    print(*map(somewhere, range(start, start + 800)), file=f, flush=True)


def mix(s, f, start):
    random.seed(start)
    for _ in range(150):
        row = [(random.choice((SPDADD, SPDADD, SPDADD, SPDDELETE)), somewhere(random.randrange(40)))
               for _ in range(random.choice((2, 5, 100)))]
        packet = [policy(k, i, d) for i, (k, d) in enumerate(row, 1)]
        if random.randrange(4) == 0:
            packet.insert(random.randrange(len(packet)), base(SPDFLUSH, 0, b""))
        s.send(b"".join(packet))
        if start % 2 or random.randrange(3):  # the others may die with answers on the way
            answers(s, range(1, len(row) + 1))


if __name__ == "__main__":
    what, path, start = sys.argv[1:]
    with open(path, "a") as out:
        try:
            {"once": once, "storm": storm, "leave": leave, "mix": mix}[what](connect(), out, int(start))
        except (ConnectionError, BrokenPipeError) as e:
            print("hung up", e)

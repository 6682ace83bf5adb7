"""A key manager for tests: registers for ESP, and answers the first ACQUIRE as it is told.

keymanager.py add SECONDS SPI KEY    after SECONDS adds an SA for the addresses of the ACQUIRE,
                                     aes-gcm-16 with KEY in hexadecimal, in transport mode
keymanager.py refuse SECONDS         gives up after SECONDS
Says "up", then "acquire", then "done", then goes on reading.
"""
import os
import select
import socket
import struct
import sys
import time

GETSPI, ADD, ACQUIRE, REGISTER, ESP, TRANSPORT = 1, 3, 6, 7, 3, 1
SA, SRC, DST, KEY_E, SPIRANGE, SA2 = 1, 5, 6, 9, 16, 19


def ext(kind, body):
    b = bytes(4) + body
    b += bytes(-len(b) % 8)
    return struct.pack("<HH", len(b) // 8, kind) + b[4:]


def message(kind, *exts, seq=0, err=0):
    body = b"".join(exts)
    return struct.pack("<BBBBHHII", 2, kind, err, ESP, (16 + len(body)) // 8, 0, seq,
                       os.getpid()) + body


def extensions(m):
    at, found = 16, {}
    while at < len(m):
        n, kind = struct.unpack("<HH", m[at:at + 4])
        found[kind] = m[at:at + 8 * n]
        at += 8 * n
    return found


def receive(s, kind):
    while True:
        m = s.recv(1 << 16)
        assert m, "the daemon hung up"
        if m[1] == kind:
            return m


def wait(s, seconds):
    """Reads and forgets what comes meanwhile; ends with the daemon."""
    end = time.monotonic() + float(seconds)
    while select.select([s], [], [], max(0, end - time.monotonic()))[0]:
        if not s.recv(1 << 16):
            sys.exit("the daemon hung up")


def say(text):
    print(text, flush=True)


def main():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect("\0testudo/pfkey")
    s.send(message(REGISTER, seq=1))
    assert receive(s, REGISTER)[2] == 0
    say("up")
    m = receive(s, ACQUIRE)
    seq, = struct.unpack("<I", m[8:12])
    addrs = extensions(m)
    say("acquire")
    if sys.argv[1] == "refuse":
        wait(s, sys.argv[2])
        s.send(message(ACQUIRE, seq=seq, err=110))
    else:
        # The peer's half first, as IKE does: an SPI for what comes in.
        back = [struct.pack("<HH", *struct.unpack("<HH", addrs[a][:2] + bytes([k, 0]))) +
                addrs[a][4:] for a, k in ((DST, SRC), (SRC, DST))]
        s.send(message(GETSPI, ext(SA2, struct.pack("<BBHII", TRANSPORT, 0, 0, 0, 0)), *back,
                       ext(SPIRANGE, struct.pack("<III", 0xc0000000, 0xcfffffff, 0)), seq=seq))
        m = receive(s, GETSPI)
        spi = struct.unpack(">I", extensions(m)[SA][4:8])[0]
        assert m[2] == 0 and 0xc0000000 <= spi <= 0xcfffffff
        wait(s, sys.argv[2])
        key = bytes.fromhex(sys.argv[4])
        s.send(message(ADD, ext(SA, struct.pack(">I", int(sys.argv[3], 0)) + bytes([4, 1, 0, 20]) +
                                bytes(4)),
                       ext(SA2, struct.pack("<BBHII", TRANSPORT, 0, 0, 0, 0)),
                       addrs[SRC], addrs[DST],
                       ext(KEY_E, struct.pack("<HH", len(key) * 8, 0) + key), seq=seq))
        m = receive(s, ADD)
        assert m[2] == 0, f"ADD: errno {m[2]}"
    say("done")
    while s.recv(1 << 16):
        pass


if __name__ == "__main__":
    main()

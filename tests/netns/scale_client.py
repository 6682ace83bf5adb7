"""PF_KEY clients of test_scale.py, run inside of a host's namespace.

    scale_client.py changes SETKEY STATEMENTS FIRST COUNT
    scale_client.py stuck SETKEY COUNT
    scale_client.py rows SETKEY COUNT
"""
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time

DUMP, SPDDUMP = 10, 18


def connect():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # with the default buffer
    s.connect(b"\0testudo/pfkey")
    return s


def ask(s, kind):
    s.send(struct.pack("=BBBBHHII", 2, kind, 0, 0, 2, 0, 1, os.getpid()))


def spi_of(m):
    at = 16
    while at < len(m):
        length, kind = struct.unpack_from("=HH", m, at)
        if kind == 1:
            return struct.unpack_from(">I", m, at + 4)[0]
        at += length * 8
    raise AssertionError("an entry without SA")


def entries(s, kind, pause=lambda: None):
    """The messages of a dump; their numbers must go down to 0, one by one."""
    last = None
    while last != 0:
        m = s.recv(65536)
        if m[1] != kind:
            continue
        assert m[2] == 0, f"errno {m[2]}"
        seq = struct.unpack_from("=I", m, 8)[0]
        assert last is None or seq == last - 1, f"{seq} after {last}"
        last = seq
        yield m
        pause()


def changes(setkey, statements, first, count):
    """A dump goes on while another client adds and deletes, as fast as it can."""
    with tempfile.NamedTemporaryFile("w", suffix=".setkey") as f:
        for i in range(statements // 2):
            name = f"192.0.2.1 192.0.2.2 esp {5000000 + i}"
            f.write(f"add {name} -E aes-gcm-16 0x{i:040x};\n")
            f.write(f"delete 192.0.2.1 192.0.2.2 esp {5000000 + i};\n")
        f.flush()
        s = connect()
        begun = time.monotonic()
        changer = subprocess.Popen([setkey, "-f", f.name], stdout=subprocess.PIPE)
        ask(s, DUMP)
        seen, n, ended = set(), 0, None

        def pause():
            nonlocal n, ended
            n += 1
            if ended is None and n % 200 == 0:
                if changer.poll() is None:
                    time.sleep(0.02)
                else:
                    ended = time.monotonic()

        for m in entries(s, DUMP, pause):
            spi = spi_of(m)
            assert spi not in seen, f"SPI {spi} twice"
            seen.add(spi)
        assert changer.wait() == 0 and changer.stdout.read() == b""
        ended = ended or time.monotonic()
    missing = set(range(first, first + count)) - seen
    assert not missing, f"{len(missing)} are missing, such as {min(missing)}"
    others = {spi for spi in seen if spi >= 5000000}
    # A snapshot is of one moment: one of the changing SAs at most exists then.
    assert seen == set(range(first, first + count)) | others and len(others) <= 1, others
    print(f"{int(statements / (ended - begun))} changes a second, {len(seen)} entries")


def stuck(setkey, count):
    """Clients that do not read: one in the middle of a dump, one that only hears broadcasts."""
    dumper, deaf = connect(), connect()
    ask(dumper, DUMP)
    time.sleep(0.3)
    text = "".join(f"add 192.0.2.1 192.0.2.3 esp {6000000 + i} -E aes-gcm-16 0x{i:040x};\n"
                   for i in range(5000))
    t = time.monotonic()
    r = subprocess.run([setkey, "-c"], input=text, text=True, capture_output=True, timeout=60)
    assert r.returncode == 0 and r.stdout == "", r.stdout
    print(f"{time.monotonic() - t:.2f} s beside two that do not read")
    other = connect()
    ask(other, DUMP)
    assert sum(1 for _ in entries(other, DUMP)) == count + 5000
    assert sum(1 for _ in entries(dumper, DUMP)) == count
    deaf.close()


def base(kind, seq, satype=0):
    return struct.pack("=BBBBHHII", 2, kind, 0, satype, 2, 0, seq, os.getpid())


def answers(s, n, sizes):
    """The next n messages as (type, errno, number); sizes: how many each packet had."""
    found = []
    while len(found) < n:
        p = s.recv(1 << 17)
        assert p, "the daemon hung up"
        at, count = 0, 0
        while at < len(p):
            length, = struct.unpack_from("=H", p, at + 4)
            found.append((p[at + 1], p[at + 2], *struct.unpack_from("=I", p, at + 8)))
            at += length * 8
            count += 1
        assert at == len(p)
        sizes.append(count)
    assert len(found) == n, found[n:]
    return found


def rows(setkey, count):
    """Packets with several messages: in order, answered one by one, whatever they are."""
    GET, REGISTER, ROWS, ESP, EINVAL, EMSGSIZE = 5, 7, 31, 3, 22, 90
    s, sizes = connect(), []
    two = base(REGISTER, 1) + base(REGISTER, 2)
    s.send(two)
    assert answers(s, 1, sizes) == [(REGISTER, EMSGSIZE, 1)]  # not agreed upon
    s.send(base(ROWS, 3))
    assert answers(s, 1, sizes) == [(ROWS, 0, 3)]

    sizes.clear()
    s.send(b"".join(base(REGISTER, i) for i in range(128)))
    assert answers(s, 128, sizes) == [(REGISTER, 0, i) for i in range(128)]
    assert len(sizes) < 64, sizes
    # One that is refused, one that is cut off, and what cannot even be a message.
    s.send(base(REGISTER, 1) + base(GET, 2, ESP) + base(REGISTER, 3))
    assert answers(s, 3, sizes) == [(REGISTER, 0, 1), (GET, EINVAL, 2), (REGISTER, 0, 3)]
    for rest in b"", b"x" * 9, base(REGISTER, 5)[:15]:
        s.send(base(REGISTER, 4) + rest)
        want = [(REGISTER, 0, 4)] + ([(0, EMSGSIZE, 0)] if rest else [])
        got = answers(s, len(want), sizes)
        assert [x[:2] if x[0] == 0 else x for x in got] == \
            [x[:2] if x[0] == 0 else x for x in want], got
    # Too many: the last one has all that is left, so its length is wrong.
    s.send(b"".join(base(REGISTER, i) for i in range(1000)))
    got = answers(s, 128, sizes)
    assert got == [(REGISTER, 0, i) for i in range(127)] + [(REGISTER, EMSGSIZE, 127)], got[-3:]

    sizes.clear()
    s.send(base(DUMP, 9))
    got = answers(s, count, sizes)
    assert got == [(DUMP, 0, count - 1 - i) for i in range(count)]
    assert len(sizes) < count / 20, (len(sizes), count)
    # Nobody waits for a client that does not read, and nothing of its answers is lost.
    for i in range(20):
        s.send(base(DUMP, 10))
    other = connect()
    ask(other, DUMP)
    assert sum(1 for _ in entries(other, DUMP)) == count
    assert len(answers(s, 20 * count, sizes)) == 20 * count
    print("rows", len(sizes))


if __name__ == "__main__":
    what, setkey = sys.argv[1:3]
    {"changes": changes, "stuck": stuck, "rows": rows}[what](setkey, *map(int, sys.argv[3:]))

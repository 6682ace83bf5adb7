"""PF_KEY clients of test_scale.py, run inside of a host's namespace.

    scale_client.py changes SETKEY STATEMENTS FIRST COUNT
    scale_client.py stuck SETKEY COUNT
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


if __name__ == "__main__":
    what, setkey = sys.argv[1:3]
    {"changes": changes, "stuck": stuck}[what](setkey, *map(int, sys.argv[3:]))

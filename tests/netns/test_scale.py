"""50,000 SAs and 50,000 policies: the smaller brother of tests/scale."""
import os
import re

import netlab

N = 50000
CLIENT = os.path.join(netlab.HERE, "scale_client.py")


def load(h, text):
    path = os.path.join(h.lab.dir, f"{h.name}.setkey")
    with open(path, "w") as f:
        f.write(text)
    out = h.run(netlab.SETKEY, "-f", path, timeout=300)
    assert out == "", out[:1000]


def count(h, *options):
    """Entries of a dump; what belongs to one is indented."""
    return len(re.findall(r"^\S", h.run(netlab.SETKEY, *options, timeout=300), re.M))


def sas():
    for i in range(N):
        dst = "192.0.2.2" if i % 2 else f"198.18.{i >> 8 & 255}.{i & 255}"
        yield f"add 192.0.2.1 {dst} esp {10000 + i} -u {100000 + i} -E aes-gcm-16 0x{i:040x};\n"


def policies():
    for i in range(N):
        yield (f"spdadd 192.0.2.1 203.0.{i >> 8 & 255}.{i & 255} any -P out "
               "ipsec esp/transport//require;\n")


def client(h, *args):
    out = h.run("/usr/bin/python3", "-B", CLIENT, *args, timeout=300)
    print(out)
    return out


def host(lab):
    h = lab.host("a").start()
    load(h, "".join(sas()))
    assert count(h, "-D") == N
    return h


def test_loads_dumps_and_flushes(lab):
    h = host(lab)
    load(h, "".join(policies()))
    assert count(h, "-DP") == N
    # Everything is put back by a successor of the data process.
    old = h.data_pid()
    os.kill(old, 9)
    netlab.wait_for("a new data process", lambda: h.data_pid() not in (None, old), 30)
    netlab.wait_for("the databases", lambda: h.ok(netlab.SETKEY, "-D") and
                    (count(h, "-D"), count(h, "-DP")) == (N, N), 60, 0.5)
    assert h.run(netlab.SETKEY, "-FP") == "" and h.run(netlab.SETKEY, "-F") == ""
    assert "No SAD entries" in h.run(netlab.SETKEY, "-D")
    assert "No SPD entries" in h.run(netlab.SETKEY, "-DP")
    assert "journal is full" not in h.log()


def test_dump_during_changes_is_consistent(lab):
    h = host(lab)
    out = client(h, "changes", netlab.SETKEY, 40000, 10000, N)
    assert int(out.split()[0]) > 1000, out


def test_clients_that_stop_reading_block_nobody(lab):
    h = host(lab)
    client(h, "stuck", netlab.SETKEY, N)


def test_messages_share_packets(lab):
    h = lab.host("a").start()
    n = 2000
    load(h, "".join(line for line, _ in zip(sas(), range(n))))
    assert count(h, "-D") == n
    client(h, "rows", netlab.SETKEY, n)

"""Policies that come in one packet: what is answered with success is in force, whatever dies."""
import os
import re
import signal
import time

import netlab
from netlab import wait_for

B4, OTHER = "20.1.1.1", "20.250.0.1"
CLIENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "rows_client.py")

SEND = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setblocking(False)
while True:
    for a in sys.argv[1:]:
        try:
            s.sendto(b"clear text", (a, 9999))
        except OSError:
            pass
    time.sleep(0.002)
"""


def pair(lab):
    w, a, b = netlab.two_hosts(lab)
    a.ip("route", "add", "20.0.0.0/8", "via", B4, "dev", a.dev)
    a.start()
    return w, a, b


def client(lab, h, what, n=0):
    path = os.path.join(lab.dir, "answered")
    return path, h.popen("/usr/bin/python3", CLIENT, what, path, n, stdout=None, stderr=None)


def storm(lab, h, n):
    """Rows without an end, that are under way."""
    path, p = client(lab, h, "storm", n)
    before = os.path.getsize(path) if os.path.exists(path) else 0
    wait_for("answers", lambda: os.path.exists(path) and os.path.getsize(path) > before + 20000)
    return p


def answered(path):
    with open(path) as f:
        return f.read().split()


def destinations(h):
    """The policies that the data process has."""
    out = h.run(netlab.SETKEY, "-DP", check=False)
    return set(re.findall(r"^0\.0\.0\.0/0\S* (20\.\d+\.\d+\.\d+)", out, re.M))


def clear_to(c, dst):
    return [p for p in c.packets() if p.ip is not None and p.dst == dst]


def test_refused_and_repeated_policies_of_a_row(lab):
    w, a, b = pair(lab)
    sender = a.python_bg(SEND, B4, OTHER)
    path, p = client(lab, a, "once")
    assert p.wait(20) == 0 and answered(path) == [B4]
    time.sleep(0.1)
    with w.capture() as c:
        for _ in range(2):
            time.sleep(0.2)
            pid = a.data_pid()
            os.kill(pid, signal.SIGKILL)
            wait_for("a new data process", lambda: a.data_pid() not in (None, pid))
        wait_for("policies", lambda: B4 in destinations(a))
        time.sleep(0.3)
    assert clear_to(c, OTHER) and not clear_to(c, B4)
    sender.kill()


def test_kill_data_process_in_a_row(lab):
    w, a, b = pair(lab)
    path, p = client(lab, a, "once")
    assert p.wait(20) == 0
    sender = a.python_bg(SEND, B4, OTHER)
    time.sleep(0.1)
    with w.capture() as c:
        for i in range(4):
            p = storm(lab, a, 256 + 150000 * i)
            time.sleep(0.037 * i)
            pid = a.data_pid()
            os.kill(pid, signal.SIGKILL)
            assert p.wait(20) == 0
            wait_for("a new data process", lambda: a.data_pid() not in (None, pid))
            wait_for("its answers", lambda: a.ok(netlab.TESTUDO, "stats"))
    assert clear_to(c, OTHER) and not clear_to(c, B4)
    missing = set(answered(path)) - destinations(a)
    assert len(answered(path)) > 1000 and not missing, (len(missing), sorted(missing)[:5])
    some = answered(path)[-3:] + answered(path)[500:503]
    sender.kill()
    sender = a.python_bg(SEND, OTHER, *some)
    with w.capture() as c:
        time.sleep(0.5)
    assert not any(clear_to(c, d) for d in some)
    sender.kill()


def test_kill_parent_process_in_a_row(lab):
    w, a, b = pair(lab)
    p = storm(lab, a, 256)
    path = os.path.join(lab.dir, "answered")
    a.kill_parent()
    assert p.wait(20) == 0
    some = answered(path)[-4:] + answered(path)[:3]
    sender = a.python_bg(SEND, OTHER, *some)
    with w.capture() as c:
        time.sleep(0.5)
        a.start()
        time.sleep(0.5)
    assert not any(clear_to(c, d) for d in some)
    sender.kill()


def test_client_that_hangs_up_with_answers_unread(lab):
    a = lab.host("a").start()
    for n in range(3):
        path, p = client(lab, a, "leave", 1000 * n)
        assert p.wait(20) == 0
        wait_for("all that was sent", lambda: destinations(a) == set(answered(path)), 5)


def test_clients_that_interfere(lab):
    w, a, b = pair(lab)
    for round_ in range(3):
        clients = [client(lab, a, "mix", 10 * round_ + i)[1] for i in range(4)]
        for p in clients:
            assert p.wait(60) == 0
        wait_for("the end of rows", lambda: a.ok(netlab.TESTUDO, "stats"))
        time.sleep(0.3)
        have = destinations(a)
        assert a.stats()["attachment"]["cover-entries"] == len(have)
    a.setkey("spdflush;")
    wait_for("no cover", lambda: a.stats()["attachment"]["cover-entries"] == 0)
    sender = a.python_bg(SEND, B4)
    for _ in range(20):
        with w.capture() as c:
            time.sleep(0.2)
        if clear_to(c, B4):
            break
    assert clear_to(c, B4)
    sender.kill()

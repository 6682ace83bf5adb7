"""A worker stays awake where packets come soon, and sleeps when nothing flows."""
import time

import pytest

import keys
import netlab

B4 = "20.1.1.1"


def pair(lab, conf=""):
    w, a, b = netlab.two_hosts(lab)
    for h in (a, b):
        h.start(conf)
    sas, pa, pb = keys.transport("10.1.1.1", B4)
    a.setkey(sas + pa)
    b.setkey(sas + pb)
    return a, b


def cpu(pid):
    """Nanoseconds of processor time of all threads."""
    return sum(int(open(f"/proc/{pid}/task/{task}/schedstat").read().split()[0])
               for task in netlab.sh("ls", f"/proc/{pid}/task").split())


@pytest.mark.parametrize("limit", [0, 100, 1000])
def test_nothing_flows_nothing_runs(lab, limit):
    a, b = pair(lab, f"busy-poll {limit}\n")
    assert a.ping(B4, 100, interval=0.002) == 100
    time.sleep(0.2)
    start = time.monotonic(), cpu(a.data_pid())
    time.sleep(2)
    used = (cpu(a.data_pid()) - start[1]) / 1e9 / (time.monotonic() - start[0])
    assert used < 0.005, f"{used:.2%} of a processor while idle"

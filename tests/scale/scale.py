"""Very many SAs and policies through the real daemon and setkey, in one namespace.

Prints what each step takes, in parentheses of the processor, what other clients wait for
meanwhile, and the memory of the daemon's processes.  Fails when a step is wrong; times are judged by who reads them.

    tests/scale/run [SAS [POLICIES [-r]]]       default 1000000 1000000; -r: kills the data
                                                process, all must be put back
"""
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

BUILD = os.environ["TDO_BUILD"]
SETKEY = os.path.join(BUILD, "src/setkey/setkey")
TESTUDOD = os.path.join(BUILD, "src/daemon/testudod")
NAME = b"\0testudo/pfkey"
PID = os.getpid()

ADD, DELETE, DUMP, SPDDUMP = 3, 4, 10, 18


def pair(i):
    return f"10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}"


def net(i):
    return f"172.{16 + (i >> 16 & 15)}.{i >> 8 & 255}.{i & 255}"


def write_sas(path, n):
    """The first half different pairs, the second half one pair with a reqid each."""
    with open(path, "w") as f:
        for i in range(n):
            key = f"0x{i:08x}{'5a' * 16}"
            if i < n // 2:
                f.write(f"add 192.0.2.1 {pair(i)} esp {1000 + i} -E aes-gcm-16 {key};\n")
            else:
                f.write(f"add 192.0.2.1 192.0.2.2 esp {1000 + i} -u {70000 + i} "
                        f"-E aes-gcm-16 {key};\n")


def write_policies(path, n):
    with open(path, "w") as f:
        for i in range(n):
            f.write(f"spdadd 192.0.2.1 {net(i)} any -P out ipsec esp/transport//require;\n")


def processes():
    """(name, resident KB, of them shared KB) of the daemon's two processes."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/exe") != os.path.realpath(TESTUDOD):
                continue
            with open(f"/proc/{pid}/status") as f:
                s = f.read()
        except OSError:
            continue
        yield (int(pid), int(re.search(r"RssAnon:\s+(\d+)", s).group(1)),
               int(re.search(r"RssShmem:\s+(\d+)", s).group(1)))


def processor():
    """Seconds of the processor: of the daemon's processes, of setkey's that have ended."""
    t = 0
    for p in processes():
        with open(f"/proc/{p[0]}/stat") as f:
            t += sum(map(int, f.read().rsplit(")")[-1].split()[11:13]))
    c = os.times()
    return t / os.sysconf("SC_CLK_TCK"), c.children_user + c.children_system


def memory():
    return sum(p[1] for p in processes()), max(p[2] for p in processes())


def connect():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(NAME)
    return s


def message(kind, satype, seq, body=b""):
    return struct.pack("=BBBBHHII", 2, kind, 0, satype, 2 + len(body) // 8, 0, seq, PID) + body


class Watch(threading.Thread):
    """Another client that asks for a small thing again and again: how long does it wait?"""

    def __init__(self):
        super().__init__(daemon=True)
        self.worst, self.end = 0.0, False
        self.s = connect()

    def ask(self):
        self.s.send(message(7, 0, 77))  # REGISTER of no type: lists algorithms
        while True:
            m = self.s.recv(65536)
            if not m or (m[1] == 7 and struct.unpack_from("=II", m, 8) == (77, PID)):
                break

    def run(self):
        while not self.end:
            t = time.monotonic()
            try:
                self.ask()
            except OSError:
                return  # the data process was killed
            self.worst = max(self.worst, time.monotonic() - t)
            time.sleep(0.002)

    def stop(self):
        self.end = True
        self.join(30)
        return self.worst


def step(what, fn):
    watch = Watch()
    watch.start()
    before, t = processor(), time.monotonic()
    result = fn()
    t = time.monotonic() - t
    after, worst = processor(), watch.stop()
    anon, shared = memory()
    print(f"{what:36} {t:7.2f} s (daemon {after[0] - before[0]:6.2f}, setkey "
          f"{after[1] - before[1]:6.2f})   others wait {worst * 1000:7.1f} ms   "
          f"memory {anon // 1024:6} MB + {shared // 1024} MB shared", flush=True)
    return result


def setkey(*args):
    r = subprocess.run([SETKEY, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert r.returncode == 0 and not r.stdout, r.stdout[:2000].decode()


def lines(*args):
    """What a dump prints, as the number of entries."""
    p = subprocess.Popen([SETKEY, *args], stdout=subprocess.PIPE)
    n = sum(1 for line in p.stdout if line[:1] not in b"\t ")
    assert p.wait() == 0
    return n


def raw_dump(kind):
    """Entries of a dump by a socket with the default buffer, and whether they are complete."""
    s = connect()
    s.send(message(kind, 0, 1))
    n, last = 0, None
    while last != 0:
        m = s.recv(65536)
        if m[1] != kind:
            continue
        assert m[2] == 0, m[2]
        seq = struct.unpack_from("=I", m, 8)[0]
        assert last is None or seq == last - 1, (seq, last)
        n, last = n + 1, seq
    return n


def start(directory):
    conf = os.path.join(directory, "conf")
    with open(conf, "w") as f:
        f.write("workers 2\n")
    log = open(os.path.join(directory, "log"), "w")
    daemon = subprocess.Popen([TESTUDOD, "-f", conf], stdout=log, stderr=log)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            connect().close()
            return daemon
        except OSError:
            time.sleep(0.05)
    raise AssertionError(open(log.name).read())


def restart_data_process(sas, policies):
    """Kills the data process; its successor must put everything back."""
    old = {p[0] for p in processes()}
    child = max(old)
    os.kill(child, 9)
    end = time.monotonic() + 300
    while time.monotonic() < end:
        try:
            n = raw_dump(DUMP), raw_dump(SPDDUMP)
            if n == (sas, policies):
                return
        except (OSError, AssertionError, IndexError):
            pass
        time.sleep(0.1)
    raise AssertionError("not put back")


def main():
    sas = int(sys.argv[1]) if len(sys.argv) > 1 else 1000000
    policies = int(sys.argv[2]) if len(sys.argv) > 2 else sas
    with tempfile.TemporaryDirectory() as d:
        sa_file, sp_file = os.path.join(d, "sas"), os.path.join(d, "policies")
        write_sas(sa_file, sas)
        write_policies(sp_file, policies)
        daemon = start(d)
        base = memory()[0]
        try:
            step(f"setkey -f, {sas} SAs", lambda: setkey("-f", sa_file))
            after_sas = memory()[0]
            assert step("dump of SAs by a plain socket", lambda: raw_dump(DUMP)) == sas
            assert step("setkey -D", lambda: lines("-D")) == sas
            step(f"setkey -f, {policies} policies", lambda: setkey("-f", sp_file))
            after_sps = memory()[0]
            assert step("dump of policies by a plain socket", lambda: raw_dump(SPDDUMP)) == policies
            assert step("setkey -DP", lambda: lines("-DP")) == policies
            if "-r" in sys.argv:
                step("data process killed, all put back",
                     lambda: restart_data_process(sas, policies))
            step("setkey -FP", lambda: setkey("-FP"))
            step("setkey -F", lambda: setkey("-F"))
            time.sleep(2)
            step("nothing", lambda: time.sleep(1))
            print(f"per SA {(after_sas - base) * 1024 // max(sas, 1)} bytes, "
                  f"per policy {(after_sps - after_sas) * 1024 // max(policies, 1)} bytes")
        finally:
            daemon.terminate()
            daemon.wait()
            sys.stdout.write(open(os.path.join(d, "log")).read()[-3000:])


if __name__ == "__main__":
    main()

"""No key in any log, status, JSON or process listing."""
import array
import itertools
import mmap
import os

import keys
import netlab


def test_keys_are_nowhere(lab):
    w, a, b = netlab.two_hosts(lab)
    a.start("debug yes\n")
    b.start()
    text = "the quick brown fox jump"  # 24 bytes for 3des-cbc
    sas = (f'add 10.1.1.1 20.1.1.1 esp 0x900 -E 3des-cbc "{text}" -A hmac-sha1 {keys.MAC_AB};\n'
           f"add 20.1.1.1 10.1.1.1 esp 0x901 -E aes-gcm-16 {keys.GCM_BA};\n")
    policy = keys.policies("10.1.1.1", "20.1.1.1", "esp/transport//require")
    a.setkey(sas + policy)
    b.setkey(sas + keys.policies("20.1.1.1", "10.1.1.1", "esp/transport//require"))
    a.ping("20.1.1.1", 3)
    # Also on the ways of errors.
    a.setkey(f"add 10.1.1.1 20.1.1.1 esp 0x900 -E 3des-cbc \"{text}\";\n"
             f"add 10.1.1.1 20.1.1.1 esp 0x902 -E aes-cbc {keys.GCM_AB};\n"
             f"add 10.1.1.1 20.1.1.1 esp 7 -E aes-cbc {keys.CBC_AB};\n", check=False)
    a.run(netlab.TESTUDO, "sysctl", "net.inet.ipsec.debug=1")
    a.ping("20.1.1.1", 3)
    pid = a.data_pid()
    seen = [a.run(netlab.TESTUDO, "stats"), a.run(netlab.TESTUDO, "stats", "--json"),
            a.run(netlab.TESTUDO, "doctor", check=False),
            a.run(netlab.TESTUDO, "doctor", "--json", check=False),
            a.run(netlab.TESTUDO, "sysctl", "-a"), a.run(netlab.SETKEY, "-DP")]
    for p in (pid, a.daemon.pid):
        for name in ("cmdline", "environ", "status"):
            try:
                with open(f"/proc/{p}/{name}", "rb") as f:
                    seen.append(f.read().decode(errors="replace"))
            except OSError:
                pass
    dump = a.run(netlab.SETKEY, "-D")
    a.stop()
    seen.append(a.log())
    secrets = [text, text.encode().hex()]
    for k in (keys.MAC_AB, keys.GCM_AB, keys.GCM_BA, keys.CBC_AB):
        k = k[2:]
        secrets += [k, k[:16], " ".join(k[i:i + 8] for i in range(0, 16, 8)),
                    bytes.fromhex(k)[:8].decode("latin-1")]
    for s in secrets:
        for where, output in enumerate(seen):
            assert s.lower() not in output.lower(), f"key material in output {where}"
    # The test would see them: the privileged dump has them, as setkey -D must.
    assert "b2b2b2b2" in dump


def test_data_process_is_confined(lab):
    w, a, b = netlab.two_hosts(lab)
    a.start()
    with open(f"/proc/{a.data_pid()}/status") as f:
        status = dict(line.split(":\t", 1) for line in f.read().splitlines() if ":\t" in line)
    for caps in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[caps], 16) == 0, caps
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2"
    if os.path.exists("/proc/self/uid_map"):
        with open("/proc/self/uid_map") as f:
            whole = "4294967295" in f.read()
        if whole:
            assert status["Uid"].split()[0] != "0"


def there(pid, start, end):
    """The runs of pages of a mapping that have ever been written to: of 2 GB that is little."""
    with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as f:
        f.seek(start // mmap.PAGESIZE * 8)
        pages = array.array("Q", f.read((end - start) // mmap.PAGESIZE * 8))
    at = start
    for is_there, run in itertools.groupby(pages, lambda entry: entry >> 62):  # in memory, or swapped out
        size = sum(1 for _ in run) * mmap.PAGESIZE
        if is_there:
            yield at, size
        at += size


def holds(pid, needle):
    """Whether a process has these bytes in memory that it can write to."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for line in maps:
            place, rights = line.split()[:2]
            if not rights.startswith("rw"):
                continue
            for at, size in there(pid, *(int(x, 16) for x in place.split("-"))):
                try:
                    mem.seek(at)
                    if needle in mem.read(size):
                        return True
                except (OSError, ValueError, OverflowError):
                    pass
    return False


def test_keys_of_deleted_sas_are_wiped(lab):
    w, a, b = netlab.two_hosts(lab)
    a.start()
    key = os.urandom(20)
    a.setkey(f"add 10.1.1.1 20.1.1.1 esp 0x900 -E aes-gcm-16 0x{key.hex()};\n")
    assert holds(a.data_pid(), key[:16]), "the test would see it"
    a.setkey("delete 10.1.1.1 20.1.1.1 esp 0x900;\n")
    netlab.wait_for("wiping", lambda: not holds(a.data_pid(), key[:16]), seconds=20)

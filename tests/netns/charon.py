"""strongSwan's charon with kernel-libipsec: IKEv2 and an ESP of its own, in UDP and in user space."""
import os
import re
import subprocess
import time

from netlab import sh, wait_for

CHARON = "/usr/lib/ipsec/charon"
PACKAGES = ("strongswan-charon strongswan-swanctl libcharon-extra-plugins "
            "libstrongswan-standard-plugins libstrongswan-extra-plugins")
PLUGINS = "random nonce openssl kdf pem pkcs1 vici kernel-libipsec kernel-netlink socket-default"


class Charon:
    """One daemon; nets are the traffic selectors of its child "n"; peer None: whoever comes."""

    def __init__(self, lab, host, me, peer, nets, peer_nets, esp="aes128gcm16", chd=1):
        self.host, self.dir = host, os.path.join(lab.dir, f"charon-{host.name}")
        os.makedirs(self.dir)
        self.uri = f"unix://{self.dir}/vici"
        self.log_path = f"{self.dir}/log"
        with open(f"{self.dir}/strongswan.conf", "w") as f:
            f.write(f"charon {{ load = {PLUGINS}\n"
                    f" filelog {{ l {{ path = {self.log_path}\n default = 1\n chd = {chd}\n flush_line = yes }} }}\n"
                    f" install_routes = yes\n plugins {{ vici {{ socket = {self.uri} }} }} }}\n")
        remote = f"remote_addrs = {peer}\n" if peer else ""
        with open(f"{self.dir}/swanctl.conf", "w") as f:
            f.write(f"connections {{ c {{ version = 2\n local_addrs = {me}\n {remote}"
                    " proposals = aes128gcm16-prfsha256-ecp256\n local { auth = psk }\n remote { auth = psk }\n"
                    f" children {{ n {{ local_ts = {','.join(nets)}\n remote_ts = {','.join(peer_nets)}\n"
                    f" esp_proposals = {esp}\n mode = tunnel }} }} }} }}\n"
                    'secrets { ike-1 { secret = "of the tests" } }\n')
        # Its own /run: two daemons have the same files there.
        self.proc = host.popen("unshare", "-m", "sh", "-c", "mount -t tmpfs none /run; exec env "
                               f"STRONGSWAN_CONF={self.dir}/strongswan.conf {CHARON}")
        wait_for("charon listens", lambda: os.path.exists(f"{self.dir}/vici"))
        wait_for("charon answers", lambda: self.swanctl("--stats", check=False).startswith("uptime"))
        self.swanctl("--load-all", "--file", f"{self.dir}/swanctl.conf")

    def swanctl(self, *words, **kw):
        return self.host.run("swanctl", *words, "--uri", self.uri, **kw)

    def initiate(self):
        self.swanctl("--initiate", "--child", "n")

    def log(self):
        with open(self.log_path) as f:
            return f.read()

    def kill(self):
        """It is gone before it can tell its peer; what it leaves to the host is removed."""
        self.proc.kill()
        self.proc.wait()
        sh("ip", "-n", self.host.name, "rule", "del", "priority", "220", check=False)
        sh("ip", "-n", self.host.name, "-6", "rule", "del", "priority", "220", check=False)
        wait_for("its interface is gone", lambda: "ipsec0" not in self.host.ip("link"))


def key(log, what):
    """The bytes of a key as the log has them, hexadecimal; "" when there is none."""
    at = log.find(f"[CHD] {what} key => ")
    if at < 0:
        return ""
    found = ""
    for line in log[at:].splitlines()[1:]:
        m = re.match(r"\d+\[CHD\]\s+\d+: ((?:[0-9A-F]{2} )+)", line)
        if not m:
            break
        found += m.group(1).replace(" ", "")
    return found


def child(log):
    """SPIs and keys of the child, from the log of who initiated it: {direction: (spi, encryption, integrity)}."""
    m = re.search(r"CHILD_SA n\{1\} established with SPIs ([0-9a-f]+)_i ([0-9a-f]+)_o", log)
    assert m, log[-3000:]
    return {who: (int(spi, 16), key(log, f"encryption {who}"), key(log, f"integrity {who}"))
            for who, spi in (("initiator", m.group(2)), ("responder", m.group(1)))}

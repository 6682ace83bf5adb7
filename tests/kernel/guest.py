"""A real Linux kernel in QEMU, by emulation: its network card is a socket of this process, one
datagram for each Ethernet frame, and its shell is another.  Needs no privileges, no interface
and no network of the host."""
import ctypes
import os
import select
import signal
import socket
import subprocess
import time

import image

MAC = bytes.fromhex("020000000002")
OUR_MAC = bytes.fromhex("020000000001")
ETHERTYPE = {4: b"\x08\x00", 6: b"\x86\xdd"}
PR_SET_PDEATHSIG = 1


class Error(Exception):
    pass


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Guest:
    def __init__(self, directory, patience=300):
        image.build(directory)
        self.patience = patience
        self.log = os.path.join(directory, "console.log")
        with open(os.path.join(directory, "release")) as f:
            self.release = f.read()
        self.net, net = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sh, sh = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        for s in (self.net, net):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        qemu = image.program("qemu-system-x86_64")
        self.p = subprocess.Popen([
            qemu, "-machine", "q35,accel=tcg", "-cpu", "max", "-m", "256", "-smp", "1", "-nodefaults",
            "-no-user-config", "-display", "none", "-no-reboot",
            "-kernel", os.path.join(directory, "vmlinuz"), "-initrd", os.path.join(directory, "initrd"),
            "-append", "console=ttyS0 quiet panic=-1 tsc=unstable random.trust_cpu=on",
            "-serial", "file:" + self.log.replace(",", ",,"),
            "-netdev", f"dgram,id=net,local.type=fd,local.str={net.fileno()}",
            "-device", "virtio-net-pci,netdev=net,romfile=,mac=" + MAC.hex(":"),
            "-device", "virtio-serial-pci", "-chardev", f"socket,id=sh,fd={sh.fileno()}",
            "-device", "virtserialport,chardev=sh",
        ], pass_fds=(net.fileno(), sh.fileno()), preexec_fn=die_with_parent, stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True)
        net.close()
        sh.close()
        self.serial = 0
        self.others = []
        start = time.monotonic()
        self._until(b"ready\n")
        self.boot_seconds = time.monotonic() - start

    def close(self):
        self.p.kill()
        self.p.wait()
        self.p.stderr.close()
        self.net.close()
        self.sh.close()

    # ---- shell

    def _until(self, mark):
        got, end = b"", time.monotonic() + self.patience
        while not got.endswith(mark):
            if not select.select([self.sh], [], [], max(0, end - time.monotonic()))[0]:
                raise Error(f"the guest says nothing for {self.patience} s; {self.console()}")
            part = self.sh.recv(1 << 16)
            if not part:
                self.p.wait()
                raise Error(f"the guest ended: {self.p.stderr.read()} {self.console()}")
            got += part
        return got

    def console(self):
        with open(self.log, errors="replace") as f:
            return f"end of its console:\n{f.read()[-2000:]}"

    def run(self, script):
        """Runs a script; its output.  Its failure is an error."""
        self.serial += 1
        mark = f"--{self.serial}--"
        self.sh.sendall(f"{{ {script}\n}} </dev/null 2>&1; s=$?; echo; echo $s {mark}\n".encode())
        text = self._until(f" {mark}\n".encode()).decode()
        out, _, status = text.removesuffix(f" {mark}\n").rpartition("\n")
        if status != "0":
            raise Error(f"status {status} of the guest's: {script[:2000]}\n{out[-4000:]}")
        return out

    def ip(self, commands):
        """Many commands of ip(8) at once."""
        lines = "\n".join(commands)
        self.run(f"cat >/tmp/batch <<'END'\n{lines}\nEND\nip -batch /tmp/batch")

    # ---- packets

    def send(self, packet):
        self.net.send(MAC + OUR_MAC + ETHERTYPE[packet[0] >> 4] + packet)

    def receive(self, seconds):
        """The next IP packet that the guest sends to us; None after so many seconds."""
        end = time.monotonic() + seconds
        while True:
            if not select.select([self.net], [], [], max(0, end - time.monotonic()))[0]:
                return None
            frame = self.net.recv(1 << 17)
            if frame[:6] == OUR_MAC and frame[12:14] in ETHERTYPE.values():
                return frame[14:]

"""Builds the guest: a kernel of the distribution and an initial RAM disk with the modules,
iproute2, busybox and a shell.  Needs no privileges.

    image.py DIRECTORY      writes DIRECTORY/vmlinuz, initrd, release
"""
import hashlib
import lzma
import os
import re
import shutil
import subprocess
import sys
import tarfile

# What the guest has to be able to do.  Dependencies are looked up; what is built in is left out.
MODULES = """virtio_pci virtio_net virtio_console
esp4 esp6 ah4 ah6 ipcomp ipcomp6 xfrm_ipcomp deflate xfrm_user xfrm4_tunnel xfrm6_tunnel tunnel4 tunnel6 authenc authencesn echainiv seqiv ecb cbc ctr gcm ccm
aes_generic ghash_generic des_generic blowfish_generic cast5_generic camellia_generic twofish_generic
chacha_generic poly1305_generic chacha20poly1305 crypto_null md5 sha1_generic sha256_generic
sha512_generic rmd160 xcbc cmac ipv6
sha3_generic jitterentropy_rng drbg""".split()

INIT = """#!/bin/sh
export PATH=/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
# No queue that drops packets of its own accord when the machine is slow.
echo pfifo_fast >/proc/sys/net/core/default_qdisc
while read -r m; do insmod "$m" || echo "insmod $m failed"; done < /modules/list
ip link set lo up
ip link set eth0 up
exec 3<>$(echo /dev/vport*)
# Packets of 64 KB are received into memory in one piece.
echo 16384 >/proc/sys/vm/min_free_kbytes
guest_echo 2>/dev/kmsg
echo ready >&3
while :; do sh <&3 >&3 2>&3; done
"""

# Depends on the newest kernel.
PACKAGE = "linux-image-amd64"


class Error(Exception):
    pass


def run(*argv, **kw):
    try:
        return subprocess.run(argv, check=True, capture_output=True, text=True, **kw).stdout
    except FileNotFoundError:
        raise Error(f"{argv[0]} is not installed; tools/deps --kernel names what is needed") from None
    except subprocess.CalledProcessError as e:
        raise Error(f"{' '.join(argv)}: {e.stderr.strip() or e.returncode}") from None


def download(directory):
    m = re.search(r"Depends: (linux-image-\d\S*)", run("apt-cache", "depends", PACKAGE))
    if not m:
        raise Error(f"apt does not know {PACKAGE}")
    run("apt-get", "download", m[1], cwd=directory)


def kernel_package(directory):
    """Path of the kernel package in the directory; fetched by apt when it is not there."""
    def found():
        names = sorted(n for n in os.listdir(directory) if re.fullmatch(r"linux-image-\d.*\.deb", n))
        return os.path.join(directory, names[-1]) if names else None
    if found():
        return found()
    try:
        try:
            download(directory)
        except Error:
            # The lists of packages are older than what the mirror has; only root can renew them.
            run("apt-get", "update")
            download(directory)
    except Error as e:
        raise Error(f"cannot fetch the kernel package: {e}\nThis test needs it: connect to a Debian mirror and run "
                    f"apt-get update, or put the file of {PACKAGE}'s newest linux-image-*.deb into {directory}") from None
    return found()


def read_package(path):
    """(release, vmlinuz, {module name: file contents})"""
    vmlinuz, modules, release = None, {}, None
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", path], stdout=subprocess.PIPE) as p:
        with tarfile.open(fileobj=p.stdout, mode="r|") as tar:
            for member in tar:
                if m := re.match(r"\./boot/vmlinuz-(.*)", member.name):
                    release, vmlinuz = m[1], tar.extractfile(member).read()
                m = re.match(r"\./lib/modules/[^/]*/kernel/(?:crypto|net|lib|arch/x86/crypto|"
                             r"drivers/(?:net|char|virtio|crypto))/(?:.*/)?([^/]*)\.ko(\.xz)?$", member.name)
                if m and member.isfile():
                    data = tar.extractfile(member).read()
                    modules[m[1].replace("-", "_")] = lzma.decompress(data) if m[2] else data
    if p.returncode or vmlinuz is None:
        raise Error(f"{path} is no kernel package")
    return release, vmlinuz, modules


def load_order(modules, wanted):
    """The wanted modules and what they depend on, dependencies first."""
    order = []

    def add(name):
        if name in order or name not in modules:
            return
        # .modinfo holds "key=value" strings; "depends" is there once.
        m = re.search(rb"\0depends=([^\0]*)\0", modules[name])
        for d in (m[1].decode().split(",") if m else []):
            add(d.replace("-", "_"))
        order.append(name)
    for name in wanted:
        add(name)
    return order


def libraries(path):
    return re.findall(r"(/\S*\.so\S*)", run("ldd", path))


class Archive:
    """cpio, format "newc": what the kernel unpacks as its first file system."""

    def __init__(self):
        self.out, self.ino, self.names = bytearray(), 0, set()

    def add(self, name, mode, data=b""):
        if name in self.names:
            return
        if os.path.dirname(name):
            self.add(os.path.dirname(name), 0o040755)
        self.names.add(name)
        self.ino += 1
        path = name.encode() + b"\0"
        fields = (self.ino, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
        self._put(b"070701" + b"".join(b"%08x" % f for f in fields) + path)
        self._put(data)

    def _put(self, data):
        self.out += data
        self.out += bytes(-len(self.out) % 4)

    def file(self, name, path, mode=0o100755):
        with open(path, "rb") as f:
            self.add(name, mode, f.read())

    def program(self, name, path):
        self.file(name, os.path.realpath(path))
        for lib in libraries(path):
            self.file(lib.lstrip("/"), os.path.realpath(lib))

    def finish(self):
        self.add("TRAILER!!!", 0)
        return bytes(self.out)


def program(name):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin")
    if path is None:
        raise Error(f"{name} is not installed; tools/deps --kernel names what is needed")
    return path


def echo_program():
    """What answers in the guest; the build made it."""
    return os.environ["TDO_GUEST_ECHO"]


def ram_disk(modules):
    a = Archive()
    for d in ("proc", "sys", "dev", "tmp", "etc", "run"):
        a.add(d, 0o040755)
    a.add("init", 0o100755, INIT.encode())
    busybox = program("busybox")
    if libraries_of_static(busybox):
        raise Error("busybox is not static: install busybox-static")
    a.file("bin/busybox", busybox)
    for applet in ("mount", "insmod", "cat", "awk", "sysctl", "echo", "test", "true", "rm", "uname", "ping"):
        a.add("bin/" + applet, 0o120777, b"busybox")
    # Not busybox's own: its shell would take its own "ip".
    a.program("bin/sh", program("dash"))
    a.program("sbin/ip", program("ip"))
    a.program("bin/guest_echo", echo_program())
    order = load_order(modules, MODULES)
    for m in order:
        a.add(f"modules/{m}.ko", 0o100644, modules[m])
    a.add("modules/list", 0o100644, "".join(f"/modules/{m}.ko\n" for m in order).encode())
    return a.finish()


def libraries_of_static(path):
    r = subprocess.run(["ldd", path], capture_output=True, text=True)
    return re.findall(r"/\S*\.so\S*", r.stdout) if r.returncode == 0 else []


def write(path, data):
    with open(path + ".new", "wb") as f:
        f.write(data)
    os.rename(path + ".new", path)


def build(directory):
    """Makes the guest unless the one that is there was made by this very file, of the same parts."""
    os.makedirs(directory, exist_ok=True)
    with open(__file__, "rb") as f:
        own = f.read()
    with open(echo_program(), "rb") as f:
        stamp = hashlib.sha256(own + f.read()).hexdigest()
    stamp_file = os.path.join(directory, "stamp")
    if os.path.exists(stamp_file) and open(stamp_file).read() == stamp:
        return
    package = kernel_package(directory)
    release, vmlinuz, modules = read_package(package)
    write(os.path.join(directory, "vmlinuz"), vmlinuz)
    write(os.path.join(directory, "initrd"), ram_disk(modules))
    write(os.path.join(directory, "release"), release.encode())
    write(stamp_file, stamp.encode())


if __name__ == "__main__":
    try:
        build(sys.argv[1])
    except Error as e:
        sys.exit(f"image.py: {e}")

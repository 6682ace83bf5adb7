"""Echo requests from within a network namespace, and who waits for the answers.

ping(8) is not used because it waits for the last answers no longer than twice what the slowest of
those before took, which on a busy machine is too short, or (-w) sends more until it has enough.
"""
import ctypes
import itertools
import os
import select
import socket
import struct
import time

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
# (protocol, request, reply, errors that quote a packet, length of the header in them)
FAMILIES = {socket.AF_INET: (socket.IPPROTO_ICMP, 8, 0, (3, 11, 12), 20),
            socket.AF_INET6: (socket.IPPROTO_ICMPV6, 128, 129, (1, 2, 3, 4), 40)}
IDS = itertools.count(os.getpid())
PATIENCE = 3.0  # seconds for the others when one answer came


def enter(fd):
    if LIBC.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def socket_in(netns, *words):
    """A socket of a named network namespace: it stays there, whoever uses it."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{netns}", os.O_RDONLY)
    try:
        enter(there)
        try:
            return socket.socket(*words)
        finally:
            enter(home)
    finally:
        os.close(home)
        os.close(there)


def checksum(p):
    """RFC 1071."""
    n = sum(struct.unpack(f"!{(len(p) + 1) // 2}H", p + b"\0" * (len(p) % 2)))
    while n >> 16:
        n = (n & 0xffff) + (n >> 16)
    return ~n & 0xffff


def is_address(text):
    return "." in text or ":" in text


class Pinger:
    """The echo requests of one ping and what became of them."""

    def __init__(self, netns, dst, src, data):
        self.family = socket.AF_INET6 if ":" in dst else socket.AF_INET
        self.proto, self.request, self.reply, self.errors, self.header = FAMILIES[self.family]
        self.dst, self.data, self.id = dst, data, next(IDS) & 0xffff
        self.answered, self.failed = set(), set()
        self.s = socket_in(netns, self.family, socket.SOCK_RAW, self.proto)
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        if src and is_address(src):
            self.s.bind((src, 0))
        elif src:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, src.encode())

    def message(self, kind, seq):
        p = struct.pack("!BBHHH", kind, 0, 0, self.id, seq) + self.data
        # The kernel has the pseudo-header of ICMPv6 (RFC 4443 2.3), and its checksum.
        sum_ = checksum(p) if self.family == socket.AF_INET else 0
        return p[:2] + struct.pack("!H", sum_) + p[4:]

    def send(self, seq):
        try:
            self.s.sendto(self.message(self.request, seq), (self.dst, 0))
        except OSError:
            self.failed.add(seq)

    def ours(self, p, kind):
        """The number of an echo message of this ping."""
        if len(p) < 8 or p[0] != kind or struct.unpack_from("!H", p, 4)[0] != self.id:
            return None
        return struct.unpack_from("!H", p, 6)[0]

    def receive(self):
        p = self.s.recv(1 << 16)
        if self.family == socket.AF_INET:
            p = p[(p[0] & 15) * 4:]
        seq = self.ours(p, self.reply)
        if seq is not None and p[8:] == self.data:
            self.answered.add(seq)
        elif p and p[0] in self.errors:
            seq = self.ours(p[8 + self.header:], self.request)
            if seq is not None:
                self.failed.add(seq)

    def listen(self, end, until=None):
        """Until a point of time, or when nothing is awaited any more of so many."""
        while until is None or len(self.answered | self.failed) < until:
            left = end() - time.monotonic()
            if left <= 0 or not select.select([self.s], [], [], left)[0]:
                break
            self.receive()


def ping(netns, dst, count, size, src, wait, interval, data):
    """How many of count echo requests are answered with what was in them."""
    data = data or bytes(i & 255 for i in range(size))
    p = Pinger(netns, dst, src, data)
    with p.s:
        due = time.monotonic()
        for seq in range(count):
            p.send(seq)
            due += interval
            if seq + 1 < count:
                p.listen(lambda: due)
        sent = time.monotonic()
        p.listen(lambda: sent + (max(wait, PATIENCE) if p.answered else wait), count)
        return len(p.answered)

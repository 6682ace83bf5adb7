"""Writes every frame of an interface to a pcap file until SIGTERM; says what was lost.

tcpdump is not used because it insists on changing its user, which a user namespace with a
single user refuses.  Frames come through a memory-mapped ring (TPACKET_V3): the buffer of an
ordinary socket is too small without privileges.
"""
import mmap
import select
import signal
import socket
import struct
import sys
import time

SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_RX_RING, PACKET_STATISTICS, PACKET_VERSION = (
    263, 1, 5, 6, 10)
TPACKET_V3, TP_STATUS_USER = 2, 1
BLOCK, BLOCKS, RETIRE_MS = 4 << 20, 32, 20

deadline = None


def stop(*_):
    """What was sent before the order to stop is still written, for a bounded time."""
    global deadline
    deadline = time.monotonic() + 0.5


def open_ring(dev):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    s.setsockopt(SOL_PACKET, PACKET_VERSION, struct.pack("i", TPACKET_V3))
    s.setsockopt(SOL_PACKET, PACKET_RX_RING, struct.pack(
        "IIIIIII", BLOCK, BLOCKS, 1 << 17, BLOCK // (1 << 17) * BLOCKS, RETIRE_MS, 0, 0))
    ring = mmap.mmap(s.fileno(), BLOCK * BLOCKS, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    s.bind((dev, 3))
    # Promiscuous: frames between two other legs of the bridge.
    s.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP,
                 struct.pack("iHH8s", socket.if_nametoindex(dev), 1, 0, b""))
    return s, ring


def write_block(ring, base, out):
    """All frames of one block that the kernel has handed over."""
    count, at = struct.unpack_from("II", ring, base + 12)
    at += base
    for _ in range(count):
        step, sec, nsec, snap, length = struct.unpack_from("IIIII", ring, at)
        mac = struct.unpack_from("H", ring, at + 24)[0]
        out.write(struct.pack("=IIII", sec, nsec // 1000, snap, length))
        out.write(ring[at + mac:at + mac + snap])
        at += step


def main(dev, path):
    signal.signal(signal.SIGTERM, stop)
    s, ring = open_ring(dev)
    out = open(path, "wb", buffering=1 << 20)
    out.write(struct.pack("=IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 262144, 1))
    print("listening", flush=True)
    block = 0
    while deadline is None or time.monotonic() < deadline:
        base = block % BLOCKS * BLOCK
        if not struct.unpack_from("I", ring, base + 8)[0] & TP_STATUS_USER:
            # Longer than RETIRE_MS, and begun after the order: the last block has been handed over.
            stopped = deadline is not None
            if not select.select([s], [], [], 0.1)[0] and stopped:
                break
            continue
        write_block(ring, base, out)
        struct.pack_into("I", ring, base + 8, 0)
        block += 1
    out.close()
    print(struct.unpack("III", s.getsockopt(SOL_PACKET, PACKET_STATISTICS, 12))[1], flush=True)


main(*sys.argv[1:])

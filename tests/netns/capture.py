"""Writes every frame of an interface to a pcap file until SIGTERM; says what was lost.

tcpdump is not used because it insists on changing its user, which a user namespace with a
single user refuses.
"""
import signal
import socket
import struct
import sys
import time

dev, path = sys.argv[1:]
deadline = None


def stop(*_):
    """What was sent before the order to stop is still written, for a bounded time."""
    global deadline
    deadline = time.monotonic() + 0.5


signal.signal(signal.SIGTERM, stop)
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
for option in (33, socket.SO_RCVBUF):  # SO_RCVBUFFORCE where permitted
    try:
        s.setsockopt(socket.SOL_SOCKET, option, 64 << 20)
        break
    except OSError:
        pass
s.bind((dev, 3))
# Promiscuous: frames between two other legs of the bridge.
s.setsockopt(263, 1, struct.pack("iHH8s", socket.if_nametoindex(dev), 1, 0, b""))
s.settimeout(0.1)
out = open(path, "wb", buffering=1 << 20)
out.write(struct.pack("=IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 262144, 1))
print("listening", flush=True)
while deadline is None or time.monotonic() < deadline:
    try:
        frame = s.recv(262144)
    except socket.timeout:
        if deadline is not None:
            break
        continue
    now = time.time()
    out.write(struct.pack("=IIII", int(now), int(now % 1 * 1e6), len(frame), len(frame)))
    out.write(frame)
out.close()
packets, drops = struct.unpack("II", s.getsockopt(263, 6, 8))
print(drops, flush=True)

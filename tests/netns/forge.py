"""Packets of an attacker: built with scapy, sent as raw frames from a host on the wire."""
import logging

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.utils import checksum  # noqa: E402
from scapy.layers.inet import ICMP, IP, IPOption, TCP, UDP  # noqa: E402
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6PacketTooBig, IPv6, IPv6ExtHdrFragment  # noqa: E402
from scapy.layers.ipsec import ESP, SecurityAssociation  # noqa: E402

SEND = """
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((sys.argv[1], 0))
for line in sys.stdin:
    s.send(bytes.fromhex(line))
"""


def ip(src, dst):
    return IPv6(src=src, dst=dst) if ":" in src else IP(src=src, dst=dst)


def echo_request(src, dst):
    return ICMPv6EchoRequest(data=b"forged") if ":" in src else ICMP() / b"forged"


def echo_request_packet(src, dst):
    return ip(src, dst) / echo_request(src, dst)


def esp(src, dst, spi, seq, key, mac, payload):
    """A transport-mode packet with AES-CBC and HMAC-SHA1-96."""
    sa = SecurityAssociation(ESP, spi=spi, seq_num=seq, crypt_algo="AES-CBC", crypt_key=key,
                             auth_algo="HMAC-SHA1-96", auth_key=mac)
    inner = ip(src, dst) / payload
    return sa.encrypt(inner.__class__(bytes(inner)))


def fragments(packet, size):
    """The packet in pieces of at most size bytes of payload (a multiple of 8)."""
    packet = packet.__class__(bytes(packet))
    if packet.version == 4:
        return packet.fragment(size)
    data = bytes(packet.payload)
    head = IPv6(src=packet.src, dst=packet.dst, nh=44)
    return [head / IPv6ExtHdrFragment(nh=packet.nh, id=4711, offset=at // 8,
                                      m=int(at + size < len(data))) / data[at:at + size]
            for at in range(0, len(data), size)]


def right_checksum(packet):
    """The packet with the checksum that its IPv4 header must have."""
    packet = bytearray(packet)
    if packet[0] >> 4 == 4:
        packet[10:12] = b"\0\0"
        packet[10:12] = checksum(bytes(packet[:(packet[0] & 15) * 4])).to_bytes(2, "big")
    return bytes(packet)


def send(host, *frames):
    """Sends Ethernet frames as they are out of the host's leg."""
    dev = next(line.split(":")[1].strip().split("@")[0] for line in
               host.ip("-o", "link").splitlines() if "veth" in line or "@" in line)
    host.python(SEND, dev, input="".join(bytes(f).hex() + "\n" for f in frames))


def mac_of(host, dev):
    return bytes.fromhex(host.ip("-o", "link", "show", dev).split("link/ether ")[1].split()[0]
                         .replace(":", ""))


def send_ip(wire, target, sender, *packets):
    """Sends IP packets to the target's link address on this wire."""
    dst = mac_of(target, target.dev)
    frames = []
    for p in packets:
        p = bytes(p)
        frames.append(dst + b"\x02\0\0\0\0\x66" + (b"\x08\0" if p[0] >> 4 == 4 else b"\x86\xdd") + p)
    send(sender, *frames)

"""Keys and policies that several tests use."""

GCM_AB = "0x" + "a1" * 16 + "0badcafe"
GCM_BA = "0x" + "b2" * 16 + "0badf00d"
CBC_AB, CBC_BA = "0x" + "c3" * 16, "0x" + "d4" * 16
MAC_AB, MAC_BA = "0x" + "e5" * 20, "0x" + "f6" * 20


AH_AB, AH_BA = "0x" + "17" * 32, "0x" + "28" * 32

# What stands behind the IP header for a shape, from outside.
CHAIN = {"esp": (50,), "ah": (51,), "esp-ah": (51, 50)}


def ah_sas(a, b, mode, window, spi):
    return (f"add {a} {b} ah {spi} -m {mode} -r {window} -A hmac-sha256 {AH_AB};\n"
            f"add {b} {a} ah {spi + 1} -m {mode} -r {window} -A hmac-sha256 {AH_BA};\n")


def esp(a, b, natt=None):
    """Both ends and the protocol of an SA; natt is the pair of ports of ESP in UDP."""
    return f"{a}[{natt[0]}] {b}[{natt[1]}] esp-udp" if natt else f"{a} {b} esp"


def transport(a, b, level="require", alg="gcm", window=32, spi=0x1000, shape="esp"):
    """SAs for both directions between a and b, and the policies of a; swap for b."""
    if alg == "gcm":
        ab, ba = f"-E aes-gcm-16 {GCM_AB}", f"-E aes-gcm-16 {GCM_BA}"
    else:
        ab = f"-E aes-cbc {CBC_AB} -A hmac-sha1 {MAC_AB}"
        ba = f"-E aes-cbc {CBC_BA} -A hmac-sha1 {MAC_BA}"
    sas = (f"add {a} {b} esp {spi} -m transport -r {window} {ab};\n"
           f"add {b} {a} esp {spi + 1} -m transport -r {window} {ba};\n")
    if shape == "ah":
        sas = ""
    if shape != "esp":
        sas += ah_sas(a, b, "transport", window, spi)
    request = " ".join(f"{proto}/transport//{level}" for proto in shape.split("-"))
    return sas, policies(a, b, request), policies(b, a, request)


def policies(me, peer, request, upper="any"):
    return (f"spdadd {me} {peer} {upper} -P out ipsec {request};\n"
            f"spdadd {peer} {me} {upper} -P in ipsec {request};\n")


def tunnel(net1, net2, gw1, gw2, spi=0x2000, level="require", window=32, shape="esp", natt=None):
    """SAs between two gateways, and the policies of gateway 1 and of gateway 2."""
    back = natt and natt[::-1]
    sas = (f"add {esp(gw1, gw2, natt)} {spi} -m tunnel -r {window} -E aes-gcm-16 {GCM_AB};\n"
           f"add {esp(gw2, gw1, back)} {spi + 1} -m tunnel -r {window} -E aes-gcm-16 {GCM_BA};\n")

    if shape == "ah":
        sas = ""
    if shape != "esp":
        sas += ah_sas(gw1, gw2, "tunnel" if shape == "ah" else "transport", window, spi)

    def requests(src, dst):
        return {"esp": f"esp/tunnel/{src}-{dst}/{level}", "ah": f"ah/tunnel/{src}-{dst}/{level}",
                "esp-ah": f"esp/tunnel/{src}-{dst}/{level} ah/transport/{src}-{dst}/{level}"}[shape]

    def side(here, there, me, peer):
        return (f"spdadd {here} {there} any -P out ipsec {requests(me, peer)};\n"
                f"spdadd {there} {here} any -P in ipsec {requests(peer, me)};\n")

    return sas, side(net1, net2, gw1, gw2), side(net2, net1, gw2, gw1)

"""Keys and policies that several tests use."""

GCM_AB = "0x" + "a1" * 16 + "0badcafe"
GCM_BA = "0x" + "b2" * 16 + "0badf00d"
CBC_AB, CBC_BA = "0x" + "c3" * 16, "0x" + "d4" * 16
MAC_AB, MAC_BA = "0x" + "e5" * 20, "0x" + "f6" * 20


def transport(a, b, level="require", alg="gcm", window=32, spi=0x1000):
    """SAs for both directions between a and b, and the policies of a; swap for b."""
    if alg == "gcm":
        ab, ba = f"-E aes-gcm-16 {GCM_AB}", f"-E aes-gcm-16 {GCM_BA}"
    else:
        ab = f"-E aes-cbc {CBC_AB} -A hmac-sha1 {MAC_AB}"
        ba = f"-E aes-cbc {CBC_BA} -A hmac-sha1 {MAC_BA}"
    sas = (f"add {a} {b} esp {spi} -m transport -r {window} {ab};\n"
           f"add {b} {a} esp {spi + 1} -m transport -r {window} {ba};\n")
    return sas, policies(a, b, f"esp/transport//{level}"), policies(b, a, f"esp/transport//{level}")


def policies(me, peer, request, upper="any"):
    return (f"spdadd {me} {peer} {upper} -P out ipsec {request};\n"
            f"spdadd {peer} {me} {upper} -P in ipsec {request};\n")


def tunnel(net1, net2, gw1, gw2, spi=0x2000, level="require", window=32):
    """SAs between two gateways, and the policies of gateway 1 and of gateway 2."""
    sas = (f"add {gw1} {gw2} esp {spi} -m tunnel -r {window} -E aes-gcm-16 {GCM_AB};\n"
           f"add {gw2} {gw1} esp {spi + 1} -m tunnel -r {window} -E aes-gcm-16 {GCM_BA};\n")

    def side(here, there, me, peer):
        return (f"spdadd {here} {there} any -P out ipsec esp/tunnel/{me}-{peer}/{level};\n"
                f"spdadd {there} {here} any -P in ipsec esp/tunnel/{peer}-{me}/{level};\n")

    return sas, side(net1, net2, gw1, gw2), side(net2, net1, gw2, gw1)

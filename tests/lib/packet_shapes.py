"""What associations and bundles look like that every peer is asked for."""

INNER = {4: ("192.0.2.1", "198.51.100.9"), 6: ("2001:db8:1::1", "2001:db8:2::9")}
OUTER = {4: ("203.0.113.1", "203.0.113.2"), 6: ("2001:db8:a::1", "2001:db8:b::2")}
# (mode, inner family, outer family)
SHAPES = [("transport", 4, 4), ("transport", 6, 6), ("tunnel", 4, 4), ("tunnel", 6, 6),
          ("tunnel", 4, 6), ("tunnel", 6, 4)]


# Bundles are lists of (protocol, family of the tunnel or None), the innermost first.


def crossed(kinds, inner):
    """Transport mode on a tunnel of another family."""
    family, other = inner, False
    for _, tunnel in kinds:
        if tunnel:
            other, family = other or tunnel != family, tunnel
        elif other:
            return True
    return False


def ah_inside(kinds):
    """AH and then ESP or IPComp on one IP header."""
    return any(a[0] == "ah" and b[0] != "ah" and not b[1] for a, b in zip(kinds, kinds[1:]))

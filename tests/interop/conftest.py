"""What all tests with scapy share."""
import logging
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
logging.getLogger("scapy").setLevel(logging.ERROR)


# "default": what testudo takes when nothing is said.
@pytest.fixture(params=os.environ["TDO_DRIVERS"].split())
def driver(request):
    return None if request.param == "default" else request.param


@pytest.fixture(autouse=True, scope="session")
def engines_end_well():
    import packet_engine
    yield
    packet_engine.close_kept()

"""One guest for all tests; a skipped test is a failed one."""
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import guest as g  # noqa: E402
import lab as l  # noqa: E402
import packets as pk  # noqa: E402
import sizes  # noqa: E402


@pytest.fixture(scope="session")
def guest():
    guest = g.Guest(os.path.join(os.environ["TDO_BUILD"], "kernel"))
    yield guest
    guest.close()


# "default": what testudo takes when nothing is said.
@pytest.fixture(scope="session", params=os.environ["TDO_DRIVERS"].split())
def lab(guest, request):
    lab = l.Lab(guest, None if request.param == "default" else request.param)
    yield lab
    lab.close()


@pytest.fixture
def wide_lab(lab):
    """A link that takes all sizes."""
    lab.link(sizes.LINK)
    yield lab
    lab.link(pk.MTU)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped counts as failed: {report.longrepr}"

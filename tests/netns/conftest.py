"""Fixtures for tests in network namespaces; a skipped test is a failed one."""
import pytest

import netlab


@pytest.fixture
def lab():
    l = netlab.Lab()
    yield l
    l.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped counts as failed: {report.longrepr}"
    if report.failed and report.when == "call" and "lab" in item.funcargs:
        for h in item.funcargs["lab"].hosts:
            try:
                report.sections.append((f"log of {h.name}", h.log()[-4000:]))
            except OSError:
                pass

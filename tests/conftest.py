from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.support.collection", "tests.support.farm"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--matrix", action="store_true", help="every seed and front end (tools/dev.py test --all)")
    parser.addoption("--pictures", action="store_true", help="browser tests renew the screenshots in docs/images")


def pytest_configure(config: pytest.Config) -> None:
    """Give the same examples on every run, and new ones with ``--matrix``; a busy machine is no failure."""
    same = not config.getoption("--matrix")
    settings.register_profile("project", deadline=None, derandomize=same, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("project")

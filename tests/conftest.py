from __future__ import annotations

import pytest

pytest_plugins = ["tests.support.collection", "tests.support.farm"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--matrix", action="store_true", help="every seed and front end (tools/dev.py test --all)")

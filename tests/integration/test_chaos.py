"""Whatever happens to three real servers, every job has one result in the end, and nothing is left behind."""

from __future__ import annotations

import pytest

from tests.support.chaos import run_chaos
from tools.devtools.instances import Farm

pytestmark = [pytest.mark.comfy, pytest.mark.timeout(600)]

SEEDS = tuple(range(1, 21))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give one seed, or with ``--matrix`` all of them."""
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", SEEDS if metafunc.config.getoption("--matrix") else SEEDS[:1])


async def test_every_job_has_exactly_one_result_whatever_happens_to_the_servers(comfy_farm: Farm, seed: int) -> None:
    report = await run_chaos(comfy_farm, seed, jobs=16)
    assert report.problems == [], report
    assert report.ends.total() == 16

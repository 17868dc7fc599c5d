"""Real ComfyUI servers as fixtures: the same instances that dev.py starts, shared by a whole test session.

A test may kill, freeze or restart what it gets; the next test that asks for the instance finds it running again.
Whatever a test leaves in an instance's queue or folders the next one finds, so tests choose names of their own.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tools.devtools.environments import NEWEST_FRONT_END, ComfyUI, find_comfyui, front_end
from tools.devtools.failure import DevError
from tools.devtools.instances import Farm, Instance
from tools.devtools.scratch import scratch

FARM = pytest.StashKey[Farm]()
SHARED = frozenset({"plain-1", "plain-2", "master"})
"""The servers of fixtures; those of browsers, ``canvas-…``, are shared by the files of one folder."""


@pytest.fixture(scope="session")
def comfyui() -> ComfyUI:
    """The source and interpreter of the real ComfyUI."""
    try:
        return find_comfyui()
    except DevError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def comfy_farm(comfyui: ComfyUI, request: pytest.FixtureRequest) -> Iterator[Farm]:
    """Named real servers, started when first asked for: ``plain(*names)``, ``with_pack(*names)``, ``start(*specs)``."""
    with scratch("tests") as folder, Farm(comfyui, folder) as farm:
        request.session.stash[FARM] = farm
        yield farm


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stop the servers of a file of tests after it, but those that many share: each takes half a gigabyte."""
    farm = item.session.stash.get(FARM, None)
    if farm is None or nextitem is None or nextitem.path == item.path:
        return
    both_browse = item.path.parent == nextitem.path.parent
    farm.stop(
        [one for name, one in farm.instances.items() if name not in SHARED and not (both_browse and "canvas-" in name)]
    )


@pytest.fixture
def plain_peer(comfy_farm: Farm) -> Instance:
    """One ComfyUI with nothing installed."""
    return comfy_farm.plain("plain-1")[0]


@pytest.fixture
def plain_peers(comfy_farm: Farm) -> tuple[Instance, Instance]:
    """Two ComfyUIs with nothing installed; the first is ``plain_peer``."""
    first, second = comfy_farm.plain("plain-1", "plain-2")
    return first, second


@pytest.fixture
def master(comfy_farm: Farm) -> Instance:
    """A ComfyUI with this pack."""
    return comfy_farm.with_pack("master")[0]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that takes ``front_end_arguments`` each front end: one, or with ``--matrix`` both."""
    if "front_end_arguments" not in metafunc.fixturenames:
        return
    kinds: dict[str, tuple[str, ...]] = {"own": ()}
    if metafunc.config.getoption("--matrix"):
        kinds["second"] = ("--front-end-root", str(front_end(NEWEST_FRONT_END)))
    metafunc.parametrize("front_end_arguments", list(kinds.values()), ids=list(kinds), scope="session")

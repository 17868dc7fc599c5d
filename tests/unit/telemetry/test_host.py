from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import psutil
import pytest

from comfy_orchestrator_nodes.agent.telemetry.host import Host
from comfy_orchestrator_nodes.agent.telemetry.loaded import loaded_models
from comfy_orchestrator_nodes.agent.telemetry.models import LoadedModel
from tests.unit.telemetry.clock import Clock

RATES = {
    "cpu_ratio",
    "disk_read_bytes_s",
    "disk_written_bytes_s",
    "network_received_bytes_s",
    "network_sent_bytes_s",
}


class Times(NamedTuple):
    user: float
    idle: float
    iowait: float
    system: float
    guest: float


def a_system(**changes: Any) -> Any:
    def counters(**names: int) -> Any:
        return SimpleNamespace(**names)

    system = SimpleNamespace(
        Process=lambda: SimpleNamespace(memory_info=lambda: counters(rss=7)),
        cpu_times=lambda: Times(100, 800, 50, 50, 60),
        virtual_memory=lambda: counters(total=100, available=60),
        swap_memory=lambda: counters(used=5),
        disk_io_counters=lambda: counters(read_bytes=1000, write_bytes=2000),
        disk_usage=lambda folder: counters(free=9),
        net_io_counters=lambda pernic: {
            "lo": counters(bytes_recv=10**9, bytes_sent=10**9),
            "eth0": counters(bytes_recv=10, bytes_sent=20),
        },
    )
    vars(system).update(changes)
    return system


def test_this_machine_tells_what_every_machine_has(tmp_path: Any) -> None:
    host = Host(str(tmp_path))
    values = host.read()
    assert 0 < values["ram_used_bytes"] < values["ram_total_bytes"]
    assert values["disk_free_bytes"] > 0
    assert values["process_ram_bytes"] > 10**6
    assert not RATES & set(values)


def test_rates_are_over_the_time_between_two_readings() -> None:
    clock, system = Clock(), a_system()
    host = Host("/", system=system, clock=clock)
    host.read()
    clock.pass_(2.0)
    # Ten seconds of all cores, of which six idled, one waited for a disk, and two were a guest's within the user's.
    system.cpu_times = lambda: Times(103, 806, 51, 50, 62)
    system.disk_io_counters = lambda: SimpleNamespace(read_bytes=5000, write_bytes=2000)
    values = host.read()
    assert (values["disk_read_bytes_s"], values["disk_written_bytes_s"]) == (2000, 0)
    assert values["cpu_ratio"] == pytest.approx(0.3)


def test_traffic_of_the_machine_with_itself_is_no_traffic() -> None:
    clock, system = Clock(), a_system()
    host = Host("/", system=system, clock=clock)
    host.read()
    clock.pass_(1.0)
    assert host.read()["network_received_bytes_s"] == 0


def test_a_counter_that_began_anew_has_no_rate() -> None:
    clock, system = Clock(), a_system()
    host = Host("/", system=system, clock=clock)
    host.read()
    clock.pass_(1.0)
    system.disk_io_counters = lambda: SimpleNamespace(read_bytes=1, write_bytes=3000)
    values = host.read()
    assert "disk_read_bytes_s" not in values
    assert values["disk_written_bytes_s"] == 1000


@pytest.mark.parametrize("error", [OSError(), RuntimeError(), psutil.AccessDenied(), NotImplementedError()])
def test_what_a_container_hides_costs_only_itself(error: Exception) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise error

    values = Host("/", system=a_system(disk_io_counters=refuse, swap_memory=refuse)).read()
    assert "swap_used_bytes" not in values
    assert values["ram_used_bytes"] == 40


def test_a_machine_without_disks_of_its_own_has_no_disk_rates() -> None:
    assert "ram_used_bytes" in Host("/", system=a_system(disk_io_counters=lambda: None)).read()


def a_loaded(size: int, *, unloading: bool = False) -> Any:
    class SDXL:
        pass

    return SimpleNamespace(
        model=None if unloading else SimpleNamespace(model=SDXL()),
        device="cuda:0",
        model_memory=lambda: size,
        model_loaded_memory=lambda: size // 2,
    )


def test_loaded_models_are_named_the_largest_first() -> None:
    found = loaded_models(lambda: [a_loaded(10), a_loaded(30)])
    assert found == (LoadedModel("SDXL", 30, 15, "cuda:0"), LoadedModel("SDXL", 10, 5, "cuda:0"))


def test_a_model_that_is_being_unloaded_is_left_out() -> None:
    broken = SimpleNamespace(model=SimpleNamespace(), device="cpu")
    assert [m.size_bytes for m in loaded_models(lambda: [a_loaded(1, unloading=True), broken, a_loaded(2)])] == [2]

from __future__ import annotations

from dataclasses import fields

from comfy_orchestrator_nodes.api.settings import SettingsBody, SettingsValues
from comfy_orchestrator_nodes.orchestrator.preferences import Preferences
from tests.unit.api.conftest import Api


def test_every_preference_can_be_seen_and_set() -> None:
    names = {field.name for field in fields(Preferences)}
    assert set(SettingsValues.model_fields) == names
    assert set(SettingsBody.model_fields) == names | {"reset"}


async def test_settings_are_changed_in_part_and_reset(api: Api) -> None:
    before = await api.ask("GET", "/settings")
    assert before["settings"] == before["defaults"]
    changed = await api.ask("PATCH", "/settings", {"attempts": 5, "time_limit_s": 60.0})
    assert changed["settings"] == {**before["settings"], "attempts": 5, "time_limit_s": 60.0}
    assert changed["defaults"] == before["defaults"]
    unlimited = await api.ask("PATCH", "/settings", {"time_limit_s": None})
    assert unlimited["settings"]["time_limit_s"] is None
    reset = await api.ask("PATCH", "/settings", {"reset": ["attempts"]})
    assert reset == before


async def test_a_value_out_of_its_bounds_is_refused_with_them(api: Api) -> None:
    bounds = (await api.ask("GET", "/settings"))["ranges"]["stall_limit_s"]
    error = (await api.ask("PATCH", "/settings", {"stall_limit_s": bounds["least"] - 1}, status=422))["error"]
    assert f"from {bounds['least']:g} to" in error["message"]
    await api.ask("PATCH", "/settings", {"reset": ["nonsense"]}, status=422)
    await api.ask("PATCH", "/settings", {"on_failure": "panic"}, status=400)


async def test_a_change_is_told_to_browsers(api: Api) -> None:
    await api.ask("PUT", "/listeners/tab", {})
    await api.ask("PATCH", "/settings", {"attempts": 9})
    await api.outbox.wait_for(lambda: bool(api.outbox.of("orchestrator.settings")))
    assert api.outbox.of("orchestrator.settings")[-1]["settings"]["attempts"] == 9

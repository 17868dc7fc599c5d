"""What the owner of a peer may set, and that nonsense in it changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfy_orchestrator_nodes.agent.settings import Settings


def test_without_settings_the_defaults_hold(tmp_path: Path) -> None:
    settings = Settings.read(tmp_path, {})
    assert settings == Settings()
    assert settings.blob_limit_bytes == 20 << 30
    assert [settings.freezes(dedicated=alone) for alone in (True, False)] == [True, False]


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"blob_limit_gib": 2, "freeze": true, "require_token": true}')
    environment = {"COMFY_ORCHESTRATOR_AGENT_BLOB_LIMIT_GIB": "0.5", "COMFY_ORCHESTRATOR_AGENT_FREEZE": "off"}
    assert Settings.read(tmp_path, environment) == Settings(0.5, require_token=True, freeze=False)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"freeze": "maybe", "blob_limit_gib": -1, "nonsense": 1}', "\0"])
def test_what_cannot_be_understood_counts_as_not_said(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "settings.json").write_text(text)
    assert Settings.read(tmp_path, {"COMFY_ORCHESTRATOR_AGENT_REQUIRE_TOKEN": "perhaps"}) == Settings()
    assert "require_token" in caplog.text

"""Writes the agent as a pack of its own: what a peer needs that has no use for the master's part."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tools.devtools.failure import DevError
from tools.devtools.paths import ROOT
from tools.devtools.steps import remove_tree

AGENT_PACK_NAME = "comfyui-orchestrator-agent"
"""Its folder name under custom_nodes."""

SOURCE = ROOT / "comfy_orchestrator_nodes" / "agent"

_INIT = '''"""ComfyUI Orchestrator's agent: what ComfyUI loads. Made by ``tools/dev.py agent-pack``; do not edit."""

if __package__:
    from .agent.pack import load

    NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS = load(dedicated=True)

    if NODE_CLASS_MAPPINGS:
        # Not where the whole of ComfyUI Orchestrator is there too: that has a sidebar.
        WEB_DIRECTORY = "./agent/web"
'''

_PROJECT = """[project]
name = "{name}"
version = "{version}"
description = "Makes this ComfyUI a good backend of ComfyUI Orchestrator: exact values, fast, and its GPUs visible."
readme = "README.md"
requires-python = ">=3.10"
license = {{ file = "LICENSE" }}
dependencies = ["nvidia-ml-py>=12"]

[project.urls]
Repository = "https://github.com/comfyui-orchestrator/comfyui-orchestrator"

[tool.comfy]
PublisherId = "comfyui-orchestrator"
DisplayName = "ComfyUI Orchestrator Agent"
requires-comfyui = ">=0.3.60"
"""

_REQUIREMENTS = """# NVIDIA's own binding, to see its GPUs; all else comes with ComfyUI.
nvidia-ml-py>=12
"""

_README = """# ComfyUI Orchestrator: the agent, alone

Put this folder into `custom_nodes` of a ComfyUI that works for another one which has
[ComfyUI Orchestrator](https://github.com/comfyui-orchestrator/comfyui-orchestrator), and restart it. Values then cross
exactly and fast, and its GPUs are seen.

The master on another machine is given this server's token once: it is printed on this server's terminal when it is
made, shown in its sidebar (opened on that machine), and kept in `user/__comfy_orchestrator_agent/token`. Delete that
file to revoke it.

It needs one small Python package that ComfyUI does not bring, nvidia-ml-py, and without it only the figures of NVIDIA
GPUs are missing. Settings, security and measurements are told in the project's
`docs/agent.md`. MIT licensed.
"""


def write_agent_pack(parent: Path) -> Path:
    """Write the pack's folder below ``parent``, in the place of one that was written before, and return it.

    Raises:
        DevError: there is something else of that name.
    """
    target = parent / AGENT_PACK_NAME
    if target.is_symlink() or (target.exists() and not _is_ours(target)):
        raise DevError(f"{target} is there already, and was not written by this command. Move it away first.")
    remove_tree(target)
    shutil.copytree(SOURCE, target / "agent", ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    project = _PROJECT.format(name=AGENT_PACK_NAME, version=_version())
    texts = {"__init__.py": _INIT, "pyproject.toml": project, "requirements.txt": _REQUIREMENTS, "README.md": _README}
    for name, text in texts.items():
        (target / name).write_text(text, encoding="utf-8")
    shutil.copyfile(ROOT / "LICENSE", target / "LICENSE")
    return target


def _is_ours(target: Path) -> bool:
    project = target / "pyproject.toml"
    return project.is_file() and f'name = "{AGENT_PACK_NAME}"' in project.read_text(encoding="utf-8", errors="replace")


def _version() -> str:
    found = re.search(
        r'^AGENT_VERSION = "([^"]+)"$', (SOURCE / "__init__.py").read_text(encoding="utf-8"), re.MULTILINE
    )
    if found is None:
        raise DevError(f"{SOURCE / '__init__.py'} has no AGENT_VERSION.")
    return found.group(1)

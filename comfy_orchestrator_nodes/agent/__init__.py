"""The agent: what a peer runs so that values cross exactly and fast. ``docs/agent-protocol.md`` is its contract.

A package of its own inside the pack: it imports nothing of the rest, and is also published alone
(``tools/dev.py agent-pack``). The rest imports ``wire`` only. All but ``nodes`` and ``pack`` imports without ComfyUI
and without torch.
"""

AGENT_VERSION = "0.1.0"

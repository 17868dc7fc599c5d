"""ComfyUI Orchestrator: one ComfyUI conducts many. ``docs/architecture.md`` tells how the parts fit together."""

__version__ = "0.1.0"

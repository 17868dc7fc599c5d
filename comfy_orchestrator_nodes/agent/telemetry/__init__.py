"""What the machine under this ComfyUI does: its GPUs, its processor and memory, the models that are loaded.

Works without torch, without ComfyUI and without a driver: what is missing is told in words (``docs/telemetry.md``).
"""

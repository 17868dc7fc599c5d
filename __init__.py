"""ComfyUI Orchestrator: what ComfyUI loads.

Imported by ComfyUI as a package; anything else that happens upon this file (a test collector, a packaging tool) gets an
empty module.
"""

if __package__:
    from .comfy_orchestrator_nodes.extension import load

    NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS = load()

    WEB_DIRECTORY = "./web"

    __all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS", "WEB_DIRECTORY"]

"""What ComfyUI's front end does between opening a workflow and queueing it, without a browser.

The target is front end 1.58.1. Each module names the part of the front end whose behaviour it follows; ``load`` builds
the live graph, ``emit`` writes the prompt from it.
"""

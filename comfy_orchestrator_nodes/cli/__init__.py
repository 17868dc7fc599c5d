"""The command-line client of a running master. Needs Python and aiohttp; neither ComfyUI nor torch."""

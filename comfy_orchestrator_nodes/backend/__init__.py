"""The client of one peer ComfyUI: requests, socket, transfers, and the types that its answers become."""

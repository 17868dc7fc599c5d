"""Small bounded readers of the files that ComfyUI writes workflows into; none decodes an image or a sound."""

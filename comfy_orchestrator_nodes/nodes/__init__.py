"""The classes that ComfyUI sees (V1 schema), thin: they gather inputs, call a verb, and hand native values on.

Each module has a ``build`` that returns its classes for one master; nothing here is global.
"""

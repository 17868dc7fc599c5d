"""Collects what the backends' machines do: into the time series, to the browsers, and onto the attempts."""

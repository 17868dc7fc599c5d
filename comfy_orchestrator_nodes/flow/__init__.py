"""What Condition, FanOut and Merge mean, as pure functions that every executor of a meta-graph calls."""

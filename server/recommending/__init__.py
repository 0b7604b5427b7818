"""The mathematics of recommendations, run by a process of its own."""

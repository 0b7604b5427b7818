"""The benchmarks: what the server costs beside bare handlers that run on the same machine in the same minutes."""

"""HTTP: reading requests, answering them, the edge every one of them passes."""

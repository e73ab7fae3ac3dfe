"""The worker protocol: what a worker and the control plane say to each other, as pydantic models and nothing else."""

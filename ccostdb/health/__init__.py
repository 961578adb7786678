"""How it is: what `doctor` looks at, and what the running process tells at /health and /metrics."""

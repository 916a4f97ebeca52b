"""The engine: lowered equations as a short list of instructions, run by compiled kernels on a team of threads."""

"""The machinery of training: the loop, a step, its state, checkpoints, processes, memory."""

"""Once for all: one network trained with all the choices of a space, from which each device takes its subnet."""

__all__: list[str] = []

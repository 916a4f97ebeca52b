"""The compiled engine: the derived equations at the speed of the machine."""

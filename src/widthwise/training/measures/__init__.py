"""What is measured of a network at a recorded step: pure functions. Begin at `traces.py`.

Each states its formula, its units in powers of width, and its error where it is an estimate. All but
those that give names or plan memory can be compiled.
"""

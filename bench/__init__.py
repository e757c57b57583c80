"""The benchmark: the whole product on real parts, pinned to two cores, each effect checked in the simulators' books."""

"""The parts of the one exchange: heads with their branches, registers, journals, probes."""

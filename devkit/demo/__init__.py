"""The demonstration: the incident and a mixed load with every fault, audited from the outside world's own books."""

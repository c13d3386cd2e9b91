"""One reducer owns the state; wants follow from it; actuators make them real. The only writer of the store."""

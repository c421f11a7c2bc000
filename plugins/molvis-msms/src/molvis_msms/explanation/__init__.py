"""What every peak of a spectrum can be, given a structure: substructures with paths, classes and probabilities."""

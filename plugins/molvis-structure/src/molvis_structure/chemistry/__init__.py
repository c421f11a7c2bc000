"""What RDKit says of molecules: fingerprints, descriptors, graphs and motifs; without PyTorch."""

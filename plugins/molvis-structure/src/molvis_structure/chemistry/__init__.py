"""What RDKit computes of molecules: fingerprints, descriptors, graphs and motifs; without PyTorch."""

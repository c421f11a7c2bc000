"""What a molecule and its ions are: formulas, adducts, identities."""

"""How often the truth ranks first, and what each measurement adds to that."""

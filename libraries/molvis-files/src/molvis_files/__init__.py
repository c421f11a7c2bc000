"""Reading and writing files without losing, trusting or half-writing any."""

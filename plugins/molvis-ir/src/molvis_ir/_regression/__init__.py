"""Regression between structures and infrared spectra, in closed form: who learns it waits a minute."""

"""The whole of Postwire on one machine, with nothing installed beforehand."""

"""The command `postwire`: what whoever runs Postwire does by hand.

`main` is where it begins; each group of commands is a module.
"""

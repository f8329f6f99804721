"""Attacks on the judge, each with an honest twin: run them to know that the judge holds on this machine."""

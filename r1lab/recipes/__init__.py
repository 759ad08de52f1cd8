"""Recipes in Open-R1's key format, read and said in r1lab's words."""

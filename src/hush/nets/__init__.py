"""Networks: torch modules only, one a file, each of which states its margin and its multiple.

A file holds one public class, its usual ``DEPTH``, and ``grid(depth)``, so that a method can take any by name.
"""

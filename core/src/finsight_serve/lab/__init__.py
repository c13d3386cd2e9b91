"""The policy lab: what a policy would have done, found without running anything.

It needs the libraries of `finsight-serve[lab]`, imported where they are used.
"""

"""Measuring: what n samples per problem say about a model, and how sure one can be of it."""

"""Reaches servers; knows no Django."""

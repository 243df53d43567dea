"""Stub."""


def couple_rows(space, rows):
    return rows

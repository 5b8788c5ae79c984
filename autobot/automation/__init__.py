"""Automations without any room: the document, its expressions and schedules."""

"""Enrolment: support sets, profiles, what changes a profile, and the report about it."""

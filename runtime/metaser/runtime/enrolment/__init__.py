"""Enrolment: support sets, profiles, changes of a profile, and its report."""

"""The tables of an image: what each holds, and its bytes."""

from format.records import Table
from format.sections.guard import Guard
from format.sections.machine import MachineFacts
from format.sections.page_types import PageTypes
from format.sections.working_set import WorkingSet

TABLES: tuple[type[Table], ...] = (Guard, MachineFacts, WorkingSet, PageTypes)
"""Every kind that there is."""

"""A working set, and how its replay went, in words."""

from contextlib import suppress
from dataclasses import replace

from format.sections.working_set import WorkingSet
from linux import tasks
from state.working_set import ReplayOutcome, ReplayRecord

_PAGES_IN_MIB = 256


def describe(whole: WorkingSet) -> str:
    """Return in a few words what was in memory."""
    return (
        f"{whole.files} files with {whole.file_pages // _PAGES_IN_MIB} MiB, "
        f"{len(whole.processes)} processes with {whole.process_pages // _PAGES_IN_MIB} MiB"
        f"{'' if whole.complete else ', not all'}"
    )


def counts(whole: WorkingSet) -> dict[str, object]:
    """Return the same for a script."""
    return {
        "files": whole.files,
        "file_pages": whole.file_pages,
        "processes": len(whole.processes),
        "process_pages": whole.process_pages,
        "with_paths": whole.with_paths,
        "complete": whole.complete,
    }


def of_now(kept: ReplayRecord) -> ReplayRecord:
    """Return how it went: one that runs can have been killed since it said so."""
    if kept.outcome != ReplayOutcome.RUNNING:
        return kept
    with suppress(OSError):
        if tasks.start_of(kept.pid) == kept.started:
            return kept
    return replace(kept, outcome=ReplayOutcome.KILLED)


def in_words(kept: ReplayRecord) -> str:
    """Return in a line how a replay went."""
    if kept.outcome == ReplayOutcome.RUNNING:
        return "the working set is being brought back"
    if kept.outcome == ReplayOutcome.KILLED:
        return "the working set was being brought back when that was killed"
    words = [f"{_share(kept.file_pages)} of {kept.files['recorded']} files"]
    words.append(f"{_share(kept.process_pages)} of {kept.processes['recorded']} processes")
    text = f"working set: {', '.join(words)} in memory again after {kept.seconds:.1f} s"
    if kept.files["skipped"]:
        reasons = ", ".join(f"{count} {reason}" for reason, count in kept.skipped.items())
        text += f"; files left alone: {reasons}"
    if kept.processes["skipped"]:
        text += f"; {kept.processes['skipped']} processes are gone"
    return f"{text}; {kept.reason}" if kept.reason else text


def _share(pages: dict[str, int]) -> str:
    there = (pages["resident"] + pages["restored"]) // _PAGES_IN_MIB
    return f"{there} of {pages['recorded'] // _PAGES_IN_MIB} MiB"

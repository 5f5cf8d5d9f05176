"""Show runs that trained on the same pairs once, under the names of all."""

from collections.abc import Sequence

from delta.report.context import Run

EQUALS = " = "  # between the entries of runs that are one training


def merge_equal(groups: Sequence[list[Run]]) -> list[list[Run]]:
    """Return the groups of runs (seeds of one configuration), those of equal trainings as one.

    The runs of a merged group have all entries in their axes: "factuality = mean". Groups are equal
    where each run has the same training as one of the other group. A run without a result, and one
    whose result does not record its pairs, equals no other.
    """
    merged: dict[frozenset[str], list[Run]] = {}
    result: list[list[Run]] = []
    for group in groups:
        known = frozenset(run.policy for run in group if run.policy is not None)
        first = merged.get(known) if len(known) == len(group) else None
        if first is None:
            own = list(group)
            result.append(own)
            if len(known) == len(group):
                merged[known] = own
        else:
            shared = {
                axis: entry
                for axis, entry in group[0].axes.items()
                if all(run.axes[axis] == entry for run in group)
            }
            first[:] = [_with_names(run, shared) for run in first]
    return result


def entries(text: str) -> list[str]:
    """Return the entries that an axis of a merged run names."""
    return text.split(EQUALS)


def _with_names(run: Run, other: dict[str, str]) -> Run:
    """Return the run under the names of the entries `other` as well, which has no seed."""
    axes = {
        axis: EQUALS.join(dict.fromkeys([*entries(entry), other.get(axis, entry)]))
        for axis, entry in run.axes.items()
    }
    return run._replace(axes=axes)

"""The journal of changes, compared with a list that forgets nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kv.journal import Journal

LIMIT = 4
COMMITS = st.lists(
    st.lists(st.sampled_from(["a", "a/b", "a/c", "b"]), min_size=1, max_size=3, unique=True), max_size=8
)


@given(COMMITS, st.integers(0, 9), st.sampled_from(["", "a/", "b/"]))
def test_all_of_it_or_nothing(commits, asked, prefix):
    journal, everything = Journal(LIMIT), []
    for revision, keys in enumerate(commits, 1):
        for key in keys:
            journal.add(revision, key)
            everything.append((revision, key))
    found = journal.after(asked, prefix)
    later = [(revision, key) for revision, key in everything if revision > asked]
    newest = {key: revision for revision, key in later if key.startswith(prefix)}
    if found is None:
        assert len(later) > LIMIT - 3
    else:
        assert found == newest
        assert list(found.values()) == sorted(found.values())
    assert (found is None) <= (len(everything) > LIMIT)


def test_what_was_before_its_beginning_is_not_known():
    journal = Journal()
    journal.add(1, "a")
    journal.begin(7)
    assert (journal.after(6, ""), journal.after(7, "")) == (None, {})
    journal.add(8, "a")
    assert journal.after(7, "") == {"a": 8}

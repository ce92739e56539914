"""The audit counts distinct values and tells mapped from unmapped from junk."""

from music_reclass.taxonomy import AuditRow, audit, load

TREE = load()


def test_an_audit_lists_each_value_once_most_frequent_first() -> None:
    rows = audit(TREE, [("Rock", 2), ("hip hop", 5), ("Rock", 4), ("Nonsensecore", 1), ("Other", 1)])
    assert [(row.value, row.count, row.status) for row in rows] == [
        ("Rock", 6, "mapped"),
        ("hip hop", 5, "mapped"),
        ("Nonsensecore", 1, "unmapped"),
        ("Other", 1, "junk"),
    ]


def test_a_joined_value_shows_what_is_known_in_it_and_what_is_not() -> None:
    assert audit(TREE, [("Rap; Nonsensecore; Other", 3)]) == (
        AuditRow("Rap; Nonsensecore; Other", 3, ("Rap",), ("Nonsensecore",)),
    )


def test_an_empty_value_is_junk() -> None:
    assert audit(TREE, [("", 1)])[0].status == "junk"

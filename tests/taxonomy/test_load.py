"""The shipped tree is sound; a user's file wins over it, or is refused in one sentence."""

import csv
import re
from pathlib import Path

import pytest

from music_reclass.domain import Relation
from music_reclass.errors import UsageError
from music_reclass.taxonomy import load
from music_reclass.taxonomy.tree import has_separator, key

TREE = load()
SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "taxonomy"
MODEL_LABELS = [
    "Easy Listening",
    *"Ambient Blues Classical Country Electronic Folk Hip-Hop International Jazz Latin Pop Reggae Rock".split(),
    "Soul-RnB",
]


def with_file(tmp_path: Path, text: str):  # type: ignore[no-untyped-def]
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    return load(file)


def test_the_shipped_tree_is_read_once_and_a_file_of_the_user_on_top_of_it_every_time(tmp_path: Path) -> None:
    assert load() is TREE
    assert with_file(tmp_path, '[genres]\nJazz = ["Skronk"]\n').canonical("skronk") == "Skronk"
    assert TREE.canonical("skronk") is None


def test_every_label_of_the_models_and_of_gtzan_is_a_genre() -> None:
    gtzan = "blues classical country disco hiphop jazz metal pop reggae rock".split()
    assert [TREE.canonical(label) for label in MODEL_LABELS] == MODEL_LABELS
    assert None not in [TREE.canonical(label) for label in gtzan]
    assert (TREE.parent("disco"), TREE.parent("metal"), TREE.parent("reggae")) == ("Soul-RnB", "Rock", "International")


def test_all_163_fma_genres_lie_under_the_16_roots() -> None:
    assert len(TREE.fma) == len(set(TREE.fma.values())) == 163
    assert len(TREE.roots) == 16
    assert set(TREE.roots) < set(TREE.fma.values())
    assert all(genre in TREE.roots or set(TREE.ancestors(genre)) & set(TREE.roots) for genre in TREE.labels)


def test_the_fma_tree_is_kept_as_the_fma_drew_it() -> None:
    table = SHARED / "fma_genres.csv"
    if not table.exists():
        pytest.skip("the FMA genre table lies beside the checkout, in ../shared/data/taxonomy, which is absent")
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    for row in rows:
        genre = TREE.canonical(row["title"])
        assert genre == TREE.fma[int(row["genre_id"])]
        assert TREE.parent(genre) == TREE.fma.get(int(row["parent"]))


def test_every_id3_number_means_a_genre_or_junk() -> None:
    assert len(TREE.id3v1) == 192
    assert [index for index in range(192) if TREE.canonical(str(index)) is None] == [12]
    assert TREE.is_junk("12")


def test_no_written_name_holds_a_separator() -> None:
    assert not [genre for genre in TREE.labels if has_separator(TREE.display(genre))]


def test_no_genre_is_junk_and_every_genre_is_its_own_canonical_name() -> None:
    assert [genre for genre in TREE.labels if TREE.is_junk(genre)] == []
    assert [genre for genre in TREE.labels if TREE.canonical(genre) != genre] == []
    assert not TREE.junk & TREE.spellings.keys()


def test_the_tree_holds_the_weak_roots() -> None:
    assert TREE.weak < set(TREE.roots)
    assert {"Experimental", "Instrumental", "International", "Easy Listening", "Spoken", "Old-Time"} == TREE.weak


def test_most_of_a_well_known_list_of_genres_is_known() -> None:
    tree = SHARED / "beets_genres-tree.yaml"
    if not tree.exists():
        pytest.skip("the list lies beside the checkout, in ../shared/data/taxonomy, which is absent")
    names = [line.strip()[2:].rstrip(":") for line in tree.read_text(encoding="utf-8").splitlines() if "- " in line]
    known = [name for name in names if TREE.canonical(name) is not None]
    assert len(known) > 0.8 * len(names)
    assert not [name for name in names if TREE.is_junk(name)]


def test_loading_twice_gives_the_same_digest_and_a_change_another(tmp_path: Path) -> None:
    assert load().digest == TREE.digest
    assert with_file(tmp_path, "").digest == TREE.digest
    assert with_file(tmp_path, '[junk]\nvalues = ["zzz"]').digest != TREE.digest


def test_a_user_adds_a_genre_and_moves_another(tmp_path: Path) -> None:
    tree = with_file(tmp_path, '[genres]\nRock = ["Nonsensecore"]\n"hip hop" = ["trip hop"]\n')
    assert tree.parent("nonsense core") == "Rock"
    assert tree.parent("Trip-Hop") == "Hip-Hop"
    assert tree.relation("Rock", ["Nonsensecore"]) is Relation.AGREE


def test_a_user_may_give_a_genre_a_second_parent_and_a_new_root(tmp_path: Path) -> None:
    tree = with_file(
        tmp_path, '[roots]\nnames = ["Film"]\n[genres]\nFilm = ["Giallo"]\n[also]\nGiallo = ["Soundtrack"]\n'
    )
    assert tree.roots[-1] == "Film"
    assert tree.canonical("film") == "Film"
    assert set(tree.ancestors("Giallo")) == {"Film", "Soundtrack", "Instrumental"}


def test_a_user_changes_what_a_spelling_means(tmp_path: Path) -> None:
    tree = with_file(tmp_path, '[aliases]\nDance = ["Electronica", "Other"]\n[junk]\nvalues = ["Epic"]\n')
    assert tree.canonical("electronica") == "Dance"
    assert tree.canonical("Other") == "Dance"
    assert not tree.is_junk("Other")
    assert tree.is_junk("epic")
    assert tree.canonical("epic") is None


def test_a_dropped_genre_is_written_as_its_parent(tmp_path: Path) -> None:
    tree = with_file(tmp_path, '[drop]\nvalues = ["Shoegaze", "Spoken"]\n')
    assert tree.written("Shoegaze") == "Rock"
    assert tree.written("Spoken") is None
    assert tree.written("Jazz") == "Jazz"


def test_a_user_chooses_the_written_name(tmp_path: Path) -> None:
    tree = with_file(tmp_path, '[output]\n"Soul-RnB" = "Soul & R&B"\n"Hip-Hop" = "Black Music"\n')
    assert tree.display("rnb") == "Soul & R&B"
    assert tree.written("Hip-Hop") == "Black Music"
    assert tree.canonical("black music") == "Hip-Hop"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[genres]\nRock = ["A b", "a-b"]', "lists “a-b” twice"),
        ('[genres]\nNowhere = ["Abc"]', "“Nowhere”, which is not in the tree"),
        ('[genres]\nShoegaze = ["Rock"]', "go round in a circle"),
        ('[also]\nPunk = ["Hardcore"]', "go round in a circle"),
        ('[also]\nRock = ["Pop"]', "gives the root “Rock” a parent"),
        ('[genres]\nRock = ["Beat/Merseybeat"]', "cannot hold them"),
        ('[genres]\nRock = ["!!!"]', "without a letter or digit"),
        ('[output]\nRock = "Rock;Roll"', "cannot hold them"),
        ('[output]\nRock = "Pop"', "another genre"),
        ('[aliases]\nRock = ["zzz"]\nPop = ["ZZZ"]', "both “Rock” and “Pop”"),
        ('[aliases]\nRock = ["Shoegaze"]', "is a genre itself"),
        ('[aliases]\nRock = ["zzz"]\n[junk]\nvalues = ["zzz"]', "both junk and a spelling"),
        ('[junk]\nvalues = ["Rock"]', "put it into \\[drop\\]"),
        ('[drop]\nvalues = ["Nowhere"]', "not in the tree"),
        ("[colours]\nred = 1", "means nothing"),
        ("[junk]\nnames = []", "only values may be"),
        ("[genres]\nRock = 3", "a list of texts"),
        ("[output]\nRock = 3", "text in quotes"),
        ('genres = "Rock"', "write it as a section"),
        ("[genres", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        with_file(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load(tmp_path / "absent.toml")
    (tmp_path / "latin.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not UTF-8"):
        load(tmp_path / "latin.toml")


def test_the_sample_file_of_the_reference_does_what_it_says(tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "taxonomy.md").read_text(encoding="utf-8")
    sample = re.search(r"```toml\n(.*?)```", page, re.DOTALL)
    assert sample
    tree = with_file(tmp_path, sample[1])
    assert tree.weak == {"Experimental", "Spoken"}
    assert (tree.written("Shoegaze"), tree.written("Spoken"), tree.written("R&B")) == ("Rock", None, "Soul & R&B")
    assert (tree.parent("Trip-Hop"), tree.ancestors("Giallo")[:2]) == ("Hip-Hop", ("Film", "Soundtrack"))


def test_every_spelling_leads_to_a_genre() -> None:
    assert set(TREE.spellings.values()) == set(TREE.labels)
    assert all(spelling == key(spelling) for spelling in TREE.spellings)

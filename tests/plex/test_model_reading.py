"""XML of the server becomes frozen values."""

from xml.etree.ElementTree import fromstring

from music_reclass.plex.model import carries_genres, item_of, listed_of, section_of

TRACK = """<Track ratingKey="301" guid="plex://track/x" parentRatingKey="200" grandparentRatingKey="100" type="track"
 title="Tune" parentTitle="Blue" grandparentTitle="Ada" duration="180500">
 <Media><Part file="/a/1.mp3"/><Part file="/a/2.mp3"/></Media><Media><Part file="/a/1.mp3"/></Media>
 <Genre tag="Rock"/><Genre tag="R&amp;B, Soul"/><Genre tag="Rock"/><Mood tag="Sad"/><Label tag="mine"/>
 <Field locked="1" name="genre"/><Field locked="0" name="title"/></Track>"""


def test_a_track_in_a_listing_has_its_files_and_its_parents() -> None:
    track = listed_of(fromstring(TRACK))
    assert (track.key, track.album_key, track.artist_key) == (301, 200, 100)
    assert (track.title, track.artist, track.album, track.album_artist) == ("Tune", "Ada", "Blue", "Ada")
    assert track.files == ("/a/1.mp3", "/a/2.mp3")
    assert track.seconds == 180.5


def test_the_artist_of_a_track_on_a_compilation_is_its_own() -> None:
    element = fromstring('<Track ratingKey="1" originalTitle="Bo" grandparentTitle="Various Artists"/>')
    assert (listed_of(element).artist, listed_of(element).album_artist) == ("Bo", "Various Artists")


def test_an_item_has_its_tags_once_and_its_locks() -> None:
    item = item_of(fromstring(TRACK))
    assert item is not None
    assert item.value("genre") == ("Rock", "R&B, Soul")
    assert item.value("label") == ("mine",)
    assert item.locked == {"genre"}
    assert item.label == "Ada - Blue - Tune"


def test_albums_and_artists_are_directories() -> None:
    album = item_of(fromstring('<Directory type="album" ratingKey="2" title="Blue" parentTitle="Ada"/>'))
    artist = item_of(fromstring('<Directory type="artist" ratingKey="3" title="Ada"/>'))
    assert album is not None
    assert artist is not None
    assert (album.level, album.label, artist.level, artist.label) == ("album", "Ada - Blue", "artist", "Ada")


def test_what_is_no_music_is_no_item() -> None:
    assert item_of(fromstring('<Video type="movie" ratingKey="4"/>')) is None


def test_a_library_has_its_folders() -> None:
    section = section_of(
        fromstring(
            '<Directory key="5" type="artist" title="Music" refreshing="1"><Location id="1" path="/m"/></Directory>'
        )
    )
    assert (section.key, section.title, section.locations, section.refreshing) == (5, "Music", ("/m",), True)


def test_whether_tracks_carry_genres_is_read_from_the_description_of_tracks_alone() -> None:
    old = '<M><Meta><Type type="album"><Field key="album.genre"/></Type><Type type="track"/></Meta></M>'
    new = '<M><Meta><Type type="track"><Field key="track.genre"/></Type></Meta></M>'
    assert not carries_genres(fromstring(old), "track")
    assert carries_genres(fromstring(old), "album")
    assert carries_genres(fromstring(new), "track")

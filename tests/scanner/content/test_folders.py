from prefect_mutagen.scanner.content.folders import Folder, Folders
from prefect_mutagen.scanner.content.neighbours import Neighbours
from prefect_mutagen.scanner.storage.store import StoredObject


def _items(name: str, pin: str = "etag:1") -> tuple[StoredObject, ...]:
    return (StoredObject(f"s3://b/{name}/config.json", 10, pin),)


def _folder(length: int = 10) -> Folder:
    return Folder(Neighbours(), (), length)


def test_a_folder_is_known_by_the_addresses_and_pins_of_its_files() -> None:
    folders = Folders()
    first = folders.add(_items("a"), _folder())
    assert folders.find(_items("a")) is first
    assert folders.find(_items("a", "etag:2")) is None
    assert folders.find(_items("b")) is None
    assert folders.add(_items("a"), _folder()) is first, "who comes second takes what is there"


def test_what_was_not_wanted_for_longest_goes_first() -> None:
    folders = Folders(most_bytes=35)
    for name in "abc":
        folders.add(_items(name), _folder())
    folders.find(_items("a"))
    folders.add(_items("d"), _folder())
    assert [name for name in "abcd" if folders.find(_items(name))] == ["a", "c", "d"]


def test_what_is_larger_than_all_room_is_not_kept() -> None:
    folders = Folders(most_bytes=35)
    large = _folder(36)
    assert folders.add(_items("a"), large) is large
    assert folders.find(_items("a")) is None


def test_the_number_of_folders_is_bounded() -> None:
    folders = Folders()
    for number in range(1000):
        folders.add(_items(str(number)), _folder(0))
    kept = [number for number in range(1000) if folders.find(_items(str(number)))]
    assert kept == list(range(744, 1000))

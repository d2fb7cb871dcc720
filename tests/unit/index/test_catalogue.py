"""Names, generations and swaps: the same on both kinds of indexes."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from interplay.errors import Conflict, InvalidParameter, NotFound
from interplay.index.catalogue import Catalogue, Spec, carry_over
from interplay.index.entries import Entry
from tests.unit.index.conftest import DIMENSION


def build(catalogue: Catalogue, generation: str, entries: list[Entry], name: str = "photos") -> None:
    catalogue.begin(Spec.new(name, generation, DIMENSION, "space"))
    with catalogue.building(name, generation) as index:
        index.upsert(entries)
    catalogue.publish(name, generation)


def online(entry: Entry, name: str) -> Entry:
    return Entry(name, entry.vector, origin="online")


def test_an_index_answers_once_it_is_published(catalogue: Catalogue, entries: list[Entry]) -> None:
    catalogue.begin(Spec.new("photos", "g1", DIMENSION, "space"))
    assert catalogue.all() == []
    with pytest.raises(NotFound, match="no index 'photos'; there are: none"):
        catalogue.info("photos")
    with catalogue.building("photos", "g1") as index:
        index.upsert(entries[:10])
    info = catalogue.publish("photos", "g1")
    assert (info.spec.generation, info.entries, info.building) == ("g1", 10, ())
    assert catalogue.spec("photos") == info.spec
    with pytest.raises(NotFound, match="no index 'films'; there are: photos"), catalogue.reading("films"):
        pass


def test_the_old_generation_answers_until_the_swap(catalogue: Catalogue, entries: list[Entry]) -> None:
    build(catalogue, "g1", entries[:10])
    catalogue.begin(Spec.new("photos", "g2", DIMENSION, "space"))
    with catalogue.building("photos", "g2") as index:
        index.upsert(entries[10:30])
    info = catalogue.info("photos")
    assert (info.spec.generation, info.entries, info.building) == ("g1", 10, ("g2",))
    catalogue.publish("photos", "g2")
    info = catalogue.info("photos")
    assert (info.spec.generation, info.entries, info.building) == ("g2", 20, ())


def test_a_build_goes_on_where_it_was(catalogue: Catalogue, entries: list[Entry]) -> None:
    spec = Spec.new("photos", "g1", DIMENSION, "space")
    catalogue.begin(spec)
    with catalogue.building("photos", "g1") as index:
        index.upsert(entries[:10])
    catalogue.begin(spec)
    with catalogue.building("photos", "g1") as index:
        index.upsert(entries[5:20])
    assert catalogue.publish("photos", "g1").entries == 20
    assert catalogue.publish("photos", "g1").entries == 20  # told twice, done once
    with pytest.raises(Conflict, match="answers already"):
        catalogue.begin(spec)


def test_a_build_does_not_go_on_with_other_vectors(catalogue: Catalogue) -> None:
    catalogue.begin(Spec.new("photos", "g1", DIMENSION, "space"))
    with pytest.raises(Conflict, match="numbers of space, not 32 of other"):
        catalogue.begin(Spec.new("photos", "g1", DIMENSION, "other"))


def test_what_came_online_is_carried_over(catalogue: Catalogue, entries: list[Entry]) -> None:
    build(catalogue, "g1", entries[:10])
    with catalogue.writing("photos") as index:
        index.upsert([online(entry, f"new {i}") for i, entry in enumerate(entries[10:15])])
    build(catalogue, "g2", entries[:5])
    assert catalogue.info("photos").entries == 10
    with catalogue.reading("photos") as index:
        assert len(index.get(["new 0", "new 4", entries[7].id])) == 2


def test_carrying_over_after_a_swap_leaves_newer_entries_alone(
    catalogue: Catalogue, entries: list[Entry]
) -> None:
    for name in ("old", "new"):
        build(catalogue, "g1", entries[:3], name=name)
        with catalogue.writing(name) as index:
            index.upsert([Entry("both", entries[9].vector, caption=name, origin="online")])
    with catalogue.writing("old") as old, catalogue.writing("new") as new:
        old.upsert([online(entries[10], "only old")])
        assert carry_over(old, new, missing_only=True) == 1
        assert [entry.caption for entry in new.get(["both"])] == ["new"] and len(new.get(["only old"])) == 1
        assert carry_over(old, new) == 2 and [entry.caption for entry in new.get(["both"])] == ["old"]


def test_another_space_carries_nothing_over(catalogue: Catalogue, entries: list[Entry]) -> None:
    build(catalogue, "g1", entries[:10])
    with catalogue.writing("photos") as index:
        index.upsert([online(entries[11], "new")])
    catalogue.begin(Spec.new("photos", "g2", DIMENSION, "other"))
    catalogue.publish("photos", "g2")
    assert catalogue.info("photos").entries == 0


def test_an_aborted_build_is_gone(catalogue: Catalogue, entries: list[Entry]) -> None:
    build(catalogue, "g1", entries[:10])
    catalogue.begin(Spec.new("photos", "g2", DIMENSION, "space"))
    catalogue.abort("photos", "g2")
    catalogue.abort("photos", "g2")
    catalogue.abort("photos", "g1")  # answers: not a build
    assert catalogue.info("photos").building == () and catalogue.info("photos").entries == 10
    with pytest.raises(NotFound, match="no generation 'g2'"), catalogue.building("photos", "g2"):
        pass


def test_a_dropped_index_can_be_made_again(catalogue: Catalogue, entries: list[Entry]) -> None:
    build(catalogue, "g1", entries[:10])
    build(catalogue, "g1", entries[:3], name="photos-2")
    catalogue.drop("photos")
    with pytest.raises(NotFound, match="there are: photos-2"):
        catalogue.drop("photos")
    build(catalogue, "g1", entries[:4])
    assert [(info.spec.name, info.entries) for info in catalogue.all()] == [("photos", 4), ("photos-2", 3)]


@pytest.mark.parametrize("name", ["", "Photos", "a--b", "-a", "a/b", "..", "x" * 64, "a "])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(InvalidParameter, match="must be lower-case letters"):
        Spec.new(name, "g1", DIMENSION, "space")


def test_readers_and_writers_never_notice_swaps(catalogue: Catalogue, entries: list[Entry]) -> None:
    """Five rebuilds under constant searches and online additions: no error, nothing lost."""
    if type(catalogue).__name__ == "ClusterCatalogue":
        pytest.skip("Qdrant's in-memory mode is not for threads")
    build(catalogue, "g0", entries[:100])
    over, errors, added = threading.Event(), [], []

    def read() -> None:
        while not over.is_set():
            try:
                with catalogue.reading("photos") as index:
                    assert len(index.search(entries[3].vector, 5).hits) == 5
            except Exception as error:
                errors.append(error)

    def write() -> None:
        while not over.is_set():
            try:
                with catalogue.writing("photos") as index:
                    index.upsert([online(entries[len(added) % 500], f"online {len(added)}")])
                added.append(f"online {len(added)}")
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=target) for target in (read, read, write)]
    for thread in threads:
        thread.start()
    for number in range(1, 6):
        build(catalogue, f"g{number}", entries[: 100 + number])
    over.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert catalogue.info("photos").entries == 105 + len(added)
    with catalogue.reading("photos") as index:
        assert len(index.get(added)) == len(added)


def test_vectors_come_back_as_they_went_in(catalogue: Catalogue, entries: list[Entry]) -> None:
    build(catalogue, "g1", entries[:50])
    with catalogue.reading("photos") as index:
        (entry,) = index.get([entries[20].id])
    np.testing.assert_allclose(entry.vector, entries[20].vector, atol=1e-5)

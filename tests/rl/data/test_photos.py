"""Photos are found in any layout, and their references and masks by name."""

from pathlib import Path

import pytest

from rl.data.photos import Photo, find_photos, masks_of, references_of


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def ids(photos: list[Photo]) -> list[str]:
    return [photo.id for photo in photos]


def test_a_folder_is_searched_at_every_depth_and_hidden_files_are_left_out(tmp_path):
    touch(tmp_path, "b.png", "a/deep/er.JPG", "notes.txt", ".hidden.png", ".trash/c.png", "a/x.tiff")
    photos = find_photos(str(tmp_path))
    assert ids(photos) == ["a/deep/er", "a/x", "b"]
    assert photos[0].path == tmp_path / "a/deep/er.JPG"


def test_pictures_of_runs_below_the_folder_are_left_out(tmp_path):
    touch(tmp_path, "a/b.png", "out/predictions.jsonl", "out/maps/a/b.png", "out/pictures/plain/a/b.jpg", "out2/c.png")
    assert ids(find_photos(str(tmp_path))) == ["a/b", "out2/c"]
    assert ids(find_photos(str(tmp_path / "out"))) == ["maps/a/b", "pictures/plain/a/b"]


def test_very_many_images_can_be_named(tmp_path):
    names = [f"{number:04}.png" for number in range(400)]
    touch(tmp_path, *names)
    assert len(find_photos(",".join(str(tmp_path / name) for name in names))) == 400


def test_images_can_be_named_one_by_one_and_are_named_below_what_they_share(tmp_path):
    touch(tmp_path, "one/1.png", "two/1.png", "two/2.png")
    named = ",".join(str(tmp_path / name) for name in ("two/1.png", "one/1.png", "two/1.png"))
    assert ids(find_photos(named)) == ["one/1", "two/1"]
    assert ids(find_photos(str(tmp_path / "two/2.png"))) == ["2"]
    assert ids(find_photos(str(touch(tmp_path, "one, two.png") / "one, two.png"))) == ["one, two"]
    with pytest.raises(ValueError, match=r"'.*/one' is a folder; give it alone, commas stand between files"):
        find_photos(f"{tmp_path / 'one'},{tmp_path / 'two/1.png'}")


def test_images_of_one_name_and_two_suffixes_keep_these_in_their_ids(tmp_path):
    photos = touch(tmp_path, "a.png", "a.jpg", "a.png.jpg", "b.jpg", "c.png.jpg")
    assert ids(find_photos(str(photos))) == ["a.jpg", "a.png", "a.png.jpg", "b", "c.png"]


@pytest.mark.parametrize(("named", "sentence"), [("nowhere", "there is no folder or file"), (".", "holds no image")])
def test_nothing_to_inspect_is_said(named, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=sentence):
        find_photos(named)


def test_masks_among_the_photos_are_refused_with_the_folder_that_is_meant(tmp_path):
    bolt = touch(tmp_path / "bolt", "test/bent/1.png", "train/good/1.png", "ground_truth/bent/1_mask.png")
    for named in (tmp_path, bolt):
        with pytest.raises(ValueError) as raised:
            find_photos(str(named))
        assert f"e.g. input={bolt / 'test'}, and masks={bolt / 'ground_truth'}" in str(raised.value)
    assert ids(find_photos(str(bolt / "test"))) == ["bent/1"]


def test_a_file_that_is_no_image_is_refused_by_its_name(tmp_path):
    touch(tmp_path, "questions.jsonl", "1.png")
    with pytest.raises(ValueError, match=r"questions\.jsonl is no image \(\.png, .*; give a folder of images"):
        find_photos(f"{tmp_path}/1.png,{tmp_path}/questions.jsonl")


def test_a_reference_is_one_for_all_or_has_the_name_of_its_image(tmp_path):
    touch(tmp_path, "in/scratch/1.png", "in/good/2.png", "golden.png", "good/1.jpg", "good/2.png", "other/good/2.png")
    photos = find_photos(str(tmp_path / "in"))
    one, good = tmp_path / "golden.png", tmp_path / "good"
    assert references_of("", photos) == {}
    assert references_of(str(one), photos) == {"good/2": one, "scratch/1": one}
    assert references_of(str(good), photos) == {"good/2": good / "2.png", "scratch/1": good / "1.jpg"}


def test_the_same_path_wins_over_the_same_name(tmp_path):
    touch(tmp_path, "in/a/1.png", "in/b/1.png", "references/a/1.png", "references/b/1.png")
    found = references_of(str(tmp_path / "references"), find_photos(str(tmp_path / "in")))
    assert found == {name: tmp_path / f"references/{name}.png" for name in ("a/1", "b/1")}


def test_references_that_are_missing_or_not_clear_are_refused(tmp_path):
    touch(tmp_path, "in/1.png", "in/2.png", "few/1.png", "many/x/1.png", "many/y/1.png", "many/2.png")
    photos = find_photos(str(tmp_path / "in"))
    with pytest.raises(ValueError, match=r"no image of the same name for 1 of 2 images, e.g. .*in/2\.png; add them"):
        references_of(str(tmp_path / "few"), photos)
    with pytest.raises(ValueError, match=r"2 images for .*in/1\.png, .*x/1\.png and .*y/1\.png; leave one"):
        references_of(str(tmp_path / "many"), photos)
    with pytest.raises(ValueError, match="there is no file or folder"):
        references_of(str(tmp_path / "none"), photos)


def test_masks_are_named_like_their_images_with_or_without_an_ending(tmp_path):
    touch(
        tmp_path, "in/scratch/1.png", "in/hole/1.png", "in/good/2.png", "truth/scratch/1_mask.png", "truth/hole/1.png"
    )
    photos = find_photos(str(tmp_path / "in"))
    truth = tmp_path / "truth"
    assert masks_of(str(truth), photos) == {"hole/1": truth / "hole/1.png", "scratch/1": truth / "scratch/1_mask.png"}
    assert masks_of("", photos) == {}
    with pytest.raises(ValueError, match="has no image of the same path below it as one of input"):
        masks_of(str(touch(tmp_path / "else", "9.png")), photos)


def test_a_mask_of_a_namesake_in_another_folder_is_not_taken(tmp_path):
    """As in MVTec-AD, whose numbers begin anew in every folder."""
    touch(tmp_path, "test/good/000.png", "test/bent/000.png", "test/cut/000.png")
    truth = touch(tmp_path / "truth", "bent/000_mask.png", "cut/000_mask.png")
    found = masks_of(str(truth), find_photos(str(tmp_path / "test")))
    assert found == {f"{kind}/000": truth / f"{kind}/000_mask.png" for kind in ("bent", "cut")}
    with pytest.raises(ValueError, match="no image of the same path below it"):
        masks_of(str(truth), find_photos(str(tmp_path / "test/good")))


def test_a_flat_folder_of_masks_serves_images_of_different_names_alone(tmp_path):
    touch(tmp_path, "in/bent/1.png", "in/cut/2.png", "in/good/3.png", "in/good/2.png")
    photos, truth = find_photos(str(tmp_path / "in")), touch(tmp_path / "truth", "1.png")
    assert masks_of(str(truth), photos) == {"bent/1": truth / "1.png"}
    touch(truth, "2_mask.png")
    with pytest.raises(ValueError, match=r"2_mask\.png is named like .*cut/2\.png and .*good/2\.png; give each image"):
        masks_of(str(truth), photos)

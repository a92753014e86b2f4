from __future__ import annotations

from edgeseg.output.pictures import picture_names


def test_no_two_frames_or_files_have_one_name() -> None:
    given = [
        *(("a.dcm", 0), ("a.dcm", 1), ("a.dcm", 12345), ("a", 0), ("a", 1), ("a.img", 0)),
        *(("a.dcm.frame-0001.png", 0), ("a.dcm.png", 0), ("a.dcm.dcm", 0), ("a.png", 0)),
        *(("a.img.dcm", 0), ("a.png.dcm", 0), ("a.frame-0001.dcm", 0), ("a.DCM", 0)),
        *(("a.jpg", 0), ("a.jpg.png", 0), ("a.PNG", 0), ("d/a.png", 0), ("a.img.png", 0)),
    ]
    named = [picture_names(file, frame) for file, frame in given]
    for kind in ("masks", "overlays"):
        assert len({names[kind] for names in named}) == len(given)
    of_files = {file: picture_names(file)["sr"] for file, _ in given}
    assert len({*of_files.values()}) == len(of_files)
    assert of_files["a.dcm"] == "sr/a.dcm"
    masks = [picture_names(file)["masks"] for file in ("d/a.png", "a.jpg", "a.jpg.png")]
    assert masks == ["masks/d/a.png", "masks/a.jpg.png", "masks/a.jpg.png.png"]
    assert picture_names("a.dcm", 3)["masks"] == "masks/a.dcm.frame-0003.png"
    assert picture_names("a.dcm", 3)["seg"] == "seg/a.dcm"

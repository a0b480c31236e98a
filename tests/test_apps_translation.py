"""Pictures on one side become pictures on the other: at their own size, under their own names, the same in any company."""

from __future__ import annotations

import io
import re
import sys
import tarfile
import zipfile
from html import unescape
from itertools import pairwise, product
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from torch import nn

from cardigan.apps.model import Model, load
from cardigan.apps.translating.before_after import BEFORE
from cardigan.apps.translating.files import TranslateOptions, translate_files
from cardigan.apps.translating.picture_files import about
from cardigan.apps.translating.tiling import Axis, axis, chosen_overlap, chosen_tile, reflected, strips
from cardigan.apps.translating.way import AT_ONCE, Way, as_images
from cardigan.data import Splits, png16
from cardigan.data.decode import decode
from cardigan.data.order import derived_seed
from cardigan.data.palette import classes_of
from cardigan.errors import RecipeError
from cardigan.networks import CoVAEConfig, ResNetConfig, UNetConfig
from cardigan.networks.sizes import Takes
from cardigan.training.model import save_model
from cli_runs import SHORT, refused, succeeds
from small import TRANSLATORS, small_sides, small_trainer

COLOURS = {"sky": (0, 0, 255), "road": (90, 90, 90), "car": (200, 0, 0)}
LOCAL = Takes(4, 8, "local")


# ---- models ----------------------------------------------------------------------------------------------------------


def lively(module: nn.Module) -> None:
    """Weights by which outputs fill their range; those of a fresh translator make everything grey."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        if parameter.dim() == 4:
            nn.init.kaiming_normal_(parameter)


def model_folder(folder: Path, kind: str, splits: Splits | None = None, bits: int = 8, **game: Any) -> Path:
    trainer = small_trainer(
        folder / "run", kind, splits=splits or small_sides(kind == "pix2pix", (3, 3), 16), game=game
    )
    lively(trainer.game)
    config = trainer.model_config()
    save_model(folder, config.model_copy(update={"spec": config.spec.model_copy(update={"bits": bits})}), trainer.game)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for kind in ("pix2pix", "cyclegan", "unit"):
        model_folder(folder / kind, kind)
    model_folder(folder / "to-grey", "cyclegan", small_sides(False, (3, 1), 16), identity=0.0)
    return folder


def paint(classes: np.ndarray) -> np.ndarray:
    return np.array(list(COLOURS.values()), np.uint8)[classes]


def blocks(seed: int, height: int = 16, width: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 3, (height // 4, width // 4), np.uint8).repeat(4, 0).repeat(4, 1)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of the command: labels to photographs, and photographs to labels."""
    folder = tmp_path_factory.mktemp("labelled")
    (folder / "classes.csv").write_text(
        "name,r,g,b,index\n" + "".join(f"{n},{r},{g},{b},{7 + i}\n" for i, (n, (r, g, b)) in enumerate(COLOURS.items()))
    )
    for i in range(12):
        save(paint(blocks(i)), folder / "images" / "labels" / f"{i:03d}.png")
        save(noise(i, 16, 16), folder / "images" / "photos" / f"{i:03d}.png")
    small = ["--set", "game.generator.width=4", "--set", "game.discriminator={width=4, receptive_field=16}"]
    maps = ["--set", 'data.label_maps=["labels"]', "--set", f'data.palette="{folder / "classes.csv"}"']
    for out, sides in (("paint", ("labels", "photos")), ("parse", ("photos", "labels"))):
        chosen = ["--set", f'data.sides=["{sides[0]}", "{sides[1]}"]', "--set", "batch=4", "--images", "8"]
        words = (
            "train",
            folder / "images",
            "--out",
            folder / out,
            "--recipe",
            "pix2pix",
            *SHORT,
            *small,
            *maps,
            *chosen,
        )
        succeeds(*words)
    return folder


# ---- pictures --------------------------------------------------------------------------------------------------------


def noise(seed: int, height: int, width: int, channels: int = 3) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return pixels[:, :, 0] if channels == 1 else pixels


def save(pixels: np.ndarray, path: Path, **more: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **more)
    return path


def seen(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def files(folder: Path) -> set[str]:
    """Those that were written, but for what the page shows of what there was."""
    every = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name for name in every if not name.startswith(BEFORE)}


def assert_alike(a: np.ndarray, b: np.ndarray) -> None:
    """The same, but for what rounds to the next level."""
    assert a.shape == b.shape
    assert np.abs(a.astype(int) - b.astype(int)).max() <= 1


def listing(monkeypatch: pytest.MonkeyPatch, *lines: str | Path) -> None:
    text = "".join(f"{line}\n" for line in lines)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


# ---- tiles -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("length", "before", "after"), [(1, 2, 3), (2, 3, 4), (5, 3, 4), (5, 17, 20), (9, 0, 0)])
def test_an_image_goes_on_as_its_mirror_image(length: int, before: int, after: int) -> None:
    places = reflected(torch.arange(-before, length + after), length).numpy()
    assert np.array_equal(places, np.pad(np.arange(length), (before, after), mode="reflect" if length > 1 else "edge"))


AXES = [
    axis(length, takes, tile, overlap)
    for takes, tiles in ((LOCAL, (8, 16, 48)), (Takes(32, 32, "whole"), (32,)), (Takes(32, 32, "fixed"), (32,)))
    for tile in tiles
    for length, overlap in product((1, 7, 8, 31, 33, 50, 64, 95, 131), (0, 3, tile // 4, tile // 2))
    if overlap <= tile // 2
]


def test_shares_add_up_to_one_and_leave_the_borders_of_tiles_out() -> None:
    assert sum(len(one.starts) > 2 for one in AXES) > 20
    for one in AXES:
        total, shares = torch.zeros(one.padded), one.shares()
        for start, share in zip(one.starts, shares, strict=True):
            total[start : start + one.tile] += share
        torch.testing.assert_close(total, torch.ones(one.padded), atol=1e-6, rtol=0)
        assert shares.min() >= 0
        idle = int(one.fade / 2)
        for number, share in enumerate(shares):
            assert number == 0 or not share[:idle].any()
            assert number == len(shares) - 1 or not share[one.tile - idle :].any()


def test_tiles_cover_the_image_and_overlap_as_wanted() -> None:
    for length, overlap in product((33, 50, 64, 95, 131, 200), (0, 3, 4, 7, 8)):
        one = axis(length, LOCAL, 16, overlap)
        assert one.starts[0] == 0
        assert one.starts[-1] + one.tile == one.padded
        assert one.padded % 4 == 0
        assert 0 <= one.padded - length < 4
        assert all(start % 4 == 0 for start in one.starts)
        assert all(last + one.tile - start >= overlap for last, start in pairwise(one.starts))
        whole = axis(length, Takes(16, 16, "whole"), 16, overlap)
        assert (whole.padded, whole.tile) == (length, 16)


def test_strips_give_every_pixel_once() -> None:
    for length in (5, 33, 50):
        down, across = axis(length, LOCAL, 16, 4), axis(41, LOCAL, 16, 4)
        image = torch.rand(2, 3, length, 41)

        def row(number: int, down: Axis = down, across: Axis = across, image: torch.Tensor = image) -> torch.Tensor:
            rows = image[:, :, down.places(number)]
            return torch.stack([rows[..., across.places(k)] for k in range(len(across.starts))], 1)

        made = list(strips(down, across, row))
        assert [top for top, _ in made] == [0, *np.cumsum([strip.shape[2] for _, strip in made])[:-1]]
        torch.testing.assert_close(torch.cat([strip for _, strip in made], 2), image)


LARGE = (150, 213)


@pytest.mark.parametrize(
    ("kind", "generator", "overlap"),
    [
        ("pix2pix", {"name": "unet", "width": 4, "depth": 2, "normalisation": "none", "dropout": 0.0}, 64),
        (
            "pix2pix",
            {"name": "unet", "depth": 2, "normalisation": "batch", "statistics": "running", "dropout": 0.0},
            64,
        ),
        ("cyclegan", {"name": "resnet", "width": 4, "blocks": 1, "normalisation": "none"}, 64),
    ],
)
def test_tiles_make_the_same_picture_where_nothing_normalises_by_the_image(
    kind: str, generator: dict[str, Any], overlap: int, tmp_path: Path
) -> None:
    """A quarter of the overlap is more than the network sees to one side, so that not one pixel differs."""
    game = {"generator": generator | {"width": 4}}
    model = load(model_folder(tmp_path, kind, small_sides(kind == "pix2pix", (3, 3), 16), **game), "cpu")
    pictures = [noise(i, *LARGE) for i in range(2)]
    whole, tiled = Way(model, tile=0), Way(model, tile=128, overlap=overlap)
    assert (whole.tiles_of(LARGE), tiled.tiles_of(LARGE)) == (1, 6)
    for a, b in zip(whole.translated(pictures, [1, 2]), tiled.translated(pictures, [1, 2]), strict=True):
        assert a.std() > 20
        assert_alike(a, b)
        # A tile too few pixels into the other would be seen: what a network makes of a shifted picture is another.
        assert np.abs(a[4:].astype(int) - b[:-4]).max() > 20


def test_statistics_of_an_image_make_tiles_differ_and_it_is_said(models: Path) -> None:
    model, picture = load(models / "cyclegan", "cpu"), noise(0, *LARGE)
    way = Way(model, tile=64)
    (whole,), (tiled,) = (each.translated([picture], [0]) for each in (Way(model, tile=0), way))
    assert np.abs(whole.astype(int) - tiled).max() > 1
    assert list(way.notes([LARGE, (64, 64)])) == [
        "1 image was translated in overlapping tiles of 64 x 64 pixels, each normalised by its own statistics rather "
        "than the image's"
    ]
    assert not list(way.notes([(64, 64)]))


def test_what_changes_nothing_leaves_no_seam(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every size that occurs, in any tiles: a network that gives back its images gives back the picture, to the bit."""
    model = load(models / "cyclegan", "cpu")
    monkeypatch.setattr(model, "translate", lambda images, **_: images)
    for size, tile in product([(1, 1), (3, 70), (33, 34), (100, 65)], (0, 12, 32)):
        way = Way(model, tile=tile)
        pictures = [noise(i, *size) for i in range(3)]
        assert all(map(np.array_equal, way.translated(pictures, [0, 1, 2]), pictures))


def test_no_more_than_some_tiles_are_computed_at_once(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, shapes = load(models / "cyclegan", "cpu"), []
    monkeypatch.setattr(model, "translate", lambda images, **_: shapes.append(images.shape) or images)
    way, pictures, steps = Way(model, tile=64), [noise(0, 300, 2000)] * 2, []
    way.translated(pictures, [0, 1], steps.append)
    assert sum(shape[0] for shape in shapes) == sum(steps) == 2 * way.tiles_of((300, 2000))
    assert {shape[1:] for shape in shapes} == {(3, 64, 64)}
    assert 8 < max(shape[0] for shape in shapes) <= AT_ONCE["cpu"] // 64**2
    assert way.at_once(10**9) == 1


def test_a_network_of_one_size_takes_tiles_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    game = {"name": "adaptation", "translator": {"width": 4}, "discriminator": {"width": 4}}
    players = {"discriminator": {"name": "adam"}, "translator": {"name": "adam"}}
    monkeypatch.setitem(TRANSLATORS, "adaptation", {"game": game, "optimiser": players})
    way = Way(load(model_folder(tmp_path, "adaptation", small_sides(False, (3, 3), 32, labelled=True)), "cpu"))
    for size, tiles in {(3, 5): 1, (32, 32): 1, (33, 32): 2, (60, 70): 9}.items():
        (made,) = way.translated([noise(0, *size)], [0])
        assert (made.shape, way.tiles_of(size)) == ((*size, 3), tiles)


def test_a_tile_suits_the_network() -> None:
    paper = UNetConfig(width=4, max_width=8).build(3, 3, (256, 256)).takes((256, 256))
    assert paper == Takes(256, 256, "whole")
    assert chosen_tile(paper, (256, 256), None) == (256, 256)
    assert chosen_tile(paper, (256, 256), 300) == (512, 512)
    assert chosen_tile(paper, (256, 256), 0) == (0, 0)
    assert UNetConfig(width=4, depth=5, max_width=8).build(3, 3, (96, 96)).takes((96, 96)).reach == "whole"
    shallow = UNetConfig(width=4, depth=3).build(3, 3, (256, 256)).takes((256, 256))
    assert shallow == Takes(8, 8, "local")
    local = ResNetConfig(width=4, blocks=1).build(3, 3, (64, 64)).takes((64, 64))
    assert chosen_tile(local, (64, 64), None) == (512, 512)
    assert chosen_tile(local, (1024, 64), None) == (1024, 512)
    assert chosen_tile(local, (64, 64), 1) == (8, 8)
    fixed = CoVAEConfig(width=4).build((3, 3)).takes((32, 32))
    assert chosen_tile(fixed, (32, 32), None) == (32, 32)
    with pytest.raises(RecipeError, match="leave --tile out"):
        chosen_tile(fixed, (32, 32), 0)
    assert chosen_overlap(local, (512, 512), None) == 128
    assert chosen_overlap(local, (0, 0), 10_000) == 10_000
    with pytest.raises(RecipeError, match="more than half of a tile of 64"):
        chosen_overlap(local, (64, 128), 33)


# ---- translation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pix2pix", "cyclegan", "unit"])
def test_an_image_keeps_its_size_and_is_what_the_model_makes(kind: str, models: Path) -> None:
    model = load(models / kind, "cpu")
    way = Way(model)
    for size in [(1, 1), (3, 5), (16, 16), (17, 33), (40, 64)]:
        picture = noise(0, *size)
        (made,) = way.translated([picture], [7])
        assert made.shape == picture.shape
        assert made.dtype == np.uint8
        down, across = way.axes(size)
        if len(down.starts) == len(across.starts) == 1:
            padded = picture[down.places(0)][:, across.places(0)]
            direct = ((model.translate(as_images(padded[None]), seeds=[7])[0] + 1) * 127.5).round().clamp(0, 255)
            top, left = down.before, across.before
            window = direct[:, top : top + size[0], left : left + size[1]].permute(1, 2, 0).numpy()
            assert_alike(made, window)


@pytest.mark.parametrize("kind", ["pix2pix", "cyclegan", "unit"])
def test_a_translation_depends_on_no_other(kind: str, models: Path) -> None:
    way = Way(load(models / kind, "cpu"), tile=32)
    for size in [(20, 17), (40, 50)]:
        pictures, seeds = [noise(i, *size) for i in range(4)], [3, 1, 4, 1]
        together = way.translated(pictures, seeds)
        for picture, seed, made in zip(pictures, seeds, together, strict=True):
            assert_alike(way.translated([picture], [seed])[0], made)


def test_a_network_that_normalises_by_its_batch_gets_batches_of_one(tmp_path: Path) -> None:
    generator = {"name": "unet", "width": 4, "depth": 2, "statistics": "batch", "dropout": 0.0}
    way = Way(load(model_folder(tmp_path, "pix2pix", generator=generator), "cpu"))
    pictures = [noise(i, 16, 16) // (i + 1) for i in range(3)]
    for picture, made in zip(pictures, way.translated(pictures, [0, 1, 2]), strict=True):
        assert_alike(way.translated([picture], [0])[0], made)


def test_noise_belongs_to_a_picture_s_name(models: Path, tmp_path: Path) -> None:
    """Not to its place in the list, and not to its batch."""
    for i, name in enumerate("abcd"):
        save(noise(i, 24, 24), tmp_path / "in" / f"{name}.png")
    run = models / "pix2pix"
    succeeds("translate", run, tmp_path / "in", "--out", tmp_path / "all")
    succeeds("translate", run, tmp_path / "in" / "c.png", "--out", tmp_path / "one")
    succeeds("translate", run, tmp_path / "in" / "c.png", "--out", tmp_path / "other", "--seed", "1")
    assert_alike(seen(tmp_path / "one" / "c.png"), seen(tmp_path / "all" / "c.png"))
    assert np.abs(seen(tmp_path / "one" / "c.png").astype(int) - seen(tmp_path / "other" / "c.png")).max() > 20
    for seed in ("0", "1"):
        succeeds("translate", run, tmp_path / "in", "--out", tmp_path / f"quiet{seed}", "--no-noise", "--seed", seed)
    assert np.array_equal(seen(tmp_path / "quiet0" / "c.png"), seen(tmp_path / "quiet1" / "c.png"))
    quiet = load(run, "cpu").translate(as_images(noise(2, 24, 24)[None]), noise=False)
    assert_alike(seen(tmp_path / "quiet0" / "c.png"), ((quiet[0] + 1) * 127.5).round().permute(1, 2, 0).numpy())


def test_tiles_of_one_picture_have_noise_of_their_own(models: Path) -> None:
    model = load(models / "pix2pix", "cpu")
    drawn: list[int] = []
    translate = model.translate
    model.translate = lambda *images, seeds, **more: drawn.extend(seeds) or translate(*images, seeds=seeds, **more)  # type: ignore[method-assign]
    Way(model, tile=16).translated([noise(0, 40, 40)], [5])
    assert len(set(drawn)) == len(drawn) == Way(model, tile=16).tiles_of((40, 40)) > 4
    assert derived_seed(5, "tile", 0, 0) in drawn


# ---- the command -----------------------------------------------------------------------------------------------------


def test_names_and_sizes_are_kept(models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    sizes = {"a.png": (16, 16), "sub/b.jpg": (19, 30), "sub/deep/c & <i>#1 50%.PNG": (7, 41), "photo.v2.webp": (16, 16)}
    before = {}
    for i, (name, size) in enumerate(sizes.items()):
        before[name] = save(noise(i, *size), folder / name).read_bytes()
    (folder / "notes.txt").write_text("no picture")
    save(noise(9, 8, 8), folder / ".hidden.png")
    out = tmp_path / "out"
    text = succeeds("translate", models / "cyclegan", folder, "--out", out, "--tile", "16")
    assert text.splitlines()[-1] == f"4 images from a to b in {out}; before and after in {out / 'index.html'}"
    assert "note: 2 images were translated in overlapping tiles of 16 x 16 pixels, each normalised by its own" in text
    written = {re.sub(r"\.\w+$", ".png", name): size for name, size in sizes.items()}
    assert files(out) == {*written, "index.html"}
    assert {name: Image.open(out / name).size[::-1] for name in written} == written
    assert all(Image.open(out / name).format == "PNG" for name in written)
    assert {name: (folder / name).read_bytes() for name in sizes} == before

    page = (out / "index.html").read_text()
    assert "<i>" not in page
    assert sorted(map(unescape, re.findall("<figcaption>(.*?)</figcaption>", page))) == sorted(sizes)
    links = [unquote(unescape(link)) for link in re.findall(r'(?:src|href)="([^"]*)"', page)]
    assert len(links) == 4 * 4
    assert all((out / link).is_file() and not link.startswith("/") for link in links)
    assert set(written) == {link for link in links if not link.startswith(BEFORE)}

    kept = tmp_path / "kept"
    text = succeeds("translate", models / "cyclegan", folder, "--out", kept, "--keep-format", "--to", "a")
    assert files(kept) == {*sizes, "index.html"}
    assert Image.open(kept / "sub/b.jpg").format == "JPEG"
    assert "from b to a" in text


def test_both_ways_are_what_the_model_makes(models: Path, tmp_path: Path) -> None:
    picture = save(noise(0, 16, 16), tmp_path / "x.png")
    for to in ("a", "b"):
        succeeds("translate", models / "unit", picture, "--out", tmp_path / to, "--to", to)
        direct = load(models / "unit", "cpu").translate(as_images(seen(picture)[None]), to=to)
        assert_alike(seen(tmp_path / to / "x.png"), ((direct[0] + 1) * 127.5).round().permute(1, 2, 0).numpy())
    assert np.abs(seen(tmp_path / "a/x.png").astype(int) - seen(tmp_path / "b/x.png")).max() > 20


def test_a_list_of_paths_is_read(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("in/sub/a.png", "in/b c.png", "elsewhere/d.png"):
        save(noise(0, 16, 16), tmp_path / name)
    monkeypatch.chdir(tmp_path / "in")
    listing(monkeypatch, "./sub/a.png", "", tmp_path / "in" / "b c.png", "../elsewhere/d.png")
    assert succeeds("translate", models / "cyclegan", "-", "--out", "../out").startswith("3 images from a to b")
    assert files(tmp_path / "out") == {"sub/a.png", "b c.png", "d.png", "index.html"}
    listing(monkeypatch, "sub/a.png", "no.png")
    line = refused("translate", models / "cyclegan", "-", "--out", "../other")
    assert "the list: 1 of 2 images cannot be read: no.png (no such file or directory)" in line
    listing(monkeypatch)
    assert "the list names no pictures" in refused("translate", models / "cyclegan", "-", "--out", "../other")


def test_all_pictures_of_an_archive_are_translated(models: Path, tmp_path: Path) -> None:
    """Whichever split they are of."""
    names = {"top/train/a.png", "top/val/b.png", "top/test/c.png", "top/d.png"}
    for name in names:
        save(noise(0, 8, 8), tmp_path / "in" / name)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive, tarfile.open(tmp_path / "x.tar.gz", "w:gz") as tar:
        for name in names:
            archive.write(tmp_path / "in" / name, name)
            tar.add(tmp_path / "in" / name, f"./{name}")
    np.savez(tmp_path / "x.npz", images=np.stack([noise(i, 8, 8) for i in range(3)]))
    for source in ("x.zip", "x.tar.gz"):
        succeeds("translate", models / "cyclegan", tmp_path / source, "--out", tmp_path / f"{source}.out")
        assert files(tmp_path / f"{source}.out") == {*names, "index.html"}
    succeeds("translate", models / "cyclegan", tmp_path / "x.npz", "--out", tmp_path / "arrays")
    assert len(files(tmp_path / "arrays")) == 4
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.write(tmp_path / "in/top/d.png", "../../out.png")
        archive.write(tmp_path / "in/top/d.png", "in.png")
    line = refused("translate", models / "cyclegan", tmp_path / "bad.zip", "--out", tmp_path / "sub/bad")
    assert "its path leads out" in line
    words = ("translate", models / "cyclegan", tmp_path / "bad.zip", "--out", tmp_path / "sub/bad", "--skip-unreadable")
    assert "left out 1 image that cannot be read" in succeeds(*words)
    assert files(tmp_path / "sub/bad") == {"in.png", "index.html"}
    assert {path.name for path in (tmp_path / "sub").iterdir()} == {"bad"}
    assert not (tmp_path / "out.png").exists()


def test_other_modes_are_converted_and_it_is_said(models: Path, tmp_path: Path) -> None:
    clear = np.dstack([noise(0, 16, 16), np.full((16, 16), 0, np.uint8)])
    save(clear, tmp_path / "in" / "clear.png")
    save(noise(1, 16, 16, channels=1), tmp_path / "in" / "grey.png")
    save(np.full((16, 16, 3), 255, np.uint8), tmp_path / "in" / "white.png")
    text = succeeds("translate", models / "cyclegan", tmp_path / "in", "--out", tmp_path / "out")
    assert "note: images of mode RGBA, grey were converted to RGB and laid on white, which the model takes" in text
    assert_alike(seen(tmp_path / "out/clear.png"), seen(tmp_path / "out/white.png"))
    text = succeeds("translate", models / "to-grey", tmp_path / "in/white.png", "--out", tmp_path / "grey")
    assert "note" not in text
    assert Image.open(tmp_path / "grey/white.png").mode == "L"
    text = succeeds("translate", models / "to-grey", tmp_path / "in", "--to", "a", "--out", tmp_path / "back")
    assert "converted to grey" in text


def test_sixteen_bits_stay_sixteen(models: Path, tmp_path: Path) -> None:
    deep = model_folder(tmp_path / "deep", "cyclegan", small_sides(False, (3, 1), 16), bits=16, identity=0.0)
    pixels = np.random.default_rng(0).integers(0, 65536, (19, 18, 3), dtype=np.uint16)
    (tmp_path / "x.png").write_bytes(png16.write(pixels, b"MM\0*\0\0\0\x08\0\0\0\0\0\0"))
    model, padded = load(deep, "cpu"), np.pad(pixels, ((0, 1), (1, 1), (0, 0)), mode="reflect")
    succeeds("translate", deep, tmp_path / "x.png", "--out", tmp_path / "out")
    made = decode((tmp_path / "out/x.png").read_bytes()).pixels
    assert (made.dtype, made.shape) == (np.uint16, (19, 18, 1))
    direct = (model.translate(as_images(padded[None]))[0, :, :19, 1:19] + 1) * 32767.5
    assert np.abs(direct.permute(1, 2, 0).numpy() - made).max() < 20
    assert np.abs(direct.permute(1, 2, 0).numpy() / 257 - made // 257).max() > 0.9  # levels that 8 bits have not
    save(made[:, :, 0], tmp_path / "grey.png")
    succeeds("translate", deep, tmp_path / "grey.png", "--out", tmp_path / "back", "--to", "a")
    assert decode((tmp_path / "back/grey.png").read_bytes()).pixels.dtype == np.uint16
    text = succeeds("translate", models / "cyclegan", tmp_path / "x.png", "--out", tmp_path / "shallow")
    assert "images of 16 bits a channel have 8 now" in text
    assert seen(tmp_path / "shallow/x.png").dtype == np.uint8


def test_what_a_file_says_of_its_picture_is_kept(models: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = 6, "an artist"
    colours = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels = noise(0, 12, 20)
    save(pixels, tmp_path / "in/a.jpg", exif=exif, icc_profile=colours)
    save(pixels, tmp_path / "in/b.png", exif=exif, icc_profile=colours)
    (tmp_path / "in/c.png").write_bytes(png16.write(pixels.astype(np.uint16) * 257, exif.tobytes(), colours))
    for run, flags in (("cyclegan", ()), ("cyclegan", ("--keep-format",)), ("to-grey", ())):
        out = tmp_path / f"{run}{len(flags)}"
        succeeds("translate", models / run, tmp_path / "in", "--out", out, *flags)
        for name in ("a.jpg" if flags else "a.png", "b.png", "c.png"):
            with Image.open(out / name) as made:
                assert made.size == (12, 20)
                assert dict(made.getexif()) == {0x013B: "an artist"}
                assert made.info.get("icc_profile") == (colours if run == "cyclegan" else None)
    with Image.open(tmp_path / "in/c.png") as deep:
        assert deep.getexif()[0x013B] == "an artist"
        assert deep.info["icc_profile"] == colours
    assert about(b"nothing of that kind") == about(b"\x89PNG\r\n\x1a\n") == (b"", b"")


def test_labels_are_read_by_colour_or_by_number(labelled: Path, tmp_path: Path) -> None:
    classes = blocks(5, 20, 28)
    save(paint(classes), tmp_path / "in/colours.png")
    save(classes + 7, tmp_path / "in/numbers.png")
    save(np.dstack([paint(classes), np.full((20, 28), 9, np.uint8)]), tmp_path / "in/alpha.png")
    text = succeeds("translate", labelled / "paint", tmp_path / "in", "--out", tmp_path / "out", "--no-noise")
    assert "converted" not in text
    for name in ("numbers", "alpha"):
        assert_alike(seen(tmp_path / "out" / f"{name}.png"), seen(tmp_path / "out/colours.png"))
    with Image.open(tmp_path / "out" / BEFORE / "000002.png") as shown:  # what was there, in its colours
        assert np.array_equal(np.asarray(shown), paint(classes))
    strange = paint(classes)
    strange[3, 4] = 1, 2, 3
    save(strange, tmp_path / "in/strange.png")
    line = refused("translate", labelled / "paint", tmp_path / "in", "--out", tmp_path / "no")
    assert "strange.png (the colour (1, 2, 3) is not in the palette)" in line
    save(classes + 8, tmp_path / "in/strange.png")
    line = refused("translate", labelled / "paint", tmp_path / "in", "--out", tmp_path / "no")
    assert "strange.png (10 is not in the palette)" in line
    assert not (tmp_path / "no").exists()


def test_labels_are_written_in_their_colours(labelled: Path, tmp_path: Path) -> None:
    picture = noise(3, 16, 16)
    save(picture, tmp_path / "in/x.jpg", quality=100, subsampling=0)
    out = tmp_path / "out"
    text = succeeds("translate", labelled / "parse", tmp_path / "in", "--out", out, "--no-noise", "--keep-format")
    assert "note: written as PNG: what was .jpg" in text
    model = load(labelled / "parse", "cpu")
    made = model.translate(as_images(seen(tmp_path / "in/x.jpg")[None]), noise=False)
    classes = classes_of(model.spec.sides[1], made)[0].numpy()
    with Image.open(out / "x.png") as label_map:
        assert np.array_equal(np.asarray(label_map), classes)
        assert np.array_equal(np.asarray(label_map.convert("RGB")), paint(classes))
    succeeds("translate", labelled / "paint", out / "x.png", "--out", tmp_path / "again")


def test_what_cannot_be_read_is_named_or_left_out(models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for i in range(3):
        save(noise(i, 16, 16), folder / f"{i}.png")
    whole = save(noise(4, 64, 64), folder / "cut.jpg")
    whole.write_bytes(whole.read_bytes()[:-900])
    (folder / "empty.png").touch()
    run = models / "cyclegan"
    line = refused("translate", run, folder, "--out", tmp_path / "out")
    assert "2 of 5 images cannot be read: cut.jpg (truncated), empty.png (empty file)" in line
    assert "--skip-unreadable" in line
    assert not (tmp_path / "out").exists()
    text = succeeds("translate", run, folder, "--out", tmp_path / "out", "--skip-unreadable")
    assert "note: left out 2 images that cannot be read: cut.jpg (truncated), empty.png (empty file)" in text
    assert files(tmp_path / "out") == {"0.png", "1.png", "2.png", "index.html"}
    line = refused("translate", run, whole, "--out", tmp_path / "other", "--skip-unreadable")
    assert line == "cardigan: cannot read cut.jpg (truncated)"


def test_translate_refuses_what_it_cannot_do(models: Path, tmp_path: Path) -> None:
    gan = small_trainer(tmp_path / "run", "gan")
    save_model(tmp_path / "gan", gan.model_config(), gan.game)
    picture = save(noise(0, 16, 16), tmp_path / "in/x.png")
    out = ("--out", tmp_path / "out")
    assert "train with pix2pix, cyclegan or unit" in refused("translate", tmp_path / "gan", picture, *out)
    assert "does not translate to 'a': choose b" in refused("translate", models / "pix2pix", picture, "--to", "a", *out)
    assert "choose a or b" in refused("translate", models / "unit", picture, "--to", "night", *out)
    run = models / "cyclegan"
    assert "does not exist" in refused("translate", run, tmp_path / "nothing", *out)
    assert "goes by a name" in refused("translate", run, "streets", *out)
    (tmp_path / "none").mkdir()
    assert "holds no images" in refused("translate", run, tmp_path / "none", *out)
    assert "more than half of a tile" in refused("translate", run, picture, "--tile", "64", "--overlap", "40", *out)
    assert "not empty" in refused("translate", run, picture, "--out", tmp_path / "in")
    save(noise(1, 16, 16), tmp_path / "in/x.jpg")
    line = refused("translate", run, tmp_path / "in", *out)
    assert "x.jpg and x.png would both be written to x.png: rename one" in line
    two = model_folder(tmp_path / "two", "cyclegan", small_sides(False, (2, 2), 16))
    assert "b has 2 channels, which no picture holds" in refused("translate", two, picture, *out)
    assert not (tmp_path / "out").exists()
    succeeds("translate", run, tmp_path / "in", "--keep-format", *out)
    assert files(tmp_path / "out") == {"x.jpg", "x.png", "index.html"}


def test_nothing_is_left_of_what_was_not_finished(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Model = load(models / "cyclegan", "cpu")
    for i in range(2):
        save(noise(i, 16, 16 + i), tmp_path / "in" / f"{i}.png")
    done: list[int] = []
    translate = model.translate

    def interrupted(*images: Any, **more: Any) -> torch.Tensor:
        if done:
            raise KeyboardInterrupt
        done.append(1)
        return translate(*images, **more)

    monkeypatch.setattr(model, "translate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        translate_files(model, str(tmp_path / "in"), tmp_path / "out", TranslateOptions())
    assert {path.name for path in tmp_path.iterdir()} == {"in"}

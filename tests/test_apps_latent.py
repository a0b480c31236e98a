"""Truncation, samples by number, walks and planes, films, and inversion."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import norm, truncnorm

import cardigan
from cardigan import InversionOptions
from cardigan.apps import film
from cardigan.apps.files import write_examples
from cardigan.apps.film import on_white, write_film
from cardigan.apps.inversion import BEYOND
from cardigan.apps.model import CHUNK, Model
from cardigan.apps.truncation import truncated
from cardigan.apps.ways import between, closed_walk, plane, spherical
from cardigan.cli.common import parse_numbers
from cardigan.data import DataSpec
from cardigan.errors import DataError, RecipeError, RunError
from cardigan.evaluation import psnr, ssim
from cardigan.games.base import LatentConfig
from cardigan.training.pictures import captioned, grid
from cardigan.training.randomness import generator
from cli_runs import make_runs, refused, succeeds, write_pictures
from small import play, small_splits, small_trainer

NORMAL, UNIFORM = LatentConfig(size=8), LatentConfig(size=8, distribution="uniform")
FAST = InversionOptions(steps=40, restarts=2)


def normals(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def trained(folder: Path, kind: str = "gan", rounds: int = 2, **changes: object) -> Model:
    trainer = play(small_trainer(folder, kind, **changes), rounds)
    trainer.deploy()
    return cardigan.load(folder, "cpu")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A GAN without classes that has learnt something."""
    return trained(tmp_path_factory.mktemp("plain"), rounds=60, game={"conditional": False})


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return trained(tmp_path_factory.mktemp("classes"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_runs(tmp_path_factory.mktemp("runs"))


# ---- truncation ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [1e-3, 0.5, 1.0, 2.0, 4.0])
def test_truncated_latents_are_draws_of_the_truncated_normal(threshold: float) -> None:
    drawn = normals(400_000)
    within = truncated(drawn, threshold, NORMAL)
    assert within.dtype == torch.float32
    assert within.abs().max() <= threshold
    share = 1 - 2 * threshold * norm.pdf(threshold) / (norm.cdf(threshold) - norm.cdf(-threshold))
    assert within.double().var().item() == pytest.approx(share, rel=0.01)
    assert within.double().mean().abs().item() < 5 * share**0.5 / 400_000**0.5
    probabilities = truncnorm.cdf(within[:2000].double().numpy(), -threshold, threshold)
    assert np.allclose(probabilities, norm.cdf(drawn[:2000].double().numpy()), atol=1e-4)


def test_truncation_is_redrawing_until_within() -> None:
    """The law of the draws that are left when those outside are thrown away."""
    drawn = normals(60_000, seed=1)
    kept = drawn[drawn.abs() <= 0.8].sort().values
    redrawn = truncated(normals(60_000), 0.8, NORMAL).sort().values
    shares = torch.linspace(0.01, 0.99, 99).double()
    quantiles = [values[(shares * (len(values) - 1)).long()] for values in (kept, redrawn)]
    torch.testing.assert_close(*quantiles, atol=0.02, rtol=0)


def test_a_wide_threshold_changes_nothing_and_the_order_stays() -> None:
    drawn = torch.cat([normals(1000), torch.tensor([0.0, 6.0, -6.0])])
    torch.testing.assert_close(truncated(drawn, 30.0, NORMAL), drawn, atol=1e-6, rtol=1e-6)
    narrow = truncated(drawn, 0.3, NORMAL)
    assert torch.equal(narrow.argsort(), drawn.argsort())
    assert torch.equal(truncated(-drawn, 0.3, NORMAL), -narrow)


def test_uniform_latents_are_scaled() -> None:
    drawn = normals(100).clamp(-1, 1)
    assert torch.equal(truncated(drawn, 0.5, UNIFORM), drawn / 2)
    assert torch.equal(truncated(drawn, 1.0, UNIFORM), drawn)
    with pytest.raises(RecipeError, match="at most 1"):
        truncated(drawn, 1.5, UNIFORM)


@pytest.mark.parametrize("threshold", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("latent", [NORMAL, UNIFORM])
def test_a_threshold_is_positive(threshold: float, latent: LatentConfig) -> None:
    with pytest.raises(RecipeError, match="give a positive one"):
        truncated(normals(3), threshold, latent)


# ---- samples by number ------------------------------------------------------------------------------------------------


def test_samples_are_those_they_have_always_been(plain: Model) -> None:
    blocks = [plain.game.draw_latents(CHUNK, generator(7, "sample", block)) for block in range(2)]
    with torch.no_grad():
        expected = [plain.game.decode(latents) for latents in (blocks[0][10:], blocks[1][:6])]
    assert torch.equal(plain.sample(CHUNK - 4, seed=7, start=10), torch.cat(expected))


def test_a_truncated_sample_does_not_depend_on_how_many_are_asked_for(plain: Model) -> None:
    many, few = range(150), [100, 3, 149]
    assert torch.equal(plain.latents_of(few, truncation=0.7), plain.latents_of(many, truncation=0.7)[few])
    torch.testing.assert_close(
        plain.sample(5, start=98, truncation=0.7), plain.sample(150, truncation=0.7)[98:103], rtol=1e-4, atol=1e-5
    )
    assert plain.latents_of(many, truncation=0.7).abs().max() <= 0.7
    assert plain.latents(500, truncation=0.7).abs().max() <= 0.7
    spread = [plain.sample(200, truncation=t).std(0).mean() for t in (0.2, 1.0, None)]
    assert spread[0] < spread[1] < spread[2]


def test_samples_are_picked_by_number_with_their_own_class(classes: Model) -> None:
    numbers = [70, 3, 4, 70, 0]
    many = classes.sample(80, seed=2)
    picked = classes.pick(numbers, seed=2)
    torch.testing.assert_close(picked, many[numbers], rtol=1e-4, atol=1e-5)
    again = classes.decode(classes.latents_of(numbers, seed=2), [number % 2 for number in numbers])
    torch.testing.assert_close(again, picked, rtol=1e-4, atol=1e-5)
    assert classes.pick([]).shape == (0, 1, 8, 8)
    assert classes.latents_of([]).shape == (0, 8)


def test_decoding_takes_any_number(plain: Model) -> None:
    latents = plain.latents(2 * CHUNK + 1)
    with torch.no_grad():
        torch.testing.assert_close(plain.decode(latents), plain.game.decode(latents), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("3", [3]), ("3,17,42", [3, 17, 42]), (" 0 - 3 , 40", [0, 1, 2, 3, 40]), ("5,2-2,5", [5, 2, 5])],
)
def test_numbers_are_read(text: str, numbers: list[int]) -> None:
    assert parse_numbers(text) == numbers


@pytest.mark.parametrize(
    "text", ["", "a", "-3", "1,,2", "1-", "1-2-3", "1.5", "²", "9" * 13, "5-3", "0-10000", "0-999999999999"]
)
def test_numbers_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="--numbers"):
        parse_numbers(text)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_each_picture_of_a_grid_has_its_number_below(channels: int) -> None:
    spec, images = DataSpec(channels=channels, height=50, width=50), normals(5, channels, 50, 50).clamp(-1, 1)
    sheet = np.asarray(captioned(images, spec, ["0", "1", "7", "0", "1"]))
    tiles = [np.asarray(grid(image[None])) for image in images]
    assert sheet.shape[:2] == (2 * 64, 3 * 52 - 2)
    corners = [(row, column) for row in (0, 64) for column in (0, 52, 104)][:5]
    for (top, left), tile in zip(corners, tiles, strict=True):
        assert np.array_equal(sheet[top : top + 50, left : left + 50], tile)
    words = [sheet[top + 50 : top + 64, left : left + 50] for top, left in corners]
    assert np.array_equal(words[0], words[3])
    assert np.array_equal(words[1], words[4])
    assert all((one < 128).any() for one in words)
    assert not np.array_equal(words[0], words[1])
    assert (sheet[64:, 104:] == 255).all()


def test_a_long_number_has_the_room_it_needs() -> None:
    images = normals(2, 1, 8, 8).clamp(-1, 1)
    sheet = captioned(images, DataSpec(channels=1, height=8, width=8), ["123456789012", "1"])
    middle = np.asarray(sheet)[48:, sheet.width // 2 - 1 : sheet.width // 2 + 1]
    assert sheet.width > 2 * 60
    assert (middle == 255).all()  # the gap between the two


def test_files_are_named_by_number(tmp_path: Path) -> None:
    images = normals(2, 1, 8, 8).clamp(-1, 1)
    out = write_examples(images, DataSpec(channels=1, height=8, width=8), tmp_path / "out", [40, 3])
    assert {path.name for path in out.iterdir()} == {"000040.png", "000003.png"}


# ---- walks and planes -------------------------------------------------------------------------------------------------


def test_normal_latents_are_joined_on_a_sphere_and_uniform_ones_in_the_cube() -> None:
    start, end = normals(2, 50, 8)
    ends = [x / x.norm(dim=1, keepdim=True) * 3 for x in (start, end)]
    for share in (0.2, 0.5, 0.9):
        torch.testing.assert_close(between(*ends, share, NORMAL).norm(dim=1), torch.full((50,), 3.0))
    low, high = start.clamp(-1, 1), end.clamp(-1, 1)
    torch.testing.assert_close(between(low, high, 0.25, UNIFORM), 0.75 * low + 0.25 * high)
    assert between(low, high, 0.5, UNIFORM).abs().max() <= 1


def test_the_ends_of_a_walk_are_exact() -> None:
    start, end = normals(2, 50, 8)
    for latent in (NORMAL, UNIFORM):
        assert torch.equal(between(start, end, 0.0, latent), start)
        assert torch.equal(between(start, end, 1.0, latent), end)


def test_opposite_latents_are_joined_by_a_line() -> None:
    """In one dimension all are, and the sine of the angle between them divides what is there by nothing."""
    start, end = torch.tensor([[1.0], [2.0], [-0.5]]), torch.tensor([[-1.0], [1.0], [2.0]])
    torch.testing.assert_close(spherical(start, end, 0.3), 0.7 * start + 0.3 * end)


@pytest.mark.parametrize("latent", [NORMAL, UNIFORM])
@pytest.mark.parametrize(("stops", "frames"), [(4, 90), (3, 10), (5, 5), (2, 7)])
def test_a_walk_is_closed_even_and_passes_every_point(latent: LatentConfig, stops: int, frames: int) -> None:
    points = normals(stops, 2, 8).clamp(-1, 1)
    path = torch.stack(closed_walk(points, frames, latent))
    assert path.shape == (frames, 2, 8)
    at = [stop * frames // stops for stop in range(stops)]
    assert torch.equal(path[at], points)
    steps = (path.roll(-1, 0) - path).norm(dim=-1)  # the last frame's neighbour is the first
    longest = (points.roll(-1, 0) - points).norm(dim=-1).max()
    assert (steps > 0).all()
    assert steps.max() <= 1.6 * longest / (frames // stops)


def test_fewer_frames_than_points_are_possible() -> None:
    assert len(closed_walk(normals(4, 1, 8), 3, NORMAL)) == 3
    assert len(closed_walk(normals(4, 1, 8), 1, NORMAL)) == 1


@pytest.mark.parametrize("latent", [NORMAL, UNIFORM])
def test_a_plane_has_its_corners(latent: LatentConfig) -> None:
    corners = normals(4, 8).clamp(-1, 1)
    sheet = plane(corners, 5, latent).unflatten(0, (5, 5))
    assert torch.equal(torch.stack([sheet[0, 0], sheet[0, 4], sheet[4, 0], sheet[4, 4]]), corners)
    torch.testing.assert_close(sheet[0, 2], between(corners[0], corners[1], 0.5, latent))
    torch.testing.assert_close(sheet[2, 0], between(corners[0], corners[2], 0.5, latent))
    if latent is UNIFORM:
        torch.testing.assert_close(sheet[2, 2], corners.mean(0))


# ---- films ------------------------------------------------------------------------------------------------------------


def discs(mode: str, count: int = 4, width: int = 33, height: int = 35) -> list[Image.Image]:
    """A square that moves over nothing."""
    pictures: list[Image.Image] = []
    for i in range(count):
        picture = Image.new(mode, (width, height))
        picture.paste({"L": 200, "RGB": (200, 40, 40), "RGBA": (200, 40, 40, 255)}[mode], (4 * i, 8, 4 * i + 12, 20))
        pictures.append(picture)
    return pictures


def frames_of(path: Path, mode: str) -> list[np.ndarray]:
    with Image.open(path) as opened:
        frames = []
        for i in range(opened.n_frames):
            opened.seek(i)
            frames.append(np.asarray(opened.convert(mode)).astype(int))
    return frames


def test_a_gif_of_transparent_pictures_lies_on_white(tmp_path: Path) -> None:
    pictures = discs("RGBA")
    write_film(pictures, tmp_path / "x.gif")
    for frame, picture in zip(frames_of(tmp_path / "x.gif", "RGB"), pictures, strict=True):
        expected = np.where(np.asarray(picture)[..., 3:] > 0, np.asarray(picture)[..., :3], 255)
        assert np.abs(frame - expected).max() <= 2


@pytest.mark.parametrize("ending", ["webp", "png"])
def test_webp_and_png_keep_transparency(tmp_path: Path, ending: str) -> None:
    pictures = discs("RGBA")
    write_film(pictures, tmp_path / f"x.{ending}")
    frames = frames_of(tmp_path / f"x.{ending}", "RGBA")
    for frame, picture in zip(frames, pictures, strict=True):
        assert np.array_equal(frame[..., 3], np.asarray(picture)[..., 3])


def test_half_transparent_is_half_white() -> None:
    assert on_white(Image.new("RGBA", (1, 1), (0, 0, 0, 51))).getpixel((0, 0)) == (204, 204, 204)
    grey = Image.new("L", (1, 1), 7)
    assert on_white(grey) is grey


@pytest.mark.parametrize(("ending", "fps", "milliseconds"), [("gif", 25, 40), ("gif", 60, 20), ("webp", 25, 40)])
def test_frames_a_second(tmp_path: Path, ending: str, fps: int, milliseconds: int) -> None:
    out = tmp_path / f"x.{ending}"
    write_film(discs("RGB"), out, fps)
    with Image.open(out) as opened:
        opened.seek(1)
        opened.load()
        assert opened.info["duration"] == milliseconds


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_an_mp4_has_all_frames_and_even_sides(tmp_path: Path, mode: str) -> None:
    import av

    pictures = discs(mode, 7)
    write_film(pictures, tmp_path / "x.mp4", 12)
    with av.open(tmp_path / "x.mp4") as opened:
        track = opened.streams.video[0]
        assert (track.average_rate, track.codec_context.pix_fmt, track.codec_context.name) == (12, "yuv420p", "h264")
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in opened.decode(track)]
    assert len(frames) == 7
    for frame, picture in zip(frames, pictures, strict=True):
        assert frame.shape == (36, 34, 3)
        expected = np.asarray(on_white(picture).convert("RGB"))
        assert np.abs(frame[:35, :33] - expected).mean() < 8
        assert frame[35, 20:].mean() > 200  # one white line more
    assert frames[0][14, 4:8, 0].mean() > 150
    assert frames[6][14, 25:30, 0].mean() > 150


def test_an_mp4_without_its_library_says_what_to_install(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(film.importlib.util, "find_spec", lambda name: None)
    assert "pip install 'cardigan[video]'" in refused("interpolate", runs / "gan", "--out", tmp_path / "x.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_film_has_an_ending_of_one(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="ends in .gif, .webp, .png, .mp4"):
        write_film(discs("L"), tmp_path / "x.avi")


# ---- inversion --------------------------------------------------------------------------------------------------------


def test_the_model_s_own_samples_are_found_again(plain: Model) -> None:
    images = plain.sample(6, seed=5)
    bank = plain.sample(512, seed=99)
    nearest = torch.stack([(bank - image).abs().mean((1, 2, 3)).min() for image in images])
    found = plain.invert(images)
    errors = (found.images - images).abs().mean((1, 2, 3))
    torch.testing.assert_close(found.losses, errors, atol=1e-5, rtol=1e-3)
    torch.testing.assert_close(plain.decode(found.latents), found.images, atol=1e-4, rtol=0)
    assert errors.mean() < 0.1 * nearest.mean()
    assert (errors < nearest).all()


def test_inversion_leaves_the_model_as_it_is(tmp_path: Path) -> None:
    model = trained(tmp_path, splits=small_splits(channels=2), game={"conditional": False})
    before = {key: tensor.clone() for key, tensor in model.game.state_dict().items()}
    samples, strides = model.sample(5), [parameter.stride() for parameter in model.game.generator.parameters()]
    model.invert(samples, FAST)
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.game.state_dict().items())
    assert torch.equal(model.sample(5), samples)
    assert [parameter.stride() for parameter in model.game.generator.parameters()] == strides


def test_an_inversion_does_not_depend_on_its_batch(plain: Model) -> None:
    images = small_splits().test.images(torch.arange(5))
    together = plain.invert(images, FAST)
    alone = [plain.invert(image[None], FAST) for image in images]
    torch.testing.assert_close(torch.cat([one.images for one in alone]), together.images, atol=1e-3, rtol=0)
    torch.testing.assert_close(torch.cat([one.losses for one in alone]), together.losses, atol=1e-4, rtol=0)


def test_latents_stay_where_nearly_all_of_the_prior_s_are(plain: Model, tmp_path: Path) -> None:
    images, eager = small_splits().test.images(torch.arange(4)), InversionOptions(steps=40, lr=2.0)
    longest = plain.invert(images, eager).latents.norm(dim=1).max()
    radii = normals(100_000, 8).norm(dim=1)
    assert 8**0.5 < longest <= radii.quantile(1 - BEYOND) * 1.02
    uniform = trained(tmp_path, game={"conditional": False, "latent": {"size": 8, "distribution": "uniform"}})
    assert uniform.invert(images, eager).latents.abs().max() <= 1


def test_an_encoder_s_answer_is_a_start(tmp_path: Path) -> None:
    model, images = trained(tmp_path, "vae", 100), small_splits().test.images(torch.arange(6))
    coded = (model.reconstruct(images) - images).abs().mean((1, 2, 3))
    once = model.invert(images, InversionOptions(steps=1, restarts=1)).losses
    torch.testing.assert_close(once, coded, atol=1e-5, rtol=1e-4)
    assert (model.invert(images, FAST).losses < coded).all()


def test_a_prior_loss_keeps_the_picture_usual(plain: Model) -> None:
    images = small_splits().test.images(torch.arange(4))
    free, bound = (plain.invert(images, InversionOptions(steps=100, prior=prior)) for prior in (0.0, 1.0))
    with torch.no_grad():
        assert plain.game.realness(bound.images).mean() > plain.game.realness(free.images).mean()
    errors = [(found.images - images).abs().mean() for found in (free, bound)]
    assert errors[0] < errors[1]


def test_a_conditional_model_is_told_the_class(classes: Model) -> None:
    images = classes.sample(2, labels=["dim", "dim"])
    assert classes.invert(images, FAST, label="dim").losses.mean() < classes.invert(images, FAST, label=1).losses.mean()
    with pytest.raises(RecipeError, match="name the images' class, dim, bright"):
        classes.invert(images)
    with pytest.raises(RecipeError, match="no class 'blue'"):
        classes.invert(images, label="blue")


def test_what_cannot_be_inverted_is_refused(plain: Model, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected shape"):
        plain.invert(torch.zeros(2, 3, 8, 8))
    with pytest.raises(RecipeError, match="not class-conditional"):
        plain.invert(torch.zeros(2, 1, 8, 8), label="dim")
    with pytest.raises(RunError, match="cannot sample"):
        trained(tmp_path, "autoencoder", 1).invert(torch.zeros(2, 1, 8, 8))


# ---- the commands -----------------------------------------------------------------------------------------------------


SEARCH = ("--steps", "20", "--restarts", "2")


def test_invert_writes_pictures_latents_and_errors(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    text = succeeds("invert", runs / "vae", "digits", "--out", out, "-n", "6", *SEARCH)
    pictures = sorted(out.glob("test_*.png"))
    assert {path.name for path in out.iterdir()} - {path.name for path in pictures} == {
        "comparison.png",
        "latents.npy",
        "inversion.json",
    }
    told, latents = json.loads((out / "inversion.json").read_text()), np.load(out / "latents.npy")
    assert [each["image"] for each in told["each"]] == [path.stem for path in pictures]
    model, originals = cardigan.load(runs / "vae", "cpu"), cardigan.open_data("digits").test.images(torch.arange(6))
    made = model.decode(torch.from_numpy(latents))
    for path, image in zip(pictures, made, strict=True):
        assert np.abs(np.asarray(Image.open(path)).astype(int) - ((image[0] + 1) * 127.5).numpy()).max() < 1
    measured = {
        "psnr": psnr(made, originals),
        "mae": (made - originals).abs().mean((1, 2, 3)),
        "ssim": ssim(made + 1, originals + 1),
    }
    for name, values in measured.items():
        assert [each[name] for each in told["each"]] == pytest.approx(values.tolist(), abs=1e-3)
        assert told[name]["mean"] == pytest.approx(values.mean().item(), abs=1e-3)
        assert told[name]["standard error"] == pytest.approx(values.std().item() / 6**0.5, abs=1e-3)
    assert f"{told['psnr']['mean']:.2f}" in text
    assert Image.open(out / "comparison.png").width == 2 * 64 + 2


@pytest.mark.parametrize("place", ["", "photo.png"])
def test_a_picture_of_another_size_is_brought_to_the_model_s(runs: Path, tmp_path: Path, place: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    Image.new("RGB", (30, 30), "black").save(folder / "photo.png")
    text = succeeds("invert", runs / "gan", folder / place, "--out", tmp_path / "out", "--steps", "3")
    assert "images of 30x30 were cut and resized to 8x8" in text
    assert "converted to grey" in text
    told = json.loads((tmp_path / "out/inversion.json").read_text())
    assert told["each"][0]["image"] == "test_000000_photo"
    assert told["psnr"]["standard error"] is None  # one picture has none


def test_invert_refuses_what_it_cannot_do(runs: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "out", *SEARCH)
    assert "name the images' class" in refused("invert", runs / "classes", "digits", *out)
    assert "no class 'cat'" in refused("invert", runs / "classes", "digits", "--label", "cat", *out)
    assert "not class-conditional" in refused("invert", runs / "gan", "digits", "--label", "3", *out)
    assert "does not exist" in refused("invert", runs / "gan", tmp_path / "nothing", *out)
    assert "the model takes 1x8x8" in refused("invert", runs / "gan", "ring", *out)
    full = write_pictures(tmp_path / "full", 3)
    assert "not empty" in refused("invert", runs / "gan", "digits", "--out", full)
    assert not (tmp_path / "out").exists()
    succeeds("invert", runs / "classes", "digits", "-n", "2", "--label", "3", *out)


def test_samples_of_numbers(runs: Path, tmp_path: Path) -> None:
    for name, more in {"all": ("-n", "70"), "some": ("--numbers", "64-66,3")}.items():
        succeeds("sample", runs / "gan", "--out", tmp_path / f"{name}.npy", *more)
    every, some = (np.load(tmp_path / f"{name}.npy") for name in ("all", "some"))
    assert np.allclose(some, every[[64, 65, 66, 3]], atol=1e-5)
    assert succeeds("sample", runs / "gan", "--numbers", "0-3", "--out", tmp_path / "x.png").startswith("4 samples")
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.size == (2 * 48 + 2, 2 * (48 + 14))
    succeeds(
        "sample", runs / "classes", "--numbers", "3,4", "--label", "3", "--label", "7", "--out", tmp_path / "c.npy"
    )
    succeeds("sample", runs / "classes", "-n", "5", "--label", "3", "--label", "7", "--out", tmp_path / "d.npy")
    assert np.allclose(np.load(tmp_path / "c.npy"), np.load(tmp_path / "d.npy")[[3, 4]], atol=1e-5)


def test_truncated_samples(runs: Path, tmp_path: Path) -> None:
    for name, more in {"free": (), "wide": ("--truncation", "30"), "narrow": ("--truncation", "0.1")}.items():
        succeeds("sample", runs / "gan", "--out", tmp_path / f"{name}.npy", *more)
    free, wide, narrow = (np.load(tmp_path / f"{name}.npy") for name in ("free", "wide", "narrow"))
    assert np.allclose(free, wide, atol=1e-5)
    assert narrow.std(0).mean() < 0.5 * free.std(0).mean()
    assert "positive" in refused("sample", runs / "gan", "--truncation", "0", "--out", tmp_path / "x.png")


def test_a_walk_between_samples_of_numbers(runs: Path, tmp_path: Path) -> None:
    words = ("interpolate", runs / "gan", "--numbers", "3,70,5", "--frames", "6", "--fps", "10")
    assert succeeds(*words, "--out", tmp_path / "x.png").startswith("6 frames")
    frames = frames_of(tmp_path / "x.png", "L")
    model = cardigan.load(runs / "gan", "cpu")
    for frame, sample in zip(frames[::2], model.pick([3, 70, 5]), strict=True):
        assert np.abs(frame[::16, ::16] - ((sample[0] + 1) * 127.5).numpy()).max() < 1
    succeeds(*words, "--out", tmp_path / "x.mp4")
    assert (tmp_path / "x.mp4").read_bytes()[4:8] == b"ftyp"


def test_a_grid_between_samples(runs: Path, tmp_path: Path) -> None:
    words = ("interpolate", runs / "gan", "--numbers", "9,8,7,6", "--grid", "5")
    assert succeeds(*words, "--out", tmp_path / "x.png").startswith("5 x 5 pictures")
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.size == (5 * 34 - 2, 5 * 34 - 2)
    succeeds(*words, "--out", tmp_path / "x.npy")
    corners = np.load(tmp_path / "x.npy")[[0, 4, 20, 24]]
    assert np.allclose(corners, cardigan.load(runs / "gan", "cpu").pick([9, 8, 7, 6]).numpy(), atol=1e-5)


def test_walks_of_a_class(runs: Path, tmp_path: Path) -> None:
    out = ("--frames", "4", "--out", tmp_path / "x.gif")
    between_classes = refused("interpolate", runs / "classes", "--numbers", "3,17", *out)
    assert "samples of classes 3, 7 have no picture between them: choose one class with --label" in between_classes
    assert "choose one class" in refused("interpolate", runs / "classes", "--grid", "3", "--out", tmp_path / "x.png")
    for more in (("--numbers", "3,13"), ("--numbers", "3,17", "--label", "5"), ("--label", "5", "-n", "3")):
        succeeds("interpolate", runs / "classes", *more, *out)
    succeeds("interpolate", runs / "classes", "--grid", "3", "--label", "5", "--out", tmp_path / "x.png")
    assert "no class 'cat'" in refused("interpolate", runs / "classes", "--label", "cat", *out)
    assert "not class-conditional" in refused("interpolate", runs / "gan", "--label", "3", *out)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("sample", "-n", "3", "--numbers", "1"), "give one of the two"),
        (("sample", "--numbers", "one"), "cannot be read"),
        (("interpolate", "-n", "3", "--numbers", "1,2"), "leave it out"),
        (("interpolate", "-n", "3", "--grid", "4"), "leave it out"),
        (("interpolate", "--numbers", "4"), "two at least"),
        (("interpolate", "--numbers", "1,2,3", "--frames", "2"), "too few to show 3 samples"),
        (("interpolate", "--numbers", "1,2,3", "--grid", "4"), "not 3"),
    ],
)
def test_options_that_do_not_go_together(runs: Path, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    assert said in refused(words[0], runs / "gan", *words[1:], "--out", tmp_path / "x.png")
    assert list(tmp_path.iterdir()) == []


def test_no_images_is_told(plain: Model) -> None:
    none = torch.empty(0, 1, 8, 8)
    with pytest.raises(DataError, match="no image to search for"):
        plain.invert(none)
    with pytest.raises(DataError, match="no image to search for"):
        plain.inpaint(none, torch.eye(8, dtype=torch.bool))

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import structural_similarity

import cardigan
from cardigan.apps.inpainting import classical
from cardigan.apps.inpainting.blending import blend, factorised, harmonic, laplacian
from cardigan.apps.inpainting.completion import CompletionOptions, context_weights
from cardigan.apps.inpainting.rivals import RIVALS
from cardigan.apps.model import Model
from cardigan.apps.search import Search, weighted_error
from cardigan.data.masks import MASKS, draw_holes
from cardigan.errors import DataError, RecipeError
from cardigan.evaluation import hole_psnr, hole_ssim
from cli_runs import make_runs, refused, succeeds, write_pictures
from small import play, small_splits, small_trainer

FAST = CompletionOptions(steps=40, restarts=2)


def images_like(n: int = 3, channels: int = 2, height: int = 9, width: int = 7, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, channels, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def holes_like(kind: str, n: int, height: int = 9, width: int = 7) -> torch.Tensor:
    return draw_holes(kind, n, height, width, torch.Generator().manual_seed(1))  # type: ignore[arg-type]


def trained(folder: Path, kind: str = "gan", rounds: int = 60, **changes: object) -> Model:
    trainer = play(small_trainer(folder, kind, **changes), rounds)
    trainer.deploy()
    return cardigan.load(folder, "cpu")


# ---- blending ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MASKS)
def test_blending_solves_the_paper_s_equations(kind: str) -> None:
    images, guides, holes = images_like() * 0.1, images_like(seed=1) * 0.1, holes_like(kind, 3)
    blended = blend(images, guides, holes)
    assert torch.equal(blended[~holes.expand_as(images)], images[~holes.expand_as(images)])
    operator = laplacian(9, 7)
    residual = torch.from_numpy(operator @ (blended - guides).double().flatten(0, 1).flatten(1).numpy().T)
    inside = holes.expand_as(images).flatten(0, 1).flatten(1).T
    assert residual[inside].abs().max() < 1e-6


def test_blending_gives_the_guide_where_it_agrees_with_the_image() -> None:
    images, holes = images_like(), holes_like("center", 3)
    torch.testing.assert_close(blend(images.masked_fill(holes, 0.3), images, holes), images, atol=1e-6, rtol=0)
    shifted = blend(images * 0.5, images * 0.5 + 0.2, holes)  # a constant has no gradient
    torch.testing.assert_close(shifted, images * 0.5, atol=1e-6, rtol=0)


def test_a_linear_image_is_harmonic() -> None:
    ramp = torch.linspace(-0.8, 0.8, 7).expand(1, 1, 9, 7)
    holes = holes_like("center", 1)
    torch.testing.assert_close(harmonic(ramp.masked_fill(holes, 1.0), holes), ramp, atol=1e-6, rtol=0)


def test_the_laplacian_does_not_wrap_at_the_border() -> None:
    matrix = laplacian(3, 4).toarray()
    assert np.allclose(matrix, matrix.T)
    assert np.allclose(matrix.sum(1), 0)
    assert sorted(matrix.diagonal()) == [2.0] * 4 + [3.0] * 6 + [4.0] * 2
    assert matrix[3, 4] == 0  # the end of one row and the beginning of the next


def test_a_mask_is_factorised_once() -> None:
    factorised.cache_clear()
    images = images_like(8)
    for _ in range(3):
        blend(images, images, holes_like("center", 8))
    assert factorised.cache_info().misses == 1


# ---- the losses ---------------------------------------------------------------------------------------------------


def test_context_weights_are_the_paper_s() -> None:
    hole = torch.zeros(1, 1, 15, 15, dtype=torch.bool)
    hole[0, 0, 7, 7] = True
    weights = context_weights(hole, window=7)[0, 0]
    near = torch.zeros(15, 15)
    near[4:11, 4:11] = 1
    near[7, 7] = 0
    torch.testing.assert_close(weights, near / near.sum())  # none in the hole, none farther than 3 pixels
    flat = context_weights(hole, weighted=False)[0, 0]
    torch.testing.assert_close(flat, (~hole[0, 0]).float() / (15 * 15 - 1))


def test_a_pixel_with_more_missing_around_it_weighs_more_and_the_border_counts_what_is_there() -> None:
    hole = torch.zeros(1, 1, 9, 9, dtype=torch.bool)
    hole[..., :3, :3] = True
    weights = context_weights(hole, window=3)[0, 0]
    assert weights[0, 3] > weights[3, 3] > 0
    assert weights[0, 3] / weights[3, 3] == pytest.approx((2 / 6) / (1 / 9))


def test_the_context_loss_is_a_mean_over_known_numbers() -> None:
    images, holes = images_like(), holes_like("half", 3)
    loss = weighted_error(images + 0.25, images, context_weights(holes))
    torch.testing.assert_close(loss, torch.full((3,), 0.25))


# ---- completion ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["gan", "wgan", "vae"])
def test_every_generator_completes(tmp_path: Path, kind: str) -> None:
    changes = {"game": {"conditional": False}} if kind == "gan" else {}
    model, test = trained(tmp_path, kind, 150, **changes), small_splits().test
    images, holes = test.images(torch.arange(6)), draw_holes("center", 6, 8, 8)
    before = {key: tensor.clone() for key, tensor in model.game.state_dict().items() if not tensor.is_meta}
    done = model.inpaint(images, holes[:, 0], FAST)
    after = model.game.state_dict()
    assert all(torch.equal(after[key], tensor) for key, tensor in before.items())
    outside = ~holes.expand_as(images)
    assert torch.equal(done.images[outside], images[outside])
    assert done.images.abs().max() <= 1
    start = Search(model.game, FAST, torch.device("cpu"), None)  # type: ignore[arg-type]
    weights = context_weights(holes)
    seen = images.masked_fill(holes, 0.0)
    first = start.starts(seen, weights, harmonic(seen, holes))[:, 0]
    with torch.no_grad():
        at_first = start.loss(first, start.decode(first), images, weights)
    assert (done.losses <= at_first + 1e-5).all()
    assert done.losses.mean() < at_first.mean()
    torch.testing.assert_close(model.decode(done.latents), done.generated, atol=1e-4, rtol=0)


def unconditional(folder: Path, rounds: int = 60, **game: object) -> Model:
    return trained(folder, "gan", rounds, game={"conditional": False, **game})


def test_the_model_samples_as_before(tmp_path: Path) -> None:
    splits = small_splits(channels=2)  # of one channel, the generator's weights lie the same in every layout
    model = trained(tmp_path, splits=splits, game={"conditional": False})
    before = model.sample(5)
    strides = [parameter.stride() for parameter in model.game.generator.parameters()]
    model.inpaint(splits.test.images(torch.arange(2)), draw_holes("center", 1, 8, 8)[0, 0], FAST)
    assert torch.equal(model.sample(5), before)
    assert [parameter.stride() for parameter in model.game.generator.parameters()] == strides


def test_what_is_under_the_hole_has_no_influence(tmp_path: Path) -> None:
    model = unconditional(tmp_path)
    images, holes = small_splits().test.images(torch.arange(4)), draw_holes("pattern", 4, 8, 8)
    other = torch.where(holes, -images.flip(0), images)
    first, second = (model.inpaint(x, holes[:, 0], FAST) for x in (images, other))
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.latents, second.latents)
    assert torch.equal(classical.total_variation(images, holes), classical.total_variation(other, holes))
    assert torch.equal(classical.biharmonic(images, holes), classical.biharmonic(other, holes))
    train = small_splits().train
    assert torch.equal(classical.nearest(images, holes, train), classical.nearest(other, holes, train))


@pytest.mark.parametrize("critic", ["batch", "spectral", "progressive"])
def test_a_result_does_not_depend_on_its_batch(tmp_path: Path, critic: str) -> None:
    """Whether a batch's normalisation, or its deviation, is what a critic looks at in training."""
    if critic == "progressive":
        play(small_trainer(tmp_path, "progressive"), 8).deploy()
        model = cardigan.load(tmp_path, "cpu")
    else:
        discriminator = {"name": "dcgan", "width": 4, "normalisation": critic}
        penalties = {"r1": 0.0, "r2": 0.0, "objective": "non-saturating"}
        model = unconditional(tmp_path, discriminator=discriminator, **penalties)
    images, holes = small_splits().test.images(torch.arange(12)), draw_holes("center", 12, 8, 8)
    together = model.inpaint(images, holes[:, 0], FAST)
    alone = [model.inpaint(images[i : i + 1], holes[i, 0], FAST) for i in range(12)]
    # A grown model's search is so short of its end that rounding moves it: there losses are compared, less closely.
    grown = critic == "progressive"
    if not grown:
        torch.testing.assert_close(torch.cat([one.images for one in alone]), together.images, atol=1e-3, rtol=0)
    losses = torch.cat([one.losses for one in alone])
    torch.testing.assert_close(losses, together.losses, atol=1e-3 if grown else 1e-4, rtol=0)


def test_latents_stay_where_the_prior_s_are(tmp_path: Path) -> None:
    images, holes = small_splits().test.images(torch.arange(4)), draw_holes("center", 4, 8, 8)
    eager = CompletionOptions(steps=40, lr=2.0)
    normal = unconditional(tmp_path / "normal", 2).inpaint(images, holes[:, 0], eager).latents
    assert normal.norm(dim=1).max() <= 8**0.5 + 1e-4
    latent = {"size": 8, "distribution": "uniform"}
    uniform = unconditional(tmp_path / "uniform", 2, latent=latent).inpaint(images, holes[:, 0], eager).latents
    assert uniform.abs().max() <= 1


def test_a_sample_of_the_model_is_found_again(tmp_path: Path) -> None:
    model = unconditional(tmp_path)
    images, holes = model.sample(4, seed=5), draw_holes("half", 4, 8, 8)
    found = model.inpaint(images, holes[:, 0], CompletionOptions(prior=0.0, steps=600, improvement=1e-4))
    mean = small_splits().train.images(torch.arange(64)).mean(0, keepdim=True).expand_as(images)
    assert hole_psnr(found.images, images, holes).mean() > hole_psnr(mean, images, holes).mean() + 6


def test_the_search_ends_when_it_has_converged(tmp_path: Path) -> None:
    model = unconditional(tmp_path, 2)
    images, holes = small_splits().test.images(torch.arange(4)), draw_holes("center", 4, 8, 8)
    done = model.inpaint(images, holes[:, 0], CompletionOptions(steps=5000, improvement=0.5))
    assert (done.steps < 500).all()
    assert (model.inpaint(images, holes[:, 0], CompletionOptions(steps=7)).steps == 7).all()


def test_a_conditional_model_is_told_the_class(tmp_path: Path) -> None:
    model = trained(tmp_path, rounds=2)
    images, holes = small_splits().test.images(torch.arange(2)), draw_holes("center", 2, 8, 8)
    assert model.inpaint(images, holes[:, 0], FAST, label="dim").images.shape == images.shape
    with pytest.raises(RecipeError, match="name the images' class, dim, bright"):
        model.inpaint(images, holes[:, 0], FAST)
    with pytest.raises(RecipeError, match="no class 'blue'"):
        model.inpaint(images, holes[:, 0], FAST, label="blue")


def test_a_window_has_a_middle() -> None:
    with pytest.raises(ValueError, match="odd number"):
        CompletionOptions(window=4)


def test_masks_without_sense_are_refused(tmp_path: Path) -> None:
    model, images = unconditional(tmp_path, 1), torch.zeros(2, 1, 8, 8)
    with pytest.raises(DataError, match="all over"):
        model.inpaint(images, torch.ones(8, 8, dtype=torch.bool))
    with pytest.raises(DataError, match="no hole"):
        model.inpaint(images, torch.zeros(8, 8, dtype=torch.bool))
    with pytest.raises(DataError, match=r"masks of shape \(4, 4\) do not fit images of 8 x 8"):
        model.inpaint(images, torch.ones(4, 4, dtype=torch.bool))
    with pytest.raises(ValueError, match="expected shape"):
        model.inpaint(torch.zeros(2, 3, 8, 8), torch.ones(8, 8, dtype=torch.bool))


# ---- other fillings -----------------------------------------------------------------------------------------------------


def variation(images: torch.Tensor) -> float:
    down, across = torch.zeros_like(images), torch.zeros_like(images)
    down[:, :, :-1], across[..., :-1] = images.diff(dim=2), images.diff(dim=3)
    return (down.square() + across.square()).sqrt().sum().item()


def test_total_variation_is_least() -> None:
    """No small change of the hole lowers it; and a step edge, which bending would smear, goes on through the hole."""
    images, holes = images_like(1, 1), holes_like("center", 1)
    filled = classical.total_variation(images, holes, steps=4000)
    least = variation(filled)
    for seed in range(20):
        change = 0.02 * images_like(1, 1, seed=seed + 5)
        assert variation(torch.where(holes, filled + change, filled)) > least - 1e-4
    step = torch.where(torch.arange(9) < 4, -0.9, 0.9).expand(1, 1, 9, 9)
    hole = draw_holes("center", 1, 9, 9)
    torch.testing.assert_close(classical.total_variation(step, hole, steps=3000), step, atol=0.02, rtol=0)


def test_the_nearest_training_image_is_found_by_what_is_known() -> None:
    splits = small_splits()
    images = splits.train.images(torch.arange(5))
    holes = draw_holes("half", 5, 8, 8, torch.Generator().manual_seed(0))
    torch.testing.assert_close(classical.nearest(images, holes, splits.train), images, atol=1e-6, rtol=0)


# ---- scores --------------------------------------------------------------------------------------------------------------


def test_scores_are_of_the_hole_alone() -> None:
    images, holes = images_like(3, 1, 24, 24), draw_holes("center", 3, 24, 24)
    filled = images.masked_fill(holes, 0.0)
    change = torch.where(holes, torch.zeros(()), torch.ones(()))
    assert torch.equal(hole_psnr(filled + change, images, holes), hole_psnr(filled, images, holes))
    expected = [10 * np.log10(4 / (images[i][holes[i]] ** 2).double().mean().item()) for i in range(3)]
    torch.testing.assert_close(hole_psnr(filled, images, holes), torch.tensor(expected, dtype=torch.float64))
    for i, value in enumerate(hole_ssim(filled, images, holes)):
        x, y = (a[i, 0].double().numpy() + 1 for a in (filled, images))
        shape = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 2.0}
        _, every = structural_similarity(x, y, full=True, **shape)
        assert value.item() == pytest.approx(every[holes[i, 0].numpy()].mean(), abs=1e-6)


# ---- the command ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_runs(tmp_path_factory.mktemp("runs"))


SEARCH = ("-n", "6", "--steps", "20", "--restarts", "2")


def test_inpaint_writes_pictures_and_numbers(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    against = ("--against", "all", "--network-minutes", "0.01")
    text = succeeds("inpaint", runs / "gan", "digits", "--out", out, *SEARCH, *against, "--json", tmp_path / "a.json")
    assert all(f"\n{name} " in text for name in ("blended", "pasted", *RIVALS))
    assert len(list(out.glob("test_*.png"))) == 6
    assert Image.open(out / "comparison.png").width > 9 * 64
    told = json.loads((tmp_path / "a.json").read_text())
    assert told["mask"] == "center"
    assert told["scores"].keys() == {"blended", "pasted", *RIVALS}
    again = succeeds("inpaint", runs / "gan", "digits", "--out", tmp_path / "b", *SEARCH, *against)
    assert again.splitlines()[-8:-2] == text.splitlines()[-8:-2]  # the network was kept, and everything is repeated


def test_known_pixels_are_written_as_they_were_read(runs: Path, tmp_path: Path) -> None:
    pictures, mask = write_pictures(tmp_path / "in", 20), np.zeros((8, 8), np.uint8)
    mask[1:5, 3:6] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    succeeds("inpaint", runs / "vae", pictures, "--mask", tmp_path / "mask.png", "--out", tmp_path / "out", *SEARCH[2:])
    written = sorted((tmp_path / "out").glob("t*_*.png"))
    assert len(written) == 20
    for path in written:
        before = np.asarray(Image.open(pictures / f"{path.stem[-3:]}.png"))
        assert np.array_equal(np.asarray(Image.open(path))[mask == 0], before[mask == 0])


def test_other_images_are_converted_and_it_is_said(runs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "colour"
    folder.mkdir()
    for i in range(12):
        pixels = np.random.default_rng(i).integers(0, 256, (20, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    text = succeeds("inpaint", runs / "gan", folder, "--out", tmp_path / "out", *SEARCH)
    assert "were cut and resized to 8x8" in text
    assert "of mode RGB were converted to grey" in text


@pytest.mark.parametrize("place", ["", "photo.png"])
def test_one_picture_is_enough(runs: Path, tmp_path: Path, place: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    Image.new("RGB", (30, 30), "teal").save(folder / "photo.png")
    text = succeeds("inpaint", runs / "gan", folder / place, "--out", tmp_path / "out", "--steps", "3")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"test_000000_photo.png", "comparison.png"}
    assert "images of 30x30 were cut and resized to 8x8" in text
    assert "converted to grey" in text
    succeeds("reconstruct", runs / "vae", folder / place, "--out", tmp_path / "rebuilt")
    (folder / "photo.png").write_bytes(b"no picture")
    assert "cannot read" in refused("inpaint", runs / "gan", folder / place, "--out", tmp_path / "other")


def test_inpaint_refuses_what_it_cannot_do(runs: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "out", *SEARCH)
    assert "cannot sample" in refused("inpaint", runs / "autoencoder", "digits", *out)
    assert "name the images' class" in refused("inpaint", runs / "classes", "digits", *out)
    assert "there is no mask middle" in refused("inpaint", runs / "gan", "digits", "--mask", "middle", *out)
    assert "no filling 'magic'" in refused("inpaint", runs / "gan", "digits", "--against", "magic", *out)
    Image.new("L", (8, 8), 255).save(tmp_path / "white.png")
    assert "all over" in refused("inpaint", runs / "gan", "digits", "--mask", tmp_path / "white.png", *out)
    Image.new("L", (8, 8)).save(tmp_path / "black.png")
    assert "no hole" in refused("inpaint", runs / "gan", "digits", "--mask", tmp_path / "black.png", *out)
    Image.new("L", (9, 20)).save(tmp_path / "tall.png")
    assert "are 8 x 8" in refused("inpaint", runs / "gan", "digits", "--mask", tmp_path / "tall.png", *out)
    network = refused("inpaint", runs / "gan", "digits", "--mask", tmp_path / "tall.png", "--against", "network", *out)
    assert "for holes of one kind" in network
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    assert "not empty" in refused("inpaint", runs / "gan", "digits", "--out", tmp_path / "full")
    assert not (tmp_path / "out").exists()


def test_the_comparison_shows_images_of_both_splits(runs: Path, tmp_path: Path) -> None:
    """Of a folder of seven, whose test split has one or two."""
    folder = write_pictures(tmp_path / "pictures", 7)
    succeeds("inpaint", runs / "gan", folder, "--mask", "center", "--steps", "1", "--out", tmp_path / "out")
    with Image.open(tmp_path / "out" / "comparison.png") as picture:
        assert picture.height == 14 + 7 * 66 - 2

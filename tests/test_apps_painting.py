"""Pictures of sentences: the same noise for each of them, in files, on the way between two, and what other commands do."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import cardigan
from cardigan.apps.interpolate import said_of
from cardigan.apps.model import CHUNK, Model
from cardigan.apps.painting import reading_notes, rows
from cardigan.errors import DataError, RecipeError, RunError
from cardigan.games import StackGAN
from cardigan.networks.text import CharEncoder, symbols
from cardigan.training.model import save_model
from cli_runs import refused, succeeds, write_pictures
from small import play, settle, small_trainer, told_blobs

DIM, BRIGHT = "a dim blob", "a bright blob"


def made(folder: Path, rounds: int = 8, channels: int = 1, **game: object) -> Path:
    """A run whose networks tell sentences and noises apart, as after a long training."""
    trainer = play(small_trainer(folder, "stackgan", splits=told_blobs(channels), game=game), rounds)
    trainer.deploy()
    model = cardigan.load(folder, "cpu")
    assert isinstance(model.game, StackGAN)
    enliven(model.game)
    save_model(folder / "model", model.config, model.game)
    return folder


def enliven(game: StackGAN) -> None:
    torch.manual_seed(0)
    for weight in game.generator.parameters():
        if weight.dim() > 1:
            torch.nn.init.kaiming_normal_(weight)
    settle(game.generator)
    norm = torch.nn.BatchNorm1d(game.text.dims, affine=False, momentum=None)
    assert isinstance(game.text, CharEncoder)
    norm(game.text.code(symbols([DIM, BRIGHT, "something else", "blob number 3"], 201)))
    game.text.absorb(norm)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("runs") / "whole")


@pytest.fixture(scope="module")
def model(run: Path) -> Model:
    return cardigan.load(run, "cpu")


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def close(first: torch.Tensor, second: torch.Tensor) -> None:
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)


def pixels(path: str | Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def levels(image: torch.Tensor) -> np.ndarray:
    return ((image + 1) * 127.5).round().numpy()


def feed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))


# ---- from Python -----------------------------------------------------------------------------------------------------


def test_every_sentence_has_the_same_noise(model: Model) -> None:
    painted = model.paint([DIM, BRIGHT], 3, seed=5)
    assert painted.shape == (2, 3, 1, 16, 16)
    assert painted.abs().max() <= 1
    latents, vectors = model.latents_of(range(3), seed=5), model.game.text.embed([DIM, BRIGHT])
    for row, vector in zip(painted, vectors, strict=True):
        close(row, model.game.paint(latents, vector.expand(3, -1)))
    for other in (painted[1], painted[0].roll(1, 0), model.paint([DIM], 3, seed=6)[0]):
        assert (painted[0] - other).abs().mean() > 0.05


def test_a_picture_depends_neither_on_how_many_there_are_nor_on_other_sentences(model: Model) -> None:
    many = model.paint([DIM, BRIGHT, "something else"], CHUNK + 3)
    close(model.paint([BRIGHT], 2)[0], many[1, :2])
    close(model.paint([f"  {BRIGHT.upper()}\n"], CHUNK + 3)[0, -1], many[1, -1])


def test_truncation_makes_the_pictures_of_a_sentence_alike(model: Model) -> None:
    spread = [model.paint([DIM], 64, truncation=t)[0].std(0).mean() for t in (0.1, 1.0, None)]
    assert spread[0] < spread[1] < spread[2]
    with pytest.raises(RecipeError, match="give a positive one"):
        model.paint([DIM], truncation=0.0)


def test_truncation_leaves_the_choice_of_a_sentence_as_it_is(model: Model) -> None:
    free, narrow = model.latents_of(range(200)), model.latents_of(range(200), truncation=0.1)
    assert torch.equal(narrow[:, -1], free[:, -1])
    assert narrow[:, :-1].abs().max() <= 0.1
    assert len(model.game.remembered(narrow).unique(dim=0)) == 2


def test_stages(model: Model) -> None:
    small, large = model.paint_in_stages([DIM, BRIGHT], 2)
    assert small.shape == (2, 2, 1, 8, 8)
    close(large, model.paint([DIM, BRIGHT], 2))
    laid = rows((small, large)).unflatten(0, (2, 2, 2))  # sentence, stage, noise
    assert torch.equal(laid[:, 1], large)
    assert torch.equal(laid[:, 0, :, :, 1::2, ::2], small)


def test_the_way_between_two_sentences(model: Model) -> None:
    way = model.paint_between(DIM, BRIGHT, 5, 2, seed=3)
    assert way.shape == (5, 2, 1, 16, 16)
    close(way[[0, -1]], model.paint([DIM, BRIGHT], 2, seed=3))
    first, last = model.painter().read([DIM, BRIGHT])
    middle = (first + last) * (first.norm() / (first + last).norm())
    close(way[2], model.painter().painted(model.latents_of(range(2), seed=3), middle.expand(2, -1)))
    close(model.paint_between(DIM, DIM, 3), model.paint([DIM]).expand(3, -1, -1, -1, -1))


@pytest.mark.parametrize("text", ["x " * 5_000, "a Vogel 漢字 🐦", "\x00\x1b[31m", "\ud800", "́"])
def test_whatever_is_said_is_painted(text: str, model: Model) -> None:
    assert model.paint([text]).isfinite().all()


@pytest.mark.parametrize(
    ("texts", "said"),
    [([""], "the sentence is empty"), ([DIM, " \n"], "sentence 2 of 2 is empty: say what"), ([], "give at least one")],
)
def test_nothing_said_is_refused(texts: list[str], said: str, model: Model) -> None:
    for verb in (model.paint, model.paint_in_stages, model.painter().read):
        with pytest.raises(DataError, match=said):
            verb(texts)


def test_one_string_is_no_list_of_sentences(model: Model) -> None:
    with pytest.raises(ValueError, match="not one string"):
        model.paint(DIM)
    with pytest.raises(ValueError, match="at least 1 picture"):
        model.paint([DIM], 0)
    with pytest.raises(ValueError, match="at least 2"):
        model.paint_between(DIM, BRIGHT, 1)


def test_other_models_do_not_paint(tmp_path: Path, model: Model) -> None:
    trainer = small_trainer(tmp_path / "gan", "gan")
    trainer.deploy()
    other = cardigan.load(tmp_path / "gan", "cpu")
    assert (model.can_paint, other.can_paint) == (True, False)
    for work in (lambda: other.paint([DIM]), lambda: other.paint_between(DIM, BRIGHT)):
        with pytest.raises(RunError, match="recipe small-gan does not paint from sentences: train with stackgan"):
            work()
    assert "does not paint" in refused("paint", tmp_path / "gan", DIM, "--out", "x.png")
    assert "does not paint" in refused("paint", tmp_path / "gan", DIM, BRIGHT, "--between", "3", "--out", "x.gif")
    assert not Path("x.png").exists()


# ---- at the command line ---------------------------------------------------------------------------------------------


def test_a_grid_has_a_row_for_each_sentence(run: Path, model: Model) -> None:
    printed = succeeds("paint", run, BRIGHT, DIM, "-n", "3", "--seed", "4", "--out", "grid.png")
    assert printed.splitlines() == [f"row 1: {BRIGHT}", f"row 2: {DIM}", "6 pictures in grid.png"]
    sheet, pictures = pixels("grid.png"), model.paint([BRIGHT, DIM], 3, seed=4)
    assert sheet.shape == (2 * 34 - 2, 3 * 34 - 2)
    for row in range(2):
        for column in range(3):
            tile = sheet[34 * row : 34 * row + 32 : 2, 34 * column : 34 * column + 32 : 2]
            assert np.abs(tile - levels(pictures[row, column, 0])).max() <= 1
    succeeds("paint", run, BRIGHT, DIM, "-n", "3", "--seed", "4", "--out", "array.npy")
    close(torch.from_numpy(np.load("array.npy")), pictures)


def test_stage_one_is_shown_above(run: Path, model: Model) -> None:
    succeeds("paint", run, BRIGHT, DIM, "-n", "3", "--stages", "--out", "grid.png")
    sheet, (small, large) = pixels("grid.png"), model.paint_in_stages([BRIGHT, DIM], 3)
    assert sheet.shape == (4 * 34 - 2, 3 * 34 - 2)
    assert np.abs(sheet[68:100:4, :32:4] - levels(small[1, 0, 0])).max() <= 1
    assert np.abs(sheet[102:134:2, 34:66:2] - levels(large[1, 1, 0])).max() <= 1
    assert "two sizes" in refused("paint", run, DIM, "--stages", "--out", "x.npy")


def test_a_folder_has_single_files_and_says_what_they_show(run: Path, model: Model) -> None:
    texts = [DIM, 'a "bright", blob 漢字']
    printed = succeeds("paint", run, *texts, "-n", "2", "--stages", "--out", "new/painted")
    assert printed.splitlines()[-1] == "4 pictures in new/painted"
    with open("new/painted/index.csv", encoding="utf-8", newline="") as file:
        index = list(csv.DictReader(file))
    assert [(row["caption"], row["number"]) for row in index] == [(text, k) for text in texts for k in "01"]
    small, large = (stage.flatten(0, 1) for stage in model.paint_in_stages(texts, 2))
    for row, before, after in zip(index, small, large, strict=True):
        with Image.open(f"new/painted/{row['file']}") as picture:
            assert picture.text["Description"] == row["caption"]
            assert np.abs(np.asarray(picture) - levels(after[0])).max() <= 1
        assert np.abs(pixels(f"new/painted/{Path(row['file']).stem}_stage1.png") - levels(before[0])).max() <= 1
    assert len(list(Path("new/painted").iterdir())) == 9


def test_many_sentences_are_painted_a_few_at_a_time(run: Path, model: Model) -> None:
    texts = [f"blob number {k}" for k in range(7)]
    Path("many.txt").write_text("\n".join(texts))
    succeeds("paint", run, "--file", "many.txt", "-n", "30", "--out", "painted")
    expected = model.paint(texts, 30)
    for text, number in ((0, 0), (3, 29), (6, 7)):
        picture = pixels(f"painted/{text:06d}_{number:06d}.png")
        assert np.abs(picture - levels(expected[text, number, 0])).max() <= 1


def test_sentences_of_a_file_and_of_standard_input(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("told.txt").write_bytes(f"\ufeff{DIM}\r\n\r\n  {BRIGHT} \r\n".encode())
    printed = succeeds("paint", run, "a blob", "--file", "told.txt", "-n", "1", "--out", "a.png")
    assert [line.partition(": ")[2] for line in printed.splitlines()[:3]] == ["a blob", DIM, BRIGHT]
    feed(monkeypatch, f"{DIM}\n{BRIGHT}".encode())
    succeeds("paint", run, "--file", "-", "-n", "1", "--out", "b.png")
    assert np.array_equal(pixels("a.png")[34:], pixels("b.png"))


def test_transparency_stays(tmp_path: Path) -> None:
    made(tmp_path / "rgba", channels=4)
    succeeds("paint", "rgba", DIM, "--stages", "--out", "x.png")
    succeeds("paint", "rgba", DIM, "-n", "1", "--out", "files")
    assert pixels("x.png").shape == (66, 8 * 34 - 2, 4)
    expected = levels(cardigan.load("rgba", "cpu").paint([DIM])[0, 0]).transpose(1, 2, 0)
    assert np.abs(pixels("files/000000_000000.png") - expected).max() <= 1
    for name in ("x.jpg", "x.gif"):
        way = () if name == "x.jpg" else (BRIGHT, "--between", "3")
        succeeds("paint", "rgba", DIM, *way, "-n", "2", "--out", name)


def test_a_film_goes_there_and_back(run: Path, model: Model) -> None:
    assert "10 pictures in x.gif" in succeeds("paint", run, DIM, BRIGHT, "--between", "5", "-n", "2", "--out", "x.gif")
    with Image.open("x.gif") as film:
        frames = [np.asarray(frame.convert("L"), float) for frame in each_frame(film)]
    assert len(frames) == 8
    expected = model.paint_between(DIM, BRIGHT, 5, 2)
    for place, step in enumerate((0, 1, 2, 3, 4, 3, 2, 1)):
        assert np.abs(frames[place][:64:4, :64:4] - levels(expected[step, 0, 0])).max() < 4


def each_frame(film: Image.Image) -> list[Image.Image]:
    frames = []
    for number in range(getattr(film, "n_frames", 1)):
        film.seek(number)
        frames.append(film.copy())
    return frames


def test_a_sheet_of_the_way(run: Path, model: Model) -> None:
    words = ("paint", run, DIM, BRIGHT, "--between", "5", "-n", "2", "--out")
    succeeds(*words, "x.png")
    sheet, way = pixels("x.png"), model.paint_between(DIM, BRIGHT, 5, 2)
    assert sheet.shape == (2 * 34 - 2, 5 * 34 - 2)
    assert np.abs(sheet[34:66:2, 68:100:2] - levels(way[2, 1, 0])).max() <= 1
    succeeds(*words, "x.npy")
    close(torch.from_numpy(np.load("x.npy")), way)


def test_what_is_not_read_is_told(run: Path) -> None:
    long = f"{DIM} " * 1_000
    odd = ("a Réd 漢字 bird", "ворона", "\x1b[31m red \udcff")
    printed = succeeds("paint", run, long[:10_000], *odd, DIM, "-n", "1", "--out", "a.png")
    assert "note: the model's encoder reads 201 characters, and not the rest of “a dim blob" in printed
    assert "note: the model's encoder does not know 漢字ворна" in printed
    assert ", in “a Réd 漢字 bird”, “ворона”, “" in printed
    assert "\x1b" not in printed
    assert max(map(len, printed.splitlines())) < 160
    assert succeeds("paint", run, *odd, "-n", "1", "--out", "odd").endswith("3 pictures in odd\n")


def test_notes_on_sentences(model: Model) -> None:
    assert list(reading_notes(model, [DIM, "a " + "x" * 199])) == []
    assert ["reads 201" in note for note in reading_notes(model, [DIM, "a " + "x" * 200])] == [True]
    strange = "".join(map(chr, range(0x4E00, 0x4E00 + 10_000)))
    unknown, cut = reading_notes(model, [f"{k} {strange}" for k in range(5)])
    assert "and 2 more" in unknown
    assert max(len(unknown), len(cut)) < 400


def test_a_model_that_has_not_come_to_stage_two_says_so(tmp_path: Path) -> None:
    made(tmp_path / "young", rounds=2)
    assert "note: Stage II has not begun to learn" in succeeds("paint", "young", DIM, "--out", "x.png")
    made(tmp_path / "one", rounds=2, stages=1)
    assert "note" not in succeeds("paint", "one", DIM, "--out", "y.png")
    assert "paints in one stage: leave --stages out" in refused("paint", "one", DIM, "--stages", "--out", "z.png")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "say what is to be seen, or give --file"),
        (("",), "the sentence is empty"),
        ((DIM, "  "), "sentence 2 of 2 is empty"),
        (("--file", "gone.txt"), "gone.txt cannot be read: No such file"),
        (("--file", "."), "cannot be read: Is a directory"),
        (("--file", "blank.txt"), "blank.txt holds no sentence"),
        (("--file", "picture.txt"), "picture.txt is no UTF-8 text"),
        ((DIM, "--between", "3"), "give two, not 1"),
        ((DIM, BRIGHT, "a blob", "--between", "3"), "give two, not 3"),
        ((DIM, BRIGHT, "--between", "3", "--stages"), "give one of the two"),
        ((DIM, "--truncation", "0"), "give a positive one"),
        ((DIM, "-n", "20000000"), "are too many for x.png: give fewer"),
    ],
)
def test_refused(words: tuple[str, ...], said: str, run: Path) -> None:
    Path("blank.txt").write_text(" \n\n")
    Path("picture.txt").write_bytes(b"\x89PNG\r\n\x1a\n\xff")
    assert said in refused("paint", run, *words, "--out", "x.png")
    assert not Path("x.png").exists()


@pytest.mark.parametrize("way", [(), (BRIGHT, "--between", "3")])
def test_nothing_is_written_over_and_no_odd_place(way: tuple[str, ...], run: Path) -> None:
    Path("full").mkdir()
    for name in ("x.png", "x.webp", "full/x.png"):
        Path(name).write_text("mine")
        assert f"{name} exists: choose another --out" in refused("paint", run, DIM, *way, "--out", name)
        assert Path(name).read_text() == "mine"
    assert "cannot write" in refused("paint", run, DIM, *way, "--out", "x.txt")
    assert "is not a folder" in refused("paint", run, DIM, *way, "--out", "x.png/y.png")
    assert ("a film" if way else "not empty") in refused("paint", run, DIM, *way, "--out", "full")
    if not way:
        assert "cannot write y.gif" in refused("paint", run, DIM, "--out", "y.gif")


# ---- other commands on such a model ----------------------------------------------------------------------------------


def test_samples_are_of_remembered_sentences(run: Path, model: Model) -> None:
    succeeds("sample", run, "-n", "5", "--out", "x.npy")
    latents = model.latents_of(range(5))
    close(torch.from_numpy(np.load("x.npy")), model.painter().painted(latents, model.game.remembered(latents)))
    assert "told sentences, not classes" in refused("sample", run, "--label", "dim", "--out", "y.png")


def test_a_walk_goes_from_the_sentence_of_one_sample_to_that_of_the_next(run: Path, model: Model) -> None:
    told = said_of(model, model.latents_of(range(12)))
    first, other = 0, next(k for k in range(12) if not torch.equal(told[k], told[0]))
    succeeds("interpolate", run, "--numbers", f"{first},{other}", "--frames", "40", "--out", "x.png")
    with Image.open("x.png") as film:
        frames = torch.stack([torch.from_numpy(np.array(f.convert("L"), float))[::8, ::8] for f in each_frame(film)])
    for place, sample in zip((0, 20), model.pick([first, other]), strict=True):
        assert np.abs(frames[place].numpy() - levels(sample[0])).max() <= 1
    steps = frames.diff(dim=0).abs().mean((1, 2))
    whole = (frames[20] - frames[0]).abs().mean()
    assert steps.max() < whole / 3, "a jump between sentences would be most of the way"
    succeeds("interpolate", run, "-n", "2", "--frames", "6", "--out", "y.gif")
    succeeds("interpolate", run, "--grid", "3", "--out", "y.npy")
    close(torch.from_numpy(np.load("y.npy"))[[0, 2, 6, 8]], model.pick(range(4)))
    assert "told sentences" in refused("interpolate", run, "--label", "dim", "--out", "z.gif")


def test_inversion_and_completion_stay_with_a_sentence(run: Path, model: Model) -> None:
    images = model.sample(3, seed=9)
    options = cardigan.InversionOptions(steps=10, restarts=2, prior=0.1)
    found = model.invert(images, options)
    close(model.decode(found.latents), found.images)
    shorter = model.invert(images, options.model_copy(update={"steps": 1}))
    assert (found.losses < shorter.losses).all()
    bank = model.generative().draw_latents(512, cardigan.training.randomness.generator(0, "completion"))
    assert torch.isin(found.latents[:, -1], bank[:, -1]).all()
    write_pictures(Path("pictures"), 3, 16, 16)
    few = ("--steps", "3", "--restarts", "1")
    succeeds("invert", run, "pictures", "--out", "inverted", *few)
    succeeds("inpaint", run, "pictures", "--out", "completed", *few)


def test_a_run_of_the_command_line_paints_and_is_measured() -> None:
    write_pictures(Path("told"), 160, 16, 16)
    told = ["file,caption", *(f"{k:03d}.png,{'a quiet' if k % 2 else 'loud'} noise {k}" for k in range(160))]
    Path("told/captions.csv").write_text("\n".join(told))
    words = ["game.generator.width=4", "game.generator.max_width=8", "game.discriminator.width=4", "data.size=16"]
    words += ['data.encoder={name="char-cnn-rnn", dims=6, widths=[4,4,4], steps=2}', "log.evaluations=0", "batch=16"]
    settings = [word for setting in words for word in ("--set", setting)]
    succeeds(
        "train", "told", "--recipe", "stackgan-small", "--out", "run", "--images", "64", "--no-evaluate", *settings
    )
    Path("told/captions.csv").rename("captions.csv")  # the encoder has come with the model
    succeeds("paint", "run", "a quiet noise", "--out", "x.png")
    Path("captions.csv").rename("told/captions.csv")
    assert "FD(random)" in succeeds("evaluate", "run", "--features", "random", "--metrics", "fd", "-n", "20")
    assert "encoder" in refused("reconstruct", "run", "told", "--out", "y")
    assert "does not translate" in refused("translate", "run", "told", "--out", "y")

"""The lab: experiments hold in small, say so when they do not, and leave tables, pictures and a page."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image

from cardigan.apps.lab import (
    EXPERIMENTS,
    critics,
    density,
    discriminator,
    duality,
    dynamics,
    experiment,
    modes,
    notebook,
    objectives,
    smoothness,
    vanishing,
)
from cardigan.apps.lab import findings as findings_module
from cardigan.apps.lab.findings import Findings, Row
from cardigan.data.builtin import BUILTIN
from cardigan.errors import RecipeError, RunError
from cardigan.objectives import OBJECTIVES
from cardigan.theory.divergences import jensen_shannon
from cardigan.theory.transport import emd, potentials
from cli_runs import cardigan, refused, succeeds


def quiet(text: str) -> None:
    """Says nothing."""


def failing(rows: list[Row]) -> list[Row]:
    return [row for row in rows if not row.holds]


# ---- findings --------------------------------------------------------------------------------------------------------


def test_a_row_holds_on_the_right_side_only():
    assert Row("x", 1.05, 1.0, 0.1).holds
    assert not Row("x", 1.2, 1.0, 0.1).holds
    assert Row("x", 0.2, 1.0, 0.0, "<=").holds
    assert not Row("x", 1.2, 1.0, 0.1, "<=").holds
    assert Row("x", 9.0, 1.0, 0.0, ">=").holds
    assert not Row("x", math.nan, 1.0, 0.1).holds, "what was not measured is not shown"
    assert Row("x", math.inf, math.inf, 0.0).holds
    assert not Row("x", 5.0, math.inf, 0.0).holds
    assert Row("x", 7.0, 1.0).holds, "shown, not judged"


def test_a_verdict_names_what_failed():
    good, bad = Row("good", 1.0, 1.0, 0.1), Row("bad", 2.0, 1.0, 0.1)
    assert Findings((good,), "it is so").verdict == "it is so"
    found = Findings((good, bad), "it is so", ("a note",))
    assert found.verdict == "not shown: bad"
    assert not found.holds
    text = "\n".join(found.lines())
    assert "does not hold" in text
    assert "+1.0e+00" in text
    assert text.endswith("note: a note")
    kept = found.to_dict()["rows"][1]
    assert kept == {
        "what": "bad", "measured": 2.0, "exact": 1.0, "tolerance": 0.1, "relation": "=", "holds": False,
    }  # fmt: skip
    endless = Findings((Row("endless", math.inf, math.inf, 0.0),), "").to_dict()
    assert json.loads(json.dumps(endless, allow_nan=False))["rows"][0]["measured"] == "inf"


@pytest.mark.parametrize("value", [0.0, 1.5, 123456.7, 1e-9, 1e9, math.inf])
def test_numbers_are_short_and_keep_their_digits(value: float):
    assert len(findings_module.number(value)) <= 9
    assert float(findings_module.number(value)) == pytest.approx(value, rel=1e-3)


# ---- experiments -----------------------------------------------------------------------------------------------------


def test_every_experiment_can_be_played():
    assert all(callable(experiment(name)) for name in EXPERIMENTS)


def test_the_relativistic_generator_follows_reverse_kl_less_the_pairs_divergence():
    measured, exact = objectives.gradients("relativistic", partial(objectives.frozen, "relativistic"))
    assert exact == pytest.approx(0.67506, abs=1e-5)
    assert measured == pytest.approx(exact, abs=1e-5)


def test_every_objective_is_shown():
    found = objectives.run(0, quiet)
    assert found.holds, found.verdict
    shown = {row.what.split(":")[0] for row in found.rows if not row.what.startswith(" ")}
    assert shown == OBJECTIVES.keys() - {"relativistic-average"}


def test_a_wrong_objective_would_be_seen(monkeypatch: pytest.MonkeyPatch):
    wrong = replace(OBJECTIVES["minimax"], generator=OBJECTIVES["non-saturating"].generator)
    monkeypatch.setattr(objectives, "OBJECTIVES", {**OBJECTIVES, "minimax": wrong})
    measured, exact = objectives.gradients("minimax", lambda x: objectives.frozen("minimax", x))
    assert abs(measured - exact) > 0.1


def test_dirac_rows_hold():
    assert not failing([*dynamics.eigenvalue_rows(), *dynamics.step_rows(), *dynamics.settling_rows()])


def test_a_discriminator_never_claims_more_than_jsd():
    case = replace(discriminator.CASES[0], steps=250)
    exact = jensen_shannon(case.p, case.q)
    network, curve = discriminator.train(case, 0, None)
    for judged in (network, critics.plain(1, 3), critics.plain(1, 4, sharpness=5.0)):
        found = discriminator.judge(case, judged, 1, 50_000)
        assert found.estimate <= exact + 3 * found.error
        assert found.estimate + found.missing == pytest.approx(exact, abs=4 * found.error + 1e-9)
    trained = discriminator.judge(case, network, 1, 50_000)
    assert trained.estimate == pytest.approx(exact, abs=0.006)
    assert trained.distance < 0.02
    assert curve[-1][0] == 250
    assert curve[0][1].estimate < curve[-1][1].estimate


@pytest.mark.slow
@pytest.mark.parametrize("case", discriminator.CASES[:2], ids=lambda case: case.name)
def test_a_trained_discriminator_gives_back_jsd(case: discriminator.Case):
    network, _ = discriminator.train(case, 1, None)
    found = discriminator.judge(case, network, 1)
    assert found.estimate == pytest.approx(jensen_shannon(case.p, case.q), abs=0.004)
    assert found.distance < 0.02


def test_a_discriminator_that_knows_its_points_lies_about_them():
    own, fresh = discriminator.memorised(discriminator.CASES[0], 0)
    assert own > 0.2 > 0.1115 > fresh


def test_gradients_at_the_optimum_are_those_of_the_table():
    table = {0.5: (0.1176317531, 0.2647364939), 2.0: (0.2247997546, 1.5504004908), 8.0: (0.0001964374, 7.9996071253)}
    for shift, (half_saturating, non_saturating) in table.items():
        assert vanishing.gradient_at_optimum("minimax", shift) == pytest.approx(2 * half_saturating, abs=1e-9)
        assert vanishing.gradient_at_optimum("non-saturating", shift) == pytest.approx(non_saturating, abs=1e-8)
        assert vanishing.slope_of(vanishing.doubled, shift) == pytest.approx(2 * half_saturating, abs=1e-7)


def test_gradients_vanish_as_the_discriminator_wins(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(vanishing, "LOOKS", (0, 100, 400))
    start, early, late = vanishing.watch(0)
    assert max(look.ratio for look in (start, early, late)) < 1e-4
    assert late.gradients["saturating"] < early.gradients["saturating"] / 3
    assert late.gradients["non-saturating"] > 5
    assert late.wasserstein == pytest.approx(1, abs=0.05)


def test_transport_between_lines_is_their_distance():
    same, slope, separate = smoothness.transported(-0.5, 0)
    assert same == pytest.approx(0.5, abs=1e-12)
    assert slope == pytest.approx(-1, abs=1e-9)
    assert separate == pytest.approx(0.5013, abs=0.01)
    measured, exact = smoothness.blurred_gradient(0.3)
    assert measured == pytest.approx(exact, abs=1e-6)


def test_the_dual_potentials_are_feasible_and_have_no_gap():
    real, fake = duality.samples(0)
    f, g = potentials(real, fake)
    assert (f[:, None] + g[None] - torch.cdist(real, fake)).max() < 1e-9
    assert float(f.mean() + g.mean()) == pytest.approx(emd(real, fake).cost, abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_no_certificate_is_above_the_distance(seed: int):
    real, fake = duality.samples(seed)
    exact = emd(real, fake).cost
    for critic in (critics.plain(2, seed), critics.orthogonal(2, seed), critics.spectral(2, seed).eval()):
        found = duality.measure(critic, real, fake)
        assert abs(found.certified) <= exact * (1 + 1e-6)


def test_an_orthogonal_critic_is_one_lipschitz_and_keeps_the_length_of_gradients():
    critic = critics.orthogonal(2, 0)
    points = (3 * torch.randn(500, 2, generator=torch.Generator().manual_seed(0))).requires_grad_()
    (slopes,) = torch.autograd.grad(critic(points).sum(), points)
    assert slopes.norm(dim=1).max() <= 1 + 1e-4
    real, fake = (x.float() for x in duality.samples(0))
    critics.descend(critic, lambda _: duality.value_of(critic(real), critic(fake)), 120, rate=1e-2)
    found = duality.measure(critic, *duality.samples(0))
    assert found.slope <= 1 + 1e-4
    assert found.certified > 0.85 * emd(*duality.samples(0)).cost


@pytest.mark.parametrize("name", list(modes.systems()))
def test_every_system_plays_on_the_ring(name: str):
    system = replace(modes.systems()[name], rounds={"ring": 30})
    played = modes.watch(modes.trainer_of(name, system, "ring", 0), 0)
    assert len(played.frames) == modes.FRAMES + 1
    assert played.modes.drawn == modes.SAMPLES
    again = modes.watch(modes.trainer_of(name, system, "ring", 0), 0)
    assert torch.equal(again.frames[-1], played.frames[-1]), "a function of the seed"
    assert modes.draw("ring", {name: played}).axes


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_what_trained_critics_are_worth(seed: int):
    real, fake = duality.samples(seed)
    exact = emd(real, fake).cost
    certified = {
        name: duality.measure(duality.TRAINED[name](real.float(), fake.float(), seed), real, fake).certified / exact
        for name in ("orthogonal MaxMin", "clip at 0.01")
    }
    assert 0.95 < certified["orthogonal MaxMin"] <= 1 + 1e-6
    assert certified["clip at 0.01"] < 0.8


@pytest.mark.slow
@pytest.mark.parametrize(("world", "total"), [("ring", 8), ("grid", 25)])
def test_the_relativistic_game_finds_every_mode(world: str, total: int):
    system = modes.systems()[modes.JUDGED]
    found = modes.watch(modes.trainer_of(modes.JUDGED, system, world, 3), 3).modes
    assert found.recovered == total
    assert found.high_quality > 0.5
    assert found.reverse_kl < 0.2


def test_the_linear_model_is_bounded_from_both_sides():
    known = density.linear(1)
    lower, upper = density.sandwich(known, 300, 1)
    assert lower == pytest.approx(known.exact, abs=0.3)
    assert lower < known.exact + 0.1 < upper + 0.2
    wide = density.sandwich(known, 20, 1)
    assert wide[0] < lower < upper < wide[1]
    assert density.from_prior(known, 500, 1) < known.exact - 3, "the prior hardly ever draws what explains the examples"


def test_importance_rows_hold():
    known = density.linear(2)
    drawn = {k: (density.from_posterior(known, k, 2), density.from_prior(known, k, 2)) for k in (5, 500, 5000)}
    assert not failing(density.importance_rows(known, drawn, 2))


def test_kernels_are_nats_below(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(density, "KERNELS", (500, 2000))
    known = density.linear(0)
    few, more = density.kernel_rows(known, 0)
    assert few.measured < more.measured < known.exact - 2


def test_binary_images_are_black_and_white(monkeypatch: pytest.MonkeyPatch):
    shown = density.binary(BUILTIN["digits"]().test, 0)
    assert len(shown) == density.IMAGES
    assert set(shown.images(torch.arange(len(shown))).unique().tolist()) == {-1.0, 1.0}


@pytest.mark.slow
def test_trained_decoders_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(density, "IMAGES", 4)
    monkeypatch.setattr(density, "TRAINED_STEPS", 60)
    for name in ("COARSE_STEPS", "FINE_STEPS"):
        monkeypatch.setattr(f"cardigan.apps.loglik.{name}", 20)
    for rows_of in (density.vae_rows, density.gan_rows):
        rows = rows_of(6_400, 0)
        assert all(math.isfinite(row.measured) for row in rows)
        assert rows[-1].what == "  gap between the bounds of simulated images"


# ---- the notebook ----------------------------------------------------------------------------------------------------


def test_an_experiment_leaves_its_table_and_pictures(tmp_path: Path):
    entry = notebook.play("dynamics", tmp_path / "lab", note=quiet)
    assert entry.findings.holds
    assert sorted(path.name for path in (tmp_path / "lab").iterdir()) == [
        "dynamics-paths.png", "dynamics-play.gif", "dynamics.json",
    ]  # fmt: skip
    with Image.open(tmp_path / "lab" / "dynamics-play.gif") as film:
        assert film.n_frames > 10
    kept = json.loads((tmp_path / "lab" / "dynamics.json").read_text(encoding="utf-8"))
    assert kept["holds"]
    assert len(kept["rows"]) == len(entry.findings.rows)
    page = notebook.write_page([entry], tmp_path / "lab", 0).read_text(encoding="utf-8")
    assert page.count("<img") == 2
    assert "dynamics-play.gif" in page
    assert entry.findings.shows in page
    assert torch.get_num_threads() == 1


def test_what_cannot_be_played_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(RecipeError, match="there is no experiment 'vanish': choose from discriminator"):
        notebook.play("vanish", tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="it is a file"):
        notebook.play("dynamics", tmp_path / "file")
    with pytest.raises(RunError, match="choose another --out"):
        notebook.play("dynamics", tmp_path / "file" / "below")
    for library in ("matplotlib", "ot"):
        with monkeypatch.context() as patch, pytest.raises(RunError, match="pip install"):
            patch.setitem(sys.modules, library, None)
            notebook.play("dynamics", tmp_path)


# ---- the command -----------------------------------------------------------------------------------------------------


def test_the_list_of_experiments_needs_no_torch():
    script = "import sys, cardigan.cli as c; c.app(['lab'], standalone_mode=False); print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    lines = run.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [*EXPERIMENTS, "all", "False"]


def test_the_command_prints_the_table_and_where_the_pictures_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    row = Row("a number", 1.0, 1.0, 0.1)
    monkeypatch.setattr(notebook, "experiment", lambda name: lambda seed, note: Findings((row,), f"seed {seed}"))
    printed = succeeds("lab", "duality", "--out", tmp_path / "lab", "--seed", "7")
    assert "a number" in printed
    assert "verdict: seed 7" in printed
    page = succeeds("lab", "all", "--out", tmp_path / "all")
    assert f"page: {tmp_path / 'all' / 'index.html'}" in page
    assert (tmp_path / "all" / "index.html").read_text(encoding="utf-8").count("<h2>") == len(EXPERIMENTS)
    monkeypatch.setattr(
        notebook, "experiment", lambda name: lambda seed, note: Findings((replace(row, exact=5.0),), "")
    )
    assert cardigan("lab", "duality", "--out", tmp_path / "lab").code == 1, "what theory says was not shown"


def test_the_command_refuses_in_one_line(tmp_path: Path):
    assert "choose from discriminator" in refused("lab", "duel", "--out", tmp_path)
    (tmp_path / "file").write_text("")
    assert "it is a file" in refused("lab", "duality", "--out", tmp_path / "file")

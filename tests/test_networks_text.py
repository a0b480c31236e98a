"""Sentences to vectors: the paper's layers, what is read of a sentence, and a pretrained network."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from pydantic import TypeAdapter
from torch.nn import functional as F

from cardigan.errors import DataError
from cardigan.networks import text as reading
from cardigan.networks.text import (
    KNOWN,
    PAPER,
    CharEncoderConfig,
    PretrainedEncoder,
    PretrainedEncoderConfig,
    TextConfig,
    symbols,
)

SMALL = CharEncoderConfig(dims=12, widths=(8, 10, 6))
BIRD = "this bird has a yellow belly and tarsus, grey back, wings, and brown throat, nape with a black face"


def encoder(config: CharEncoderConfig = SMALL, seed: int = 0) -> reading.CharEncoder:
    torch.manual_seed(seed)
    return config.build().eval()


def test_the_papers_network() -> None:
    """201 x 70, 384 k4 pool 3, 512 k4 pool 3, 256 k4 pool 3/2, 8 steps of a recurrence of 256, linear to 1024."""
    with torch.device("meta"):
        network = PAPER.build()
    convolutions = (70 * 4 + 1) * 384 + (384 * 4 + 1) * 512 + (512 * 4 + 1) * 256
    recurrence, linear = (256 + 1) * 256 + 256 * 256, (256 + 1) * 1024
    assert sum(p.numel() for p in network.parameters()) == convolutions + recurrence + linear
    assert len(KNOWN) == len(set(KNOWN)) == 69
    steps = []
    real = encoder()
    real.inputs.register_forward_hook(lambda _, inputs, __: steps.append(inputs[0].shape[1]))
    real.embed([BIRD])
    assert steps == [8]


def test_looking_up_is_the_one_hot_convolution() -> None:
    network = encoder().double()
    characters = symbols([BIRD, "a bird", "ÉÈ 漢字 ~"], 201)
    one_hot = F.one_hot(characters.long(), 71)[:, :, :70].double().transpose(1, 2)
    torch.testing.assert_close(network.looked_up(characters).transpose(1, 2), network.first(one_hot))


def test_it_is_its_layers_one_after_the_other() -> None:
    network = encoder().double()
    one_hot = F.one_hot(symbols([BIRD, "a bird"], 201).long(), 71)[:, :, :70].double().transpose(1, 2)
    maps = F.max_pool1d(network.first(one_hot).relu(), 3)
    maps = F.max_pool1d(network.second(maps).relu(), 3)
    maps = F.max_pool1d(network.third(maps).relu(), 3, 2).permute(2, 0, 1)
    states, state = [], torch.zeros(2, 6).double()
    for step in maps:
        state = (network.inputs(step) + network.states(state)).relu()
        states.append(state)
    code = network.output(torch.stack(states).mean(0))
    torch.testing.assert_close(
        network(symbols([BIRD, "a bird"], 201)), code / code.square().mean(1, keepdim=True).sqrt()
    )


def test_an_absorbed_normalisation_is_the_same_function() -> None:
    network, norm = encoder(), torch.nn.BatchNorm1d(12, affine=False)
    characters = symbols([f"{n} birds" for n in range(40)], 201)
    for _ in range(30):
        norm(network.code(characters))
    before = norm.eval()(network.code(characters))
    network.absorb(norm)
    torch.testing.assert_close(network.code(characters), before, rtol=1e-4, atol=1e-4)


def test_symbols() -> None:
    assert symbols(["aZ ~", ""], 6).tolist() == [[0, 25, 68, 67, 70, 70], [70] * 6]
    assert torch.equal(symbols(["Ünïcodé"], 9), symbols(["unicode"], 9))
    strange = symbols(["漢字𝄞\ud800"], 5)
    assert strange.tolist() == [[69, 69, 69, 69, 70]]
    assert symbols(["x" * 10_000], 201).shape == (1, 201)


def test_what_is_read_of_a_sentence() -> None:
    network = encoder()
    one = network.embed([BIRD])
    assert one.shape == (1, 12)
    assert one.square().mean().item() == pytest.approx(1, abs=1e-5)
    for same in (BIRD.upper(), f"  {BIRD}\n", BIRD.replace(" ", "\t ")):
        torch.testing.assert_close(network.embed([same]), one)
    assert not torch.allclose(network.embed([BIRD.replace("yellow", "red")]), one)
    long = "red bird " * 1_200
    torch.testing.assert_close(network.embed([long]), network.embed([long[:201].rstrip() + " " + long[201:]]))
    torch.testing.assert_close(network.embed(["a red bird " * 30]), network.embed(["a red bird " * 900]))
    assert torch.isfinite(network.embed(["漢字", "🐦", "\x00", "́"])).all()
    for empty in ("", " \n\t"):
        with pytest.raises(DataError, match="empty"):
            network.embed(["a bird", empty])
    assert network.embed([]).shape == (0, 12)
    assert network.unread("a Réd 漢字 bird 漢") == "漢字"
    assert (network.span, network.cuts("x" * 201), network.cuts(" é" * 100 + "ﬁ ")) == ("201 characters", False, False)
    assert network.cuts("x" * 200 + "ﬁ"), "a ligature is two letters"


def test_a_sentence_does_not_depend_on_its_neighbours() -> None:
    network = encoder()
    many = [f"bird number {n}" for n in range(300)]
    torch.testing.assert_close(network.embed(many)[[0, 150, 299]], network.embed([many[0], many[150], many[299]]))


def test_settings_are_told_by_name() -> None:
    adapter = TypeAdapter(TextConfig)
    for config in (SMALL, PretrainedEncoderConfig(folder="x")):
        assert adapter.validate_json(config.model_dump_json()) == config


# ---- a pretrained network ----------------------------------------------------------------------------------------------


class Tokens(dict):
    def to(self, device: object) -> Tokens:
        return self


class Tokenizer:
    unk_token_id = 0

    def __call__(self, texts: list[str] | str, max_length: int = 9, **more: object) -> Tokens:
        if isinstance(texts, str):
            return Tokens(input_ids=[len(word) % 9 for word in texts.split()])
        words = [text.split()[:max_length] for text in texts]
        longest = max(map(len, words))
        ids = torch.tensor([[len(w) for w in each] + [0] * (longest - len(each)) for each in words])
        return Tokens(input_ids=ids, attention_mask=(ids > 0).long())


class Network(torch.nn.Module):
    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(
            last_hidden_state=torch.stack([input_ids.float(), torch.ones_like(input_ids).float()], 2)
        )


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """A stand-in for transformers; what it was given to read is noted."""
    seen: list[set[str]] = []

    def tokenizer(folder: str, local_files_only: bool) -> Tokenizer:
        assert local_files_only
        seen.append({path.name for path in Path(folder).iterdir()})
        return Tokenizer()

    def network(folder: str, local_files_only: bool, use_safetensors: bool) -> Network:
        assert local_files_only
        assert use_safetensors
        return Network()

    stand_in = SimpleNamespace(
        AutoTokenizer=SimpleNamespace(from_pretrained=tokenizer), AutoModel=SimpleNamespace(from_pretrained=network)
    )
    monkeypatch.setattr(reading, "import_module", lambda name: stand_in)
    return seen


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "encoder"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"hidden_size": 2}))
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "evil.py").write_text("1 / 0")
    return folder


def test_a_pretrained_encoder_means_over_tokens_and_travels(folder: Path, library: list[set[str]]) -> None:
    config = PretrainedEncoderConfig(folder=str(folder), dims=2)
    network = config.build().take_folder()
    vectors = network.embed(["aa bbbb", "c"])
    expected = torch.tensor([[3.0, 1.0], [1.0, 1.0]])
    torch.testing.assert_close(vectors, expected / expected.square().mean(1, keepdim=True).sqrt())
    assert library == [{"config.json", "model.safetensors", "tokenizer.json"}]
    assert network.unread("aa 123456789 bb") == "123456789"
    assert (network.span, network.cuts("bird " * 128), network.cuts("bird " * 129)) == ("128 tokens", False, True)

    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for path in folder.iterdir():
        path.unlink()
    with torch.device("meta"):
        other = torch.nn.ModuleDict({"text": config.build()})
    other.load_state_dict({f"text.{name}": tensor for name, tensor in state.items()}, assign=True)
    torch.testing.assert_close(other["text"].embed(["aa bbbb", "c"]), vectors)
    twin = config.build()
    twin.load_state_dict(state)
    assert torch.equal(twin.files, network.files)


def test_a_folder_that_is_no_encoder_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match=r"data\.encoder\.dims=2"):
        PretrainedEncoderConfig(folder=str(folder)).build().take_folder()
    (folder / "config.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        PretrainedEncoderConfig(folder=str(folder), dims=2).build().take_folder()
    (folder / "model.safetensors").unlink()
    with pytest.raises(DataError, match="holds no model.safetensors"):
        PretrainedEncoderConfig(folder=str(folder), dims=2).build().take_folder()
    with pytest.raises(DataError, match="does not exist"):
        PretrainedEncoderConfig(folder=str(folder / "gone")).build().take_folder()


def test_without_the_library_there_is_a_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(reading, "import_module", missing)
    network = PretrainedEncoderConfig(folder=str(folder), dims=2).build().take_folder()
    assert isinstance(network, PretrainedEncoder)
    with pytest.raises(DataError, match=r"cardigan\[text\]"):
        network.embed(["a bird"])

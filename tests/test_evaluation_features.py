"""Features: the trained classifier and its cache, the random network, and pretrained networks from files."""

import hashlib
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from cardigan.data.spec import DataSpec
from cardigan.errors import DataError, RunError
from cardigan.evaluation import classifier as classifier_module
from cardigan.evaluation.bench import named
from cardigan.evaluation.choose import choose_features, load_features
from cardigan.evaluation.classifier import ChannelFeatures, RandomFeatures, train_classifier
from cardigan.evaluation.features import IdentityFeatures, extract, weights_digest
from cardigan.evaluation.inception import Inception, inception_features, prepare, resize_bilinear
from cardigan.evaluation.sources import FromDataset

SPEC = DataSpec(channels=1, height=20, width=30)


@dataclass
class Bars:
    """Vertical, horizontal and crossed bars with noise: three classes that a network learns at once."""

    split: str
    n: int = 256
    side: int = 12
    name: str = "bars"
    known_modes: None = None
    spec: DataSpec = field(init=False)
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        self.spec = DataSpec(channels=1, height=self.side, width=self.side, classes=("vertical", "horizontal", "both"))
        self.digest = f"bars-{self.split}-{self.n}"
        generator = torch.Generator().manual_seed(len(self.split))
        self._labels = torch.arange(self.n) % 3
        place = torch.randint(2, self.side - 2, (self.n, 2), generator=generator)
        self._images = torch.randn(self.n, 1, self.side, self.side, generator=generator) * 0.2 - 0.7
        for i, label in enumerate(self._labels.tolist()):
            if label != 1:
                self._images[i, :, :, place[i, 0]] += 1.4
            if label != 0:
                self._images[i, :, place[i, 1]] += 1.4
        self._images.clamp_(-1, 1)

    def __len__(self) -> int:
        return self.n

    def images(self, indices: Tensor, /) -> Tensor:
        return self._images[indices]

    def labels(self, indices: Tensor, /) -> Tensor | None:
        return self._labels[indices]


@pytest.fixture(autouse=True)
def short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier_module, "_epochs", lambda examples: 20)


def test_classifier_learns_and_gives_64_features(tmp_path: Path):
    train, test = Bars("train"), Bars("test", n=99)
    features = train_classifier(train, test, 0, tmp_path)
    assert features.accuracy > 0.9
    assert features.details == {"test accuracy": features.accuracy}
    images = test.images(torch.arange(99))
    vectors = features(images)
    assert (vectors.shape, vectors.dtype) == ((99, 64), torch.float64)
    assert features.classes == 3
    right = features.classify(images) == test.labels(torch.arange(99))
    assert float(right.double().mean()) == features.accuracy


def test_classifier_is_trained_once_and_leaves_the_global_generator_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    train, test = Bars("train"), Bars("test", n=99)
    state = torch.random.get_rng_state()
    first = train_classifier(train, test, 0, tmp_path)
    assert torch.equal(state, torch.random.get_rng_state())
    again = train_classifier(train, test, 0, None)
    assert again.digest == first.digest

    def refuse(*_: object) -> None:
        raise AssertionError("trained a second time")

    monkeypatch.setattr(classifier_module, "_fit", refuse)
    second = train_classifier(train, test, 0, tmp_path)
    assert (second.digest, second.accuracy) == (first.digest, first.accuracy)
    images = test.images(torch.arange(9))
    assert torch.equal(first(images), second(images))
    with pytest.raises(AssertionError, match="second time"):
        train_classifier(train, test, 1, tmp_path)


@pytest.mark.parametrize("damage", ["cut", "garbage", "foreign", "record", "swapped"])
def test_damaged_cache_is_made_again(tmp_path: Path, damage: str):
    train, test = Bars("train"), Bars("test", n=99)
    first = train_classifier(train, test, 0, tmp_path)
    (weights,) = tmp_path.rglob("classifier.safetensors")
    record = weights.with_suffix(".json")
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif damage == "garbage":
        weights.write_bytes(b"x" * 5000)
    elif damage == "foreign":
        save_file({"a": torch.zeros(3)}, weights)
    elif damage == "record":
        record.write_text("{")
    else:
        other = classifier_module.build(train.spec, 3, 5)
        save_file(other.state_dict(), weights)
    second = train_classifier(train, test, 0, tmp_path)
    assert second.digest == first.digest
    assert {path.name for path in weights.parent.iterdir()} == {"classifier.safetensors", "classifier.json"}


def test_training_of_a_classifier_ends_however_large_the_set(monkeypatch: pytest.MonkeyPatch):
    bars, asked = Bars("train"), []
    monkeypatch.setattr(classifier_module, "MOST_STEPS", 3)
    monkeypatch.setattr(bars, "images", lambda indices: asked.append(len(indices)) or bars._images[indices])
    classifier_module._fit(classifier_module.build(bars.spec, 3, 0), bars, 0)
    assert asked == [128] * 3


def test_classifier_needs_classes():
    bars = Bars("train")
    bars.labels = lambda indices: None
    with pytest.raises(DataError, match="--features random"):
        train_classifier(bars, bars, 0, None)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 28, 28), (2, 5, 17), (3, 64, 48), (4, 1, 1)])
def test_random_features_fit_any_image_and_depend_on_the_seed_alone(shape: tuple[int, int, int]):
    channels, height, width = shape
    spec = DataSpec(channels=channels, height=height, width=width)
    images = torch.rand(7, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    state = torch.random.get_rng_state()
    one, same, other = RandomFeatures(0, spec), RandomFeatures(0, spec), RandomFeatures(1, spec)
    assert torch.equal(state, torch.random.get_rng_state())
    assert one(images).shape == (7, 64)
    assert torch.equal(one(images), same(images))
    assert one.digest == same.digest != other.digest
    assert not one(images).requires_grad


def test_features_do_not_depend_on_chunks(monkeypatch: pytest.MonkeyPatch):
    bars = Bars("test", n=100)
    features = RandomFeatures(0, bars.spec)
    whole = features(bars.images(torch.arange(100)))
    monkeypatch.setattr("cardigan.evaluation.features.LARGEST_CHUNK", 7)
    assert torch.allclose(extract(features, FromDataset(bars, torch.arange(100)), 100), whole, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="holds 100 images, 101"):
        extract(features, FromDataset(bars), 101)


def test_channel_features_apply_the_classifier_to_each_channel():
    train, test = Bars("train"), Bars("test", n=99)
    single = train_classifier(train, test, 0, None)
    images = torch.cat([test.images(torch.arange(5)), test.images(torch.arange(5, 10))], 1)
    stacked = ChannelFeatures(single, 2)
    assert stacked.dimensions == 128
    expected = torch.cat([single(images[:, :1]), single(images[:, 1:])], 1)
    assert torch.allclose(stacked(images), expected, rtol=1e-5, atol=1e-6)


def test_identity_features():
    points = torch.rand(5, 2, 1, 1)
    assert torch.equal(IdentityFeatures(2)(points), points[:, :, 0, 0].double())


def test_weights_digest_sees_values_names_shapes_and_types():
    base = {"a": torch.zeros(4)}
    others = [
        {"b": torch.zeros(4)},
        {"a": torch.zeros(2, 2)},
        {"a": torch.zeros(4).int()},
        {"a": torch.tensor([0, 0, 0, 1.0])},
    ]
    digests = {weights_digest(state) for state in [base, *others]}
    assert len(digests) == 5


@pytest.fixture(scope="module")
def inception() -> Inception:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Inception().eval()
        for name, buffer in network.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
    return network


def test_inception_has_the_published_structure(inception: Inception):
    state = inception.state_dict()
    assert sum(p.numel() for p in inception.parameters()) == 21_785_568 + 2048 * 1008 + 1008
    assert state["Conv2d_1a_3x3.conv.weight"].shape == (32, 3, 3, 3)
    assert state["Mixed_5b.branch_pool.bn.running_var"].shape == (32,)
    assert state["Mixed_6c.branch7x7dbl_5.conv.weight"].shape == (192, 160, 1, 7)
    assert state["Mixed_7c.branch3x3dbl_3b.conv.weight"].shape == (384, 384, 3, 1)
    assert state["fc.weight"].shape == (1008, 2048)
    assert len([name for name in state if name.endswith("conv.weight")]) == 94


@pytest.mark.parametrize("kind", ["safetensors", "pth"])
def test_inception_weights_round_trip(inception: Inception, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / f"weights.{kind}"
    state = {name: value for name, value in inception.state_dict().items() if "num_batches" not in name}
    if kind == "pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    monkeypatch.setattr(
        "cardigan.evaluation.inception.FILES_OF_FID", (hashlib.sha256(path.read_bytes()).hexdigest()[:8],)
    )
    features = load_features(f"inception:{path}")
    images = torch.rand(2, 1, 20, 30, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = features(images)
    assert (found.shape, features.dimensions, features.name) == ((2, 2048), 2048, "inception")
    with torch.no_grad():
        assert torch.allclose(found, inception(images).double(), rtol=1e-5)
    monkeypatch.undo()
    like = inception_features(path)
    assert (features.digest, like.name) == (like.digest, "inception-like")
    assert [named("FD", each) for each in (features, like)] == ["FID", "FD(inception-like)"]
    assert [each.name for each in choose_features(f"inception:{path}", SPEC, None)] == ["inception-like", "random"]


def test_inception_resizes_as_tensorflow_1_did():
    image = torch.tensor([[0.0, 3.0], [6.0, 9.0]])[None, None]
    expected = torch.tensor([[0.0, 1.5, 3.0, 3.0], [3.0, 4.5, 6.0, 6.0], [6.0, 7.5, 9.0, 9.0], [6.0, 7.5, 9.0, 9.0]])
    assert torch.equal(resize_bilinear(image, 4, 4)[0, 0], expected)
    assert torch.equal(resize_bilinear(image, 2, 2), image)
    wide = torch.rand(1, 3, 4, 6)
    assert torch.allclose(resize_bilinear(wide, 2, 3), wide[..., ::2, ::2])


def test_inception_sees_saved_pictures():
    grey = prepare(torch.full((1, 1, 10, 10), 0.0))
    assert grey.shape == (1, 3, 299, 299)
    assert torch.equal(grey, torch.zeros_like(grey))
    assert torch.equal(prepare(torch.full((1, 3, 10, 10), -1.0)), torch.full((1, 3, 299, 299), -1.0))
    with pytest.raises(DataError, match="1 or 3 channels"):
        prepare(torch.zeros(1, 4, 10, 10))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_wrong_weights_are_refused_in_one_line(tmp_path: Path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "program.pt")
    torch.save({"fc.weight": torch.zeros(3)}, tmp_path / "other.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save(IdentityFeatures(2), tmp_path / "object.pth")
    (tmp_path / "noise.pth").write_bytes(b"not weights")
    (tmp_path / "noise.safetensors").write_bytes(b"not weights")
    refusals = {
        "missing.pth": "no weights file",
        "program.pt": "TorchScript",
        "other.pth": "pt_inception-2015-12-05",
        "list.pth": "no state dict",
        "object.pth": "cannot be read",
        "noise.pth": "cannot be read",
        "noise.safetensors": "cannot be read",
    }
    for name, words in refusals.items():
        with pytest.raises(RunError, match=words) as caught:
            load_features(f"inception:{tmp_path / name}")
        assert "\n" not in str(caught.value)
    with pytest.raises(RunError, match="unknown features"):
        load_features("vgg")


def test_dinov2_goes_through_transformers(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(RunError, match="pip install transformers"):
        load_features("dinov2:/nowhere")

    class Transformer(torch.nn.Module):
        config = types.SimpleNamespace(model_type="dinov2", hidden_size=3)

        def forward(self, pixel_values: Tensor) -> types.SimpleNamespace:
            assert pixel_values.shape[1:] == (3, 224, 224)
            return types.SimpleNamespace(last_hidden_state=pixel_values.mean((2, 3))[:, None].expand(-1, 5, -1))

    def from_pretrained(where: str, use_safetensors: bool) -> Transformer:
        if not use_safetensors or where != "here":
            raise OSError("no such model")
        return Transformer()

    auto = types.SimpleNamespace(from_pretrained=from_pretrained)
    monkeypatch.setitem(sys.modules, "transformers", types.SimpleNamespace(AutoModel=auto))
    found = load_features("dinov2:here")(torch.zeros(2, 1, 32, 32))
    assert found.flatten().tolist() == pytest.approx(
        [(0.5 - m) / s for m, s in zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)] * 2, rel=1e-4
    )
    with pytest.raises(RunError, match="no DINOv2 weights"):
        load_features("dinov2:elsewhere")

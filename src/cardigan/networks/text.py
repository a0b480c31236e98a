"""Sentences to vectors: by a small network over characters, or by a pretrained one.

Every encoder's vectors have the mean square 1, so that whatever takes them sees numbers of one size.
"""

from __future__ import annotations

import io
import json
import re
import string
import tempfile
import unicodedata
import zipfile
from collections.abc import Iterator, Sequence
from importlib import import_module
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from cardigan.errors import DataError
from cardigan.text import PAPER, CharEncoderConfig, PretrainedEncoderConfig, TextConfig

__all__ = [
    "PAPER",
    "CharEncoder",
    "CharEncoderConfig",
    "PretrainedEncoder",
    "PretrainedEncoderConfig",
    "TextConfig",
    "TextEncoder",
    "sentence",
    "symbols",
]

KNOWN = string.ascii_lowercase + string.digits + string.punctuation + " "
OTHER, PADDING = len(KNOWN), len(KNOWN) + 1
SYMBOLS = len(KNOWN) + 1
AT_ONCE = 128  # sentences

TABLE = np.full(129, OTHER, np.uint8)  # by code point, the last for all that lie beyond ASCII
TABLE[[ord(character) for character in KNOWN]] = np.arange(len(KNOWN))
TABLE[0] = PADDING


def sentence(text: str) -> str:
    """A sentence as encoders take it: runs of blanks and line breaks are one blank.

    Raises:
        DataError: there is nothing in it.
    """
    if not (words := text.split()):
        raise DataError("a sentence is empty: say what is to be seen")
    return " ".join(words)


def plain(text: str) -> str:
    """In lower case, without accents: "É" is "e"."""
    parts = unicodedata.normalize("NFKD", text.lower())
    return "".join(part for part in parts if not unicodedata.combining(part)) if not parts.isascii() else parts


def symbols(texts: Sequence[str], length: int) -> UInt8[Tensor, "batch length"]:
    """The number of each character: 0 to 68 for those in `KNOWN`, 69 for any other, 70 beyond a sentence's end.

    Letters are in lower case and without accents. What follows the first `length` characters is passed over.
    """
    text = "".join(plain(text)[:length].ljust(length, "\0") for text in texts)
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    return torch.from_numpy(TABLE[np.minimum(codes, 128)].reshape(len(texts), length))


class TextEncoder(nn.Module):
    """What turns sentences into vectors.

    Attributes:
        dims: numbers in a vector.
    """

    dims: int

    def read(self, texts: Sequence[str]) -> Tensor:
        """Vectors (len(texts), dims) of sentences that are clean."""
        raise TypeError(f"{type(self).__name__} reads no sentences")

    def unread(self, text: str) -> str:
        """What of a sentence the encoder does not know, each piece once."""
        raise TypeError(f"{type(self).__name__} reads no sentences")

    @property
    def span(self) -> str:
        """How much of a sentence the encoder reads, in words."""
        raise TypeError(f"{type(self).__name__} reads no sentences")

    def cuts(self, text: str) -> bool:
        """Whether a sentence is longer than that."""
        raise TypeError(f"{type(self).__name__} reads no sentences")

    @torch.no_grad()
    def embed(self, texts: Sequence[str]) -> Tensor:
        """Vectors (len(texts), dims), float32, on the encoder's device.

        A sentence longer than the encoder reads is cut there. Characters that it does not know are all the same to it.

        Raises:
            DataError: a sentence is empty.
        """
        clean = [sentence(text) for text in texts]
        parts = [self.read(clean[start : start + AT_ONCE]).float() for start in range(0, len(clean), AT_ONCE)]
        return torch.cat(parts) if parts else torch.empty(0, self.dims)


def pooled(maps: Float[Tensor, "batch steps width"]) -> Float[Tensor, "batch thirds width"]:
    """The largest of each three steps; what is left over at the end is passed over."""
    whole = maps[:, : maps.shape[1] // 3 * 3].unflatten(1, (-1, 3))
    return torch.maximum(torch.maximum(whole[:, :, 0], whole[:, :, 1]), whole[:, :, 2])


def required(bias: Tensor | None) -> Tensor:
    assert bias is not None
    return bias


def unit_mean_square(vectors: Float[Tensor, "batch dims"]) -> Float[Tensor, "batch dims"]:
    """The same directions, with numbers whose mean square is 1."""
    return F.normalize(vectors, dim=1) * sqrt(vectors.shape[1])


class CharEncoder(TextEncoder):
    """The character-level convolutional-recurrent network of Reed et al. (2016).

    201 characters of 70 symbols, three convolutions of width 4 with ReLU and max-pooling by 3, 3 and then 3 at every
    second place, 8 steps of a recurrence with ReLU whose states are averaged, and a linear layer.
    """

    def __init__(self, config: CharEncoderConfig) -> None:
        super().__init__()
        first, second, third = config.widths
        self.length, self.dims = config.length, config.dims
        self.first = nn.Conv1d(SYMBOLS, first, 4)
        self.second = nn.Conv1d(first, second, 4)
        self.third = nn.Conv1d(second, third, 4)
        self.inputs = nn.Linear(third, third)
        self.states = nn.Linear(third, third, bias=False)
        self.output = nn.Linear(third, config.dims)
        for layer in (self.first, self.second, self.third, self.inputs, self.output):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(required(layer.bias))
        nn.init.normal_(self.first.weight, 0.0, sqrt(2 / 4))  # of its inputs one a tap is not nought

    def forward(self, characters: UInt8[Tensor, "batch length"]) -> Float[Tensor, "batch dims"]:
        """Vectors of sentences as `symbols` has them."""
        return unit_mean_square(self.code(characters))

    def code(self, characters: UInt8[Tensor, "batch length"]) -> Float[Tensor, "batch dims"]:
        """The same vectors before their mean square is made 1."""
        maps = pooled(self.looked_up(characters)).relu().transpose(1, 2)
        maps = F.max_pool1d(self.second(maps).relu(), 3)
        maps = F.max_pool1d(self.third(maps).relu(), 3, 2)
        return self.output(self.recurred(maps.transpose(1, 2)))

    def looked_up(self, characters: UInt8[Tensor, "batch length"]) -> Float[Tensor, "batch steps width"]:
        """The first convolution. Its input is one-hot: it adds up what each two neighbours give, which is looked up."""
        columns = F.pad(self.first.weight, (0, 0, 0, 1)).permute(2, 1, 0).contiguous()  # noughts for beyond the end
        before, after = ((a[:, None] + b).flatten(0, 1) for a, b in (columns[:2], columns[2:]))
        numbers = characters.int()
        pairs = numbers[:, :-1] * len(columns[0]) + numbers[:, 1:]
        before = before + required(self.first.bias)
        return F.embedding(pairs[:, :-2], before) + F.embedding(pairs[:, 2:], after)

    def recurred(self, maps: Float[Tensor, "batch steps width"]) -> Float[Tensor, "batch width"]:
        """The mean of the states."""
        fed = self.inputs(maps)
        state = fed[:, 0].relu()
        total = state
        for step in range(1, fed.shape[1]):
            state = (fed[:, step] + self.states(state)).relu()
            total = total + state
        return total / fed.shape[1]

    def read(self, texts: Sequence[str]) -> Tensor:
        return self(symbols(texts, self.length).to(self.output.weight.device))

    @torch.no_grad()
    def absorb(self, norm: nn.BatchNorm1d) -> None:
        """Become what the code followed by a normalisation without gain or bias is."""
        mean, variance = norm.running_mean, norm.running_var
        assert mean is not None
        assert variance is not None
        scale = (variance + norm.eps).rsqrt()
        self.output.weight.mul_(scale[:, None])
        required(self.output.bias).sub_(mean).mul_(scale)

    def unread(self, text: str) -> str:
        """Those that are none of the 69 known ones, and not a letter of them with an accent."""
        return "".join(dict.fromkeys(c for c in sentence(text) if set(plain(c)) - set(KNOWN)))

    @property
    def span(self) -> str:
        return f"{self.length} characters"

    def cuts(self, text: str) -> bool:
        return len(plain(sentence(text))) > self.length


class PretrainedEncoder(TextEncoder):
    """A network of the library transformers; the mean of its last states over the tokens of a sentence.

    Its files are the one buffer of this module, so that it travels wherever the weights go: the folder that they came from
    is needed only once.
    """

    files: Tensor

    def __init__(self, config: PretrainedEncoderConfig) -> None:
        super().__init__()
        self.config, self.dims = config, config.dims
        self.register_buffer("files", torch.empty(0, dtype=torch.uint8))
        self.opened: tuple[Any, Any] | None = None

    def take_folder(self) -> PretrainedEncoder:
        """Read the files of the folder that the settings name; returns itself.

        Raises:
            DataError: it is not there, lacks a file, or holds a network of another size.
        """
        folder = Path(self.config.folder).expanduser()
        found = dict(model_files(folder))
        for name in ("config.json", "model.safetensors"):
            if name not in found:
                raise DataError(
                    f"data.encoder.folder: {folder} holds no {name}: give the folder of a sentence encoder of the "
                    "library transformers, saved with safetensors"
                )
        try:
            size = json.loads(found["config.json"]).get("hidden_size")
        except (ValueError, AttributeError) as error:
            raise DataError(f"{folder / 'config.json'} is damaged: get it again") from error
        if size != self.dims:
            raise DataError(f"the encoder in {folder} gives {size} numbers: add --set data.encoder.dims={size}")
        self.files = torch.frombuffer(bytearray(zipped(found)), dtype=torch.uint8)
        self.opened = None
        return self

    def read(self, texts: Sequence[str]) -> Tensor:
        tokenizer, network = self.library()
        device = self.files.device
        tokens = tokenizer(
            list(texts), padding=True, truncation=True, max_length=self.config.length, return_tensors="pt"
        ).to(device)
        states = network.to(device)(**tokens).last_hidden_state
        mask = tokens["attention_mask"][:, :, None].to(states.dtype)
        return unit_mean_square(((states * mask).sum(1) / mask.sum(1)).float())

    def unread(self, text: str) -> str:
        """The words that the tokenizer has no pieces for."""
        tokenizer, _ = self.library()
        strange = [w for w in sentence(text).split() if tokenizer.unk_token_id in tokenizer(w)["input_ids"]]
        return " ".join(dict.fromkeys(strange))

    @property
    def span(self) -> str:
        return f"{self.config.length} tokens"

    def cuts(self, text: str) -> bool:
        tokenizer, _ = self.library()
        limit = self.config.length
        return len(tokenizer(sentence(text), truncation=True, max_length=limit + 1)["input_ids"]) > limit

    def library(self) -> tuple[Any, Any]:
        """Tokenizer and network, made of the files when first asked for.

        Raises:
            DataError: the library is not installed, or cannot read them.
        """
        if self.opened is None:
            try:
                library = import_module("transformers")
            except ImportError as error:
                raise DataError(
                    'a pretrained sentence encoder takes a library: install it with pip install "cardigan[text]"'
                ) from error
            with tempfile.TemporaryDirectory() as folder:
                with zipfile.ZipFile(io.BytesIO(self.files.cpu().numpy().tobytes())) as archive:
                    for name in filter(READ.fullmatch, archive.namelist()):
                        Path(folder, name).write_bytes(archive.read(name))
                try:
                    tokenizer = library.AutoTokenizer.from_pretrained(folder, local_files_only=True)
                    network = library.AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
                except Exception as error:  # a damaged folder may raise anything
                    raise DataError(f"the sentence encoder of {self.config.folder} cannot be read: {error}") from error
            self.opened = tokenizer, network.eval().requires_grad_(False)
        return self.opened

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        # The files are of any length.
        if f"{prefix}files" in state_dict:
            device = state_dict[f"{prefix}files"].device if self.files.is_meta else self.files.device
            self.files, self.opened = state_dict[f"{prefix}files"].to(device), None
        elif strict:
            missing_keys.append(f"{prefix}files")
        unexpected_keys += [key for key in state_dict if key.startswith(prefix) and key != f"{prefix}files"]


READ = re.compile(r"[\w-][\w.-]*\.(json|txt|model|safetensors)")
"""Names of the files that are read of a folder: none that could run code."""


def model_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of a network's files, in a fixed order."""
    if not folder.is_dir():
        raise DataError(f"data.encoder.folder: {folder} does not exist: give the folder of a sentence encoder")
    try:
        for path in sorted(folder.iterdir()):
            if READ.fullmatch(path.name) and path.is_file():
                yield path.name, path.read_bytes()
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}") from error


def zipped(files: dict[str, bytes]) -> bytes:
    """An archive that is a function of the files alone."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return stream.getvalue()

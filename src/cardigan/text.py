"""Settings of what turns sentences into vectors; `cardigan.networks.text` has the networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from cardigan.config import Config

if TYPE_CHECKING:
    from cardigan.networks.text import CharEncoder, PretrainedEncoder


class EncoderConfig(Config):
    """What all encoders of sentences have.

    Attributes:
        dims: numbers in the vector of a sentence.
        loss: by which images and sentences learn to agree: "contrastive" (InfoNCE, van den Oord et al. 2018, in both
            directions) or "structured" (joint embedding with a margin, Reed et al. 2016).
        steps, batch: how long they learn, and from how many pairs at a time.
        side: images are seen at no more than so many pixels a side.
        seed: decides the first weights and the order of the pairs.
    """

    dims: PositiveInt = 128
    loss: Literal["contrastive", "structured"] = "contrastive"
    steps: PositiveInt = 600
    batch: Annotated[int, Field(ge=2)] = 64
    side: Annotated[int, Field(ge=8, le=256)] = 32
    seed: NonNegativeInt = 0


class CharEncoderConfig(EncoderConfig):
    """Characters, convolutions and a recurrence (Reed et al. 2016), trained on the pairs of the data itself.

    The defaults train on a processor in about a minute; the paper's network is `PAPER`.

    Attributes:
        length: characters that are read; what follows them is passed over.
        widths: channels of the three convolutions, the last also of the recurrence.
    """

    name: Literal["char-cnn-rnn"] = "char-cnn-rnn"
    length: Annotated[int, Field(ge=66, le=4096)] = 201
    widths: tuple[PositiveInt, PositiveInt, PositiveInt] = (96, 128, 128)

    def build(self) -> CharEncoder:
        from cardigan.networks.text import CharEncoder

        return CharEncoder(self)


class PretrainedEncoderConfig(EncoderConfig):
    """A trained sentence encoder of the library transformers, from a folder on this machine.

    Attributes:
        folder: where config.json, the tokenizer's files and model.safetensors lie; nothing is ever downloaded.
        dims: the network's own hidden size.
        length: tokens that are read.
    """

    name: Literal["pretrained"] = "pretrained"
    folder: str
    dims: PositiveInt = 384
    length: Annotated[int, Field(ge=8)] = 128

    def build(self) -> PretrainedEncoder:
        from cardigan.networks.text import PretrainedEncoder

        return PretrainedEncoder(self)


TextConfig = Annotated[CharEncoderConfig | PretrainedEncoderConfig, Field(discriminator="name")]

PAPER = CharEncoderConfig(dims=1024, widths=(384, 512, 256))
"""The network of Reed et al. (2016)."""

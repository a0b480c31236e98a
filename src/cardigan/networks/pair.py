"""An encoder and a decoder that move as one player."""

from torch import nn


class Autoencoding(nn.Module):
    """Holds `encoder`: images -> numbers and `decoder`: code -> images; how they are joined is the game's business."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

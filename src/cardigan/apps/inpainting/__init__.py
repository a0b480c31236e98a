"""Completion of images with holes (Yeh et al. 2017), and what it is compared with."""

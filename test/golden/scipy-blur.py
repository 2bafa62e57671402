"""Writes scipy's own Gaussian blur of a few small images, which src/kernels/blur-pixels.ts is held against.

    python test/golden/scipy-blur.py > test/golden/scipy-blur.json

Value i of an image [height, width, 3] is (31 i ** 2 + 7 i) mod 256. Each channel is blurred as float64 by
scipy.ndimage.gaussian_filter, mode "nearest", truncate 4; the blurred values are in hundred thousandths of a level.
"""

import json

import numpy as np
import scipy
from scipy.ndimage import gaussian_filter

SHAPES = [(9, 6, 0.3), (7, 5, 60), (1, 40, 3), (40, 1, 20), (1, 1, 0.28), (60, 3, 0.84), (64, 4, 6.5), (17, 23, 4.76), (5, 50, 9)]


def blurred(width, height, sigma):
    i = np.arange(width * height * 3, dtype=np.int64)
    image = ((31 * i**2 + 7 * i) % 256).reshape(height, width, 3).astype(np.float64)
    return np.stack([gaussian_filter(image[..., c], sigma, mode="nearest", truncate=4) for c in range(3)], -1)


cases = [
    {"width": w, "height": h, "sigma": s, "blurred_e5": np.rint(blurred(w, h, s) * 1e5).astype(int).ravel().tolist()} for w, h, s in SHAPES
]
lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
print(f'{{"scipy":"{scipy.__version__}","cases":[\n{lines}\n]}}')

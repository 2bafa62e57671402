/** RGB of CMYK pixels, four bytes each, as Pillow's `convert("RGB")` gives them: (255 - C) * (255 - K) / 255, no colour profile. */
export function rgbOfCmyk(cmyk: Uint8Array): Uint8Array {
  const rgb = new Uint8Array((cmyk.length / 4) * 3);
  for (let from = 0, to = 0; from < cmyk.length; from += 4) {
    const light = 255 - cmyk[from + 3]!;
    for (let channel = 0; channel < 3; channel++) rgb[to++] = light - Math.round((cmyk[from + channel]! * light) / 255);
  }
  return rgb;
}

/** The value's 64 bits as 16 hexadecimal digits: goldens that keep -0, NaN and the last place. */
export function float64Bits(value: number): string {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  return view.getBigUint64(0).toString(16).padStart(16, "0");
}

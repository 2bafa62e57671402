/** Numbers as a person reads them. Everything here is ASCII or thin, and independent of the locale. */

/** 1234567 -> "1,234,567" */
export function formatCount(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** 48231 -> "48.2k": three significant digits, for a line that must stay short. */
export function formatShort(value: number): string {
  const units = ["", "k", "M", "G", "T"];
  let unit = 0;
  let scaled = value;
  while (scaled >= 999.5 && unit < units.length - 1) {
    scaled /= 1000;
    unit++;
  }
  const digits = scaled >= 99.95 ? 0 : scaled >= 9.995 ? 1 : unit === 0 && Number.isInteger(scaled) ? 0 : 2;
  return `${scaled.toFixed(digits)}${units[unit]!}`;
}

/** 75.2 s -> "1:15", 4000 s -> "1:06:40" */
export function formatClock(seconds: number): string {
  const total = Math.max(0, Math.round(seconds));
  const two = (value: number): string => String(value).padStart(2, "0");
  const hours = Math.floor(total / 3600);
  const minutes = Math.floor((total % 3600) / 60);
  return hours > 0 ? `${hours}:${two(minutes)}:${two(total % 60)}` : `${minutes}:${two(total % 60)}`;
}

/** 1234 ms -> "1.2 s", 75000 ms -> "1 min 15 s" */
export function formatDuration(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds.toFixed(seconds < 9.95 ? 1 : 0)} s`;
  const minutes = Math.floor(Math.round(seconds) / 60);
  const rest = Math.round(seconds) % 60;
  return minutes < 60 ? `${minutes} min ${rest} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** 12.34 -> "12.3 %"; of nothing, "-". */
export function formatShare(part: number, whole: number): string {
  return whole === 0 ? "-" : `${((100 * part) / whole).toFixed(1)} %`;
}

/** 431 MB, 1.2 GB: powers of 1000. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let scaled = bytes;
  while (scaled >= 1000 && unit < units.length - 1) {
    scaled /= 1000;
    unit++;
  }
  return `${scaled >= 100 || unit === 0 ? scaled.toFixed(0) : scaled.toFixed(1)} ${units[unit]!}`;
}

/** A VIG or tau in nats, sign always shown by a minus: four decimals where it is small, since there the sign matters. */
export function formatNats(value: number): string {
  if (!Number.isFinite(value)) return value > 0 ? "infinite" : String(value);
  return Math.abs(value) < 0.1 ? value.toFixed(4) : value.toFixed(3);
}

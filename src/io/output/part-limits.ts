/**
 * A part ends with the split that brings it to this many rows or this many Arrow bytes. 100,000 rows are five row
 * groups; 128 MiB of Arrow come to some 30 to 60 MB of ZSTD Parquet, which one reader task takes in one go and
 * which is quick to write again when rows are appended to the last part. Both depend on the rows alone, and parts
 * end where splits end, so a part stays as it is when others are added behind it.
 */
export const PART_ROWS = 100_000;
export const PART_ARROW_BYTES = 128 * 2 ** 20;

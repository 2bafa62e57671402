import { Binary, type Data, Field, List, makeData, Struct, Utf8 } from "apache-arrow";
import { binaryColumn, utf8Column } from "../core/record-batch.ts";

/** How `datasets` stores an image: its encoded bytes, or where it lies, or both. */
export interface StoredImage {
  readonly bytes: Uint8Array | null;
  readonly path: string;
}

const imageStruct = new Struct<{ bytes: Binary; path: Utf8 }>([new Field("bytes", new Binary(), true), new Field("path", new Utf8(), true)]);

export const storedImagesType = new List(new Field("item", imageStruct, true));

export function storedImagesColumn(rows: readonly (readonly StoredImage[])[]): Data<List> {
  const images = rows.flat();
  const bytes = binaryColumn(images.map((image) => image.bytes ?? new Uint8Array(0)));
  const isMissing = images.some((image) => image.bytes === null);
  const children = [isMissing ? withNulls(bytes, images) : bytes, utf8Column(images.map((image) => image.path))];
  const valueOffsets = new Int32Array(rows.length + 1);
  rows.forEach((row, i) => (valueOffsets[i + 1] = valueOffsets[i]! + row.length));
  const child = makeData({ type: imageStruct, length: images.length, nullCount: 0, children });
  return makeData({ type: storedImagesType, length: rows.length, nullCount: 0, valueOffsets, child });
}

function withNulls(column: Data<Binary>, images: readonly StoredImage[]): Data<Binary> {
  const nullBitmap = new Uint8Array((images.length + 7) >> 3);
  let nullCount = 0;
  images.forEach((image, i) => {
    if (image.bytes === null) nullCount++;
    else nullBitmap[i >> 3]! |= 1 << (i & 7);
  });
  const { valueOffsets, values } = column;
  return makeData({ type: new Binary(), length: images.length, nullCount, nullBitmap, valueOffsets, data: values });
}

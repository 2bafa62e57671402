import { DataType, type Field, Precision, Schema } from "apache-arrow";
import { SAMPLE_COLUMNS } from "../../core/columns.ts";
import { PlanError } from "../../core/errors.ts";

/** Which of a file's columns hold what. */
export interface ColumnMapping {
  readonly id: string | undefined;
  readonly images: string | undefined;
  readonly turns: string;
  readonly source: string | undefined;
  readonly pass_through: readonly string[];
}

/** What the configuration says of columns; what it leaves out is found by the usual names. */
export interface ColumnNames {
  readonly id?: string | undefined;
  readonly images?: string | undefined;
  readonly turns?: string | undefined;
  readonly source?: string | undefined;
}

const USUAL = {
  id: ["id", "sample_id"],
  images: ["images", "image"],
  turns: ["conversations", "messages", "texts"],
  source: ["source", "dataset", "task"],
} as const;

const REMEDY = "name the column under source.columns";

/** Throws PlanError naming the column, the types that will do, and what was found. */
export function mapColumns(schema: Schema, names: ColumnNames, pass_through: readonly string[], path: string): ColumnMapping {
  const find = (role: keyof typeof USUAL): Field | undefined => {
    const wanted = names[role] === undefined ? USUAL[role] : [names[role]];
    const field = wanted.map((name) => schema.fields.find((other) => other.name === name)).find((found) => found !== undefined);
    if (!field && (names[role] !== undefined || role === "turns")) throw missing(path, schema, wanted);
    return field;
  };
  const [id, images, turns, source] = [find("id"), find("images"), find("turns")!, find("source")];
  if (id && !isText(id.type) && !DataType.isInt(id.type)) throw mistyped(path, id, "text or an integer");
  if (!isListOf(turns.type, (item) => DataType.isStruct(item))) throw mistyped(path, turns, "a list of structs (from and value, role and content, or user and assistant)");
  if (images && !isImages(images.type)) throw mistyped(path, images, "a struct of bytes and path, bytes, a path, or a list of them");
  if (source && !isText(source.type)) throw mistyped(path, source, "text");
  for (const name of pass_through) checkPassThrough(path, schema, name);
  return { id: id?.name, images: images?.name, turns: turns.name, source: source?.name, pass_through };
}

/** The leaf columns that the index pass reads: all that are mapped, but not the images' bytes. */
export function indexLeaves(mapping: ColumnMapping, leaves: readonly string[]): string[] {
  const wanted = new Set([mapping.id, mapping.images, mapping.turns, mapping.source, ...mapping.pass_through]);
  return leaves.filter((leaf) => {
    const [top] = leaf.split(".");
    if (!wanted.has(top)) return false;
    return !(top === mapping.images && leaf.endsWith(".bytes") && leaves.includes(leaf.replace(/bytes$/, "path")));
  });
}

/** The columns that are read with a split. */
export function readColumns({ id, images, turns, source, pass_through }: ColumnMapping): string[] {
  return [...new Set([id, images, turns, source, ...pass_through].filter((name) => name !== undefined))];
}

/** Also as categories: what pandas, Polars and pyarrow write of a column with few values. */
function isText(type: DataType): boolean {
  return DataType.isUtf8(type) || DataType.isLargeUtf8(type) || (DataType.isDictionary(type) && isText(type.dictionary as DataType));
}

function isBytes(type: DataType): boolean {
  return DataType.isBinary(type) || DataType.isLargeBinary(type);
}

function isListOf(type: DataType, item: (type: DataType) => boolean): boolean {
  return (DataType.isList(type) || DataType.isLargeList(type) || DataType.isFixedSizeList(type)) && item((type.children)[0]!.type as DataType);
}

function isImage(type: DataType): boolean {
  if (isText(type) || isBytes(type)) return true;
  return DataType.isStruct(type) && type.children.some((child: Field) => child.name === "bytes" || child.name === "path");
}

const isImages = (type: DataType): boolean => isImage(type) || isListOf(type, isImage);

function missing(path: string, schema: Schema, wanted: readonly string[]): PlanError {
  return new PlanError(`${path} has no column ${wanted.join(" or ")}; it has ${schema.fields.map((field) => field.name).join(", ")}`, { remedy: REMEDY });
}

function mistyped(path: string, field: Field, wanted: string): PlanError {
  return new PlanError(`${path}: column ${field.name} is ${String(field.type)}, not ${wanted}`, { remedy: REMEDY });
}

function checkPassThrough(path: string, schema: Schema, name: string): void {
  const field = schema.fields.find((other) => other.name === name);
  if (!field) throw new PlanError(`${path} has no column ${name}; it has ${schema.fields.map((other) => other.name).join(", ")}`, { remedy: "correct source.pass_through" });
  if (SAMPLE_COLUMNS.some((column) => column.name === name)) throw new PlanError(`source.pass_through names ${name}, which the output has already`, { remedy: "leave it out" });
  if (!canPassThrough(field.type as DataType)) throw new PlanError(`${path}: column ${name} is ${String(field.type)}, which can't be passed through`, { remedy: "leave it out of source.pass_through" });
}

function canPassThrough(type: DataType): boolean {
  if (DataType.isList(type) || DataType.isStruct(type)) return (type.children).every((child) => canPassThrough(child.type as DataType));
  return DataType.isInt(type) || DataType.isBool(type) || DataType.isUtf8(type) || DataType.isBinary(type) || (DataType.isFloat(type) && type.precision !== Precision.HALF);
}

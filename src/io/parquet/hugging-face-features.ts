import { DataType, type Field, type Schema } from "apache-arrow";
import { InternalError } from "../../core/errors.ts";

/**
 * The value of the footer key `huggingface`, from which `datasets.load_dataset` takes the columns' types.
 * A list is written as a one-element array, which every version of `datasets` reads; `_type: "List"` is read from
 * version 4 on only, and `Sequence` of a struct means a struct of lists.
 */
export function huggingFaceFeatures(schema: Schema): string {
  const features = Object.fromEntries(schema.fields.map((field) => [field.name, feature(field.type as DataType, field.name)]));
  return JSON.stringify({ info: { features } });
}

function feature(type: DataType, name: string): unknown {
  if (DataType.isList(type)) return [feature(type.children[0]!.type as DataType, name)];
  if (DataType.isStruct(type)) return Object.fromEntries(type.children.map((child: Field) => [child.name, feature(child.type as DataType, name)]));
  return { dtype: valueType(type, name), _type: "Value" };
}

function valueType(type: DataType, name: string): string {
  if (DataType.isUtf8(type) || DataType.isLargeUtf8(type)) return "string";
  if (DataType.isBinary(type)) return "binary";
  if (DataType.isBool(type)) return "bool";
  if (DataType.isInt(type)) return `${type.isSigned ? "" : "u"}int${type.bitWidth}`;
  if (DataType.isFloat(type)) return ["float16", "float32", "float64"][type.precision]!;
  throw new InternalError(`column ${name} has the Arrow type ${type.typeId}, which has no Hugging Face feature here`);
}

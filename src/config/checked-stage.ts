/** Holds a stage from elsewhere to what every stage promises (src/core/stage.ts): its mistake must not become data. */
import { DataType, type RecordBatch, Schema } from "apache-arrow";
import { PipelineError, PlanError, StageError } from "../core/errors.ts";
import { typeName } from "../core/flat-data.ts";
import { projectColumns, utf8Values } from "../core/record-batch.ts";
import { REJECT_CODES, type Reject } from "../core/rejects.ts";
import type { Batch, BatchSchema, MapStage, StageOutput } from "../core/stage.ts";

const remedy = "see docs/library.md for what a stage of your own may do";

/**
 * The same stage, with its schema and every batch checked: it keeps all columns with their types, may change values and
 * add columns behind them, keeps the order of rows, and rejects with known codes. `origin` is named in errors.
 * Throws PlanError for a wrong schema, StageError for a batch that breaks the promise.
 */
export function checkedStage(stage: MapStage, origin: string): MapStage {
  const name = `stage ${stage.kind} (${origin})`;
  return {
    ...stage,
    outputSchema: (input) => checkSchemas(name, input, declaredSchema(name, stage, input)),
    async open(signal) {
      const operator = await stage.open(signal);
      return {
        async process(batch, context) {
          const declared = checkSchemas(name, { samples: batch.samples.schema, images: batch.images.schema }, stage.outputSchema({ samples: batch.samples.schema, images: batch.images.schema }));
          return checkOutput(name, batch, await operator.process(batch, context), declared);
        },
        closeSplit: async (split) => operator.closeSplit?.(split),
        close: () => operator.close(),
      };
    },
  };
}

function declaredSchema(name: string, stage: MapStage, input: BatchSchema): BatchSchema {
  try {
    return stage.outputSchema(input);
  } catch (error) {
    if (error instanceof PipelineError) throw error;
    throw new PlanError(`${name} fails in outputSchema: ${error instanceof Error ? error.message : String(error)}`, { cause: error, remedy });
  }
}

function checkSchemas(name: string, input: BatchSchema, output: BatchSchema): BatchSchema {
  return { samples: checkSchema(name, "samples", input.samples, output.samples), images: checkSchema(name, "images", input.images, output.images) };
}

/** What arrived, in its order, and what was added behind it. */
function checkSchema(name: string, table: string, input: Schema, output: Schema): Schema {
  const refuse = (problem: string): never => {
    throw new PlanError(`${name} ${problem}`, { remedy });
  };
  for (const field of input.fields) {
    const kept = output.fields.find((other) => other.name === field.name) ?? refuse(`drops the column ${field.name} of ${table}`);
    if (String(kept.type) !== String(field.type) || kept.nullable !== field.nullable) refuse(`changes the type of the column ${field.name} of ${table}`);
  }
  const added = output.fields.filter((field) => !input.fields.some((other) => other.name === field.name));
  const strange = added.find((field) => !isCarried(field.type));
  if (strange) refuse(`adds the column ${strange.name} of type ${String(strange.type)}, which is not carried: use int32, float32, float64, bool, utf8, binary, or lists and structs of them`);
  return new Schema([...input.fields, ...added]);
}

function isCarried(type: DataType): boolean {
  if (DataType.isList(type) || DataType.isStruct(type)) return type.children.every((child) => isCarried(child.type));
  return ["Int32", "Float32", "Float64", "Bool", "Utf8", "Binary"].includes(typeName(type));
}

function checkOutput(name: string, input: Batch, output: StageOutput, declared: BatchSchema): StageOutput {
  const { batch, rejects } = output;
  if (batch.images.numRows !== input.images.numRows) throw new StageError(`${name} took ${input.images.numRows} images and gave ${batch.images.numRows}`, { remedy });
  checkRows(name, utf8Values(input.samples, "sample_id"), utf8Values(batch.samples, "sample_id"), rejects);
  return { batch: { samples: project(name, batch.samples, declared.samples), images: project(name, batch.images, declared.images) }, rejects };
}

/** Every sample that came leaves once, in its order, or is rejected. */
function checkRows(name: string, came: readonly string[], left: readonly string[], rejects: readonly Reject[]): void {
  const strange = rejects.find(({ code }) => !Object.hasOwn(REJECT_CODES, code));
  if (strange) throw new StageError(`${name} rejects with the code ${String(strange.code)}, which is none`, { remedy: "use rejected_by_module" });
  const rejected = new Set(rejects.map((reject) => reject.sample_id));
  const expected = came.filter((id) => !rejected.has(id));
  const conserves = came.length === left.length + rejects.length && expected.length === left.length && expected.every((id, row) => id === left[row]);
  if (!conserves) throw new StageError(`${name} took ${came.length} samples and gave ${left.length} and ${rejects.length} rejects, not all of them once and in their order`, { remedy });
}

function project(name: string, batch: RecordBatch, schema: Schema): RecordBatch {
  const wrong = schema.fields.find((field) => String(batch.schema.fields.find((other) => other.name === field.name)?.type) !== String(field.type));
  if (wrong) throw new StageError(`${name} gives no column ${wrong.name} of type ${String(wrong.type)}, which its outputSchema promises`, { remedy });
  return projectColumns(batch, schema);
}

import { join } from "node:path";
import type { RecordBatch, Schema } from "apache-arrow";
import { makeFolder, move, syncFolder, TEMPORARY_SUFFIX, writeDurably } from "../output/durable-file.ts";
import { huggingFaceFeatures } from "../parquet/hugging-face-features.ts";
import { ArrowStreamFile } from "./arrow-stream-file.ts";

/** A file ends with the batch that brings it here: half of what `datasets` itself writes, quick to copy and to map. */
const FILE_BYTES = 256 * 2 ** 20;

/**
 * The folder that `datasets.DatasetDict.save_to_disk` makes, with one split: `dataset_dict.json`, and for the split
 * Arrow streams with `dataset_info.json` (types) and `state.json` (which files). Read by `datasets.load_from_disk`.
 */
export class SavedDataset {
  readonly #folder: string;
  readonly #split: string;
  readonly #schema: Schema;
  readonly #fingerprint: string;
  #file: ArrowStreamFile | undefined;
  #num_files = 0;
  #num_bytes = 0;
  #num_rows = 0;

  private constructor(folder: string, split: string, schema: Schema, fingerprint: string) {
    this.#folder = folder;
    this.#split = split;
    this.#schema = schema;
    this.#fingerprint = fingerprint;
  }

  /** `fingerprint` (16 hex digits) names the content: `datasets` caches what is made from it under that name. */
  static async create(folder: string, options: { readonly split: string; readonly schema: Schema; readonly fingerprint: string }): Promise<SavedDataset> {
    await makeFolder(join(folder, options.split));
    return new SavedDataset(folder, options.split, options.schema, options.fingerprint);
  }

  async write(batch: RecordBatch): Promise<void> {
    this.#file ??= await ArrowStreamFile.create(this.#pathOf(this.#num_files), this.#schema);
    await this.#file.write(batch);
    if (this.#file.num_bytes >= FILE_BYTES) await this.#finishFile();
  }

  async finish(): Promise<void> {
    if (this.#num_files === 0) this.#file ??= await ArrowStreamFile.create(this.#pathOf(0), this.#schema);
    if (this.#file) await this.#finishFile();
    const split = join(this.#folder, this.#split);
    const total = String(this.#num_files).padStart(5, "0");
    const names = Array.from({ length: this.#num_files }, (_, i) => `data-${String(i).padStart(5, "0")}-of-${total}.arrow`);
    for (const [i, name] of names.entries()) await move(this.#pathOf(i), join(split, name));
    await writeJson(join(split, "dataset_info.json"), this.#datasetInfo());
    await writeJson(join(split, "state.json"), {
      _data_files: names.map((filename) => ({ filename })),
      _fingerprint: this.#fingerprint,
      _format_columns: null,
      _format_kwargs: {},
      _format_type: null,
      _output_all_columns: false,
      _split: this.#split,
    });
    await syncFolder(split);
    await writeJson(join(this.#folder, "dataset_dict.json"), { splits: [this.#split] });
  }

  /** Closes what is open, for the caller to delete the folder. */
  async abandon(): Promise<void> {
    await this.#file?.abandon();
  }

  #datasetInfo(): Record<string, unknown> {
    const { info } = JSON.parse(huggingFaceFeatures(this.#schema)) as { info: { features: Record<string, unknown> } };
    const num_bytes = this.#num_bytes;
    return {
      citation: "",
      description: "",
      features: info.features,
      homepage: "",
      license: "",
      splits: { [this.#split]: { name: this.#split, num_bytes, num_examples: this.#num_rows, dataset_name: "vig" } },
    };
  }

  #pathOf(file: number): string {
    return join(this.#folder, this.#split, `data-${file}${TEMPORARY_SUFFIX}`);
  }

  async #finishFile(): Promise<void> {
    const file = this.#file!;
    await file.finish();
    this.#num_files++;
    this.#num_bytes += file.num_bytes;
    this.#num_rows += file.num_rows;
    this.#file = undefined;
  }
}

function writeJson(path: string, value: unknown): Promise<void> {
  return writeDurably(path, `${JSON.stringify(value, null, 2)}\n`);
}

/** Runs of any length that cost little a sample: a micro model, short conversations, small photographs, each read and decoded. */
import { createWriteStream } from "node:fs";
import { once } from "node:events";
import { cp, link, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";

export interface MicroJob {
  readonly annotations: string;
  readonly image_root: string;
  readonly model: string;
}

/** Questions about one image stand together, as in data sets of questions. */
const SAMPLES_AN_IMAGE = 16;
const IMAGES_A_FOLDER = 1000;
/** File systems limit the names of one file. */
const NAMES_A_FILE = 1000;
/** The micro model's own, so that nothing has to be resized. */
const SIDE_PX = 56;
const ANSWERS = ["yes .", "two red cars .", "it is above the tree ."];
const TEMPLATE = "{% for message in messages %}{% if message.role == 'user' %}USER: {{ message.content }} ASSISTANT:{% else %} {{ message.content }}</s>{% endif %}{% endfor %}";

/** Everything that a run over `numSamples` samples reads, under `folder`. Every sixteenth sample brings an image file of its own. */
export async function makeMicroJob(folder: string, numSamples: number): Promise<MicroJob> {
  const job = { annotations: join(folder, "samples.jsonl"), image_root: join(folder, "images"), model: join(folder, "model") };
  await makeModel(job.model);
  const names = await makeImages(job.image_root, Math.ceil(numSamples / SAMPLES_AN_IMAGE));
  const file = createWriteStream(job.annotations);
  for (let i = 0; i < numSamples; i++) {
    const conversations = [
      { from: "human", value: "<image>\nwhat do you see ?" },
      { from: "gpt", value: ANSWERS[(i * 7) % ANSWERS.length] },
    ];
    const record = { id: `sample-${i}`, image: names(Math.floor(i / SAMPLES_AN_IMAGE)), conversations };
    if (!file.write(`${JSON.stringify(record)}\n`)) await once(file, "drain");
  }
  file.end();
  await once(file, "finish");
  return job;
}

/** The tests' tiny LLaVA without the long system prompt of its usual template. */
async function makeModel(folder: string): Promise<void> {
  await cp("test/fixtures/models/llava", folder, { recursive: true });
  await writeFile(join(folder, "chat_template.jinja"), TEMPLATE);
}

/** JPEGs of the demo's pictures; each gets many names, so that what is kept for an image file adds up. Gives the name of the nth. */
async function makeImages(folder: string, count: number): Promise<(n: number) => string> {
  const pictures = (await readdir("data/demo/images")).sort();
  const nameOf = (n: number) => join(String(Math.floor(n / IMAGES_A_FOLDER)), `${n}.jpg`);
  for (let first = 0; first < count; first += IMAGES_A_FOLDER) await mkdir(join(folder, String(first / IMAGES_A_FOLDER)), { recursive: true });
  const numFiles = Math.max(Math.min(count, pictures.length), Math.ceil(count / NAMES_A_FILE));
  for (let n = 0; n < count; n++) {
    const path = join(folder, nameOf(n));
    const picture = join("data/demo/images", pictures[n % pictures.length]!);
    if (n < numFiles) await sharp(picture).resize(SIDE_PX, SIDE_PX, { fit: "fill" }).jpeg().toFile(path);
    else await link(join(folder, nameOf(n % numFiles)), path);
  }
  return nameOf;
}

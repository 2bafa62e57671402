import { pack } from "tar-stream";

/** Name, content (objects as JSON), and further fields of the header. */
export type Entry = [name: string, content: string | Buffer | object, header?: object];

/** The bytes of an archive. */
export async function tarOf(entries: readonly Entry[]): Promise<Buffer> {
  const archive = pack();
  for (const [name, content, header] of entries) {
    const bytes = typeof content === "string" || Buffer.isBuffer(content) ? content : JSON.stringify(content);
    archive.entry({ name, ...header }, bytes);
  }
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

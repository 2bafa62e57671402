import { join } from "node:path";
import type { Source } from "../core/source.ts";
import { writeAndSync } from "../io/output/durable-file.ts";
import { renderPage } from "./page.ts";
import { collectReport } from "./report-data.ts";
import { type RunTimeline, TIMELINE_FILE } from "./run-timeline.ts";
import { ScoresFolder } from "./scores-folder.ts";
import { SourceImages } from "./source-images.ts";

export const REPORT_FILE = "report.html";

export interface ReportOptions {
  /** Of a run that has ended. */
  readonly outputPath: string;
  /** What the run has read, for its images; undefined: none are shown. */
  readonly openSource: (input: Readonly<Record<string, unknown>>) => Promise<Source | undefined>;
  /** Ids of samples that the page has to show, whatever else it shows. */
  readonly samples?: readonly string[];
  /** Where the page goes; report.html in the output folder unless said otherwise. */
  readonly file?: string;
  /** Of the run that has just ended; kept in the folder for reports that are made later. */
  readonly timeline?: RunTimeline;
  readonly signal: AbortSignal;
}

export interface WrittenReport {
  readonly path: string;
  readonly num_bytes: number;
  readonly num_pictures: number;
}

/**
 * Writes one self-contained page about a finished run, and changes nothing else.
 * Throws PlanError where the folder holds no finished run or not the samples asked for, StageError where its scores are damaged.
 */
export async function writeReport({ outputPath, openSource, samples = [], file, timeline, signal }: ReportOptions): Promise<WrittenReport> {
  const folder = await ScoresFolder.open(outputPath);
  try {
    if (timeline) await writeAndSync(join(folder.path, TIMELINE_FILE), JSON.stringify(timeline));
    // A source that can't be opened any more costs the page its images, nothing else.
    const source = await openSource(folder.manifest.input).catch(() => undefined);
    const data = await collectReport(folder, { asked: samples, openImages: (rejectsBySplit) => source && new SourceImages(source, rejectsBySplit), signal });
    const page = renderPage(data);
    const path = file ?? join(folder.path, REPORT_FILE);
    await writeAndSync(path, page);
    return { path, num_bytes: Buffer.byteLength(page), num_pictures: data.pictures.length };
  } finally {
    await folder.close();
  }
}

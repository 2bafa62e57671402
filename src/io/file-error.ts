import { PipelineError, PlanError, ResourceExhaustedError, StageError } from "../core/errors.ts";

/** What the operating system's refusals mean for a user, and what to do about each. */
const CAUSES: Readonly<Record<string, { readonly type: typeof PlanError | typeof ResourceExhaustedError; readonly what: string; readonly remedy: string }>> = {
  ENOSPC: { type: ResourceExhaustedError, what: "the disk is full", remedy: "free some space or move the output, then run again: it continues" },
  EDQUOT: { type: ResourceExhaustedError, what: "the disk quota is used up", remedy: "free some space or move the output, then run again: it continues" },
  EFBIG: { type: ResourceExhaustedError, what: "the file grew over the file system's limit", remedy: "use a file system that takes larger files" },
  EMFILE: { type: ResourceExhaustedError, what: "this process has too many open files", remedy: "raise the limit (ulimit -n)" },
  ENFILE: { type: ResourceExhaustedError, what: "the system has too many open files", remedy: "close other programs or raise the system's limit" },
  EROFS: { type: PlanError, what: "the file system is read-only", remedy: "choose an output path that can be written" },
  EACCES: { type: PlanError, what: "permission denied", remedy: "grant access to it or choose another path" },
  EPERM: { type: PlanError, what: "operation not permitted", remedy: "grant access to it or choose another path" },
  ENOENT: { type: PlanError, what: "it does not exist", remedy: "correct the path" },
  ENOTDIR: { type: PlanError, what: "a part of the path is a file, not a folder", remedy: "correct the path" },
  EISDIR: { type: PlanError, what: "it is a folder, not a file", remedy: "correct the path" },
  EEXIST: { type: PlanError, what: "a file is in the way", remedy: "choose another path or remove the file" },
};

/**
 * An error of the file system as one that names the path and the fix. `doing` is a verb with what stands before
 * the path: "write", "rename". Errors that are already ours stay as they are.
 */
export function asFileError(error: unknown, doing: string, path: string): PipelineError {
  if (error instanceof PipelineError) return error;
  const code = (error as NodeJS.ErrnoException | null)?.code ?? "";
  const cause = CAUSES[code];
  const message = error instanceof Error ? error.message : String(error);
  if (!cause) return new StageError(`can't ${doing} ${path}: ${message}`, { cause: error });
  return new cause.type(`can't ${doing} ${path}: ${cause.what} (${code})`, { cause: error, remedy: cause.remedy });
}

/** Runs `act`; what it throws becomes an error that names `path`. */
export async function naming<T>(doing: string, path: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw asFileError(error, doing, path);
  }
}

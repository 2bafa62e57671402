import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

/** Which process this is, well enough that a number used again is not mistaken for it. "" where a system can't say. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly host: string;
  /** Of the installed system: two machines may share a host name. */
  readonly machine_id: string;
  /** Changes with every start of the machine. */
  readonly boot_id: string;
  /** Process numbers mean something only within it (containers). */
  readonly pid_namespace: string;
  /** Clock ticks from the machine's start to the process's. */
  readonly started: string;
}

export function thisProcess(): ProcessIdentity {
  return {
    pid: process.pid,
    host: hostname(),
    machine_id: readOr("", () => readFileSync("/etc/machine-id", "utf8").trim()),
    boot_id: readOr("", () => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()),
    pid_namespace: readOr("", () => readlinkSync("/proc/self/ns/pid")),
    started: processStart(process.pid) ?? "",
  };
}

/**
 * Whether the process still runs; "unknown" where it is of another machine or container, whose processes can't be
 * seen from here.
 */
export function isRunning(other: ProcessIdentity, self: ProcessIdentity = thisProcess()): "yes" | "no" | "unknown" {
  if (other.host !== self.host || other.machine_id !== self.machine_id) return "unknown";
  if (other.boot_id !== self.boot_id) return "no";
  if (other.pid_namespace !== self.pid_namespace) return "unknown";
  if (self.boot_id === "") return signalReaches(other.pid) ? "yes" : "no"; // not Linux: the number is all there is
  return processStart(other.pid) === other.started ? "yes" : "no";
}

/** undefined where no such process runs; a zombie has ended. */
function processStart(pid: number): string | undefined {
  // proc(5): the name stands in parentheses and may hold spaces; state is the field behind it, starttime the 22nd.
  const stat = readOr("", () => readFileSync(`/proc/${pid}/stat`, "utf8"));
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
}

function signalReaches(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function readOr<T>(otherwise: T, read: () => T): T {
  try {
    return read();
  } catch {
    return otherwise;
  }
}

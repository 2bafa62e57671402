import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { type InferenceSession, listSupportedBackends } from "onnxruntime-node";
import { PlanError } from "../core/errors.ts";

/** "cuda:1" is of the class "cuda": devices of one class give the same numbers. */
export function deviceClass(device: string): string {
  return device.split(":")[0]!;
}

/** Its name for what runs the nodes of a device, in onnxruntime's own records. */
export function providerName(device: string): string {
  return { cuda: "CUDAExecutionProvider", webgpu: "WebGpuExecutionProvider" }[deviceClass(device)] ?? "CPUExecutionProvider";
}

/**
 * Floats of pixels that may go into one run of the vision encoder. On a processor many are no faster than few, and its
 * memory grows with them (`npm run bench:encoder`); a device is kept busy by many.
 */
export function maxCallValues(device: string): number {
  return device === "cpu" ? 3 << 19 : 12 << 20;
}

/** Throws PlanError where this onnxruntime-node has no such device. */
export function executionProvider(device: string): InferenceSession.ExecutionProviderConfig {
  const [kind, index] = device.split(":");
  const known = listSupportedBackends().map(({ name }) => name);
  if (!known.includes(kind!)) {
    throw new PlanError(`device ${device} is not available: this onnxruntime-node has ${known.join(", ")}`, { remedy: "set model.device to cpu" });
  }
  return kind === "cuda" ? { name: "cuda", deviceId: Number(index ?? 0) } : kind!;
}

/** Variables that the inference process of a device is started with, where the user has set none. */
export function deviceEnvironment(device: string): Readonly<Record<string, string>> {
  if (deviceClass(device) !== "cuda") return {};
  return {
    // onnxruntime lets CUDA round float32 operands to TF32 (10 bits): fp32 would not be fp32.
    NVIDIA_TF32_OVERRIDE: "0",
    // For every new number and length of sequences cuDNN's attention makes a plan, and onnxruntime keeps all of them: a megabyte a batch.
    ORT_ENABLE_CUDNN_FLASH_ATTENTION: "0",
  };
}

/** The PlanError for a session that could not be made on `device`; undefined where the reason is not the device. */
export function deviceError(device: string, text: string, cause: unknown): PlanError | undefined {
  const kind = deviceClass(device);
  if (kind === "cpu" || !/adapter|device|provider|cuda|vulkan|webgpu|library/i.test(text)) return undefined;
  if (kind === "webgpu") {
    return new PlanError(`device ${device} is not available: ${text}`, {
      cause,
      remedy: "install the Vulkan loader, the driver's ICD and the X11 client libraries (docs/gpu.md), or set model.device to cpu",
    });
  }
  const { message, remedy } = cudaProblem(text);
  return new PlanError(`device ${device} is not available: ${message}`, { cause, remedy });
}

const CUDA_LIBRARIES = ["libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so"];

/** onnxruntime says no more than "Failed to load shared library": what is missing is found by loading it once more. */
function cudaProblem(text: string): { readonly message: string; readonly remedy: string } {
  const folder = nativeFolder();
  const absent = CUDA_LIBRARIES.filter((name) => !existsSync(join(folder, name)));
  if (absent.length > 0) {
    return { message: `${absent.join(" and ")} not found in ${folder}`, remedy: "put onnxruntime's CUDA libraries there, as docs/gpu.md says, or set model.device to cpu" };
  }
  const missing = missingLibrary(join(folder, "libonnxruntime_providers_cuda.so"));
  if (missing !== undefined) {
    const major = /^lib(?:cublas|cublasLt|cudart)\.so\.(\d+)/.exec(missing)?.[1];
    const what = missing.startsWith("libcuda.") ? "the NVIDIA driver" : major ? `CUDA ${major}` : "the library";
    return { message: `${missing} was not found`, remedy: `install ${what} and name its folder in LD_LIBRARY_PATH (docs/gpu.md), or set model.device to cpu` };
  }
  const failure = /CUDA failure \d+: [^;]*/.exec(text)?.[0].trim();
  return { message: failure ?? text, remedy: "see that nvidia-smi lists the device and that its driver is new enough (docs/gpu.md), or set model.device to cpu" };
}

/** Where onnxruntime-node keeps its native libraries, and looks for further ones. */
export function nativeFolder(): string {
  const entry = createRequire(import.meta.url).resolve("onnxruntime-node/package.json");
  return join(dirname(entry), "bin", "napi-v6", process.platform, process.arch);
}

/** The first library that `file` needs and the loader can't find. */
function missingLibrary(file: string): string | undefined {
  try {
    process.dlopen({ exports: {} }, file);
  } catch (error) {
    return /(lib[\w.+-]+\.so[\w.]*): cannot open shared object file/.exec(String(error))?.[1];
  }
  return undefined;
}

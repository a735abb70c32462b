import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, resolve } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import type * as OrtModule from 'onnxruntime-node';
import { LoomweightError } from '../../protocol/errors';

/** ONNX Runtime's Node API. */
export type Ort = typeof OrtModule;

/** The version of onnxruntime-node that this engine is written for and tested with. */
export const coreRuntimeVersion = '1.30.0';

/** Location and version of an onnxruntime-node package, determined without loading it. */
export interface RuntimePackage {
  /** Folder of package.json. */
  readonly folder: string;
  readonly version: string;
  /** Folder of the native files for this platform. */
  readonly nativeFolder: string;
  /** `bundled` next to the engine, or `configured` by loomweight.runtime.path. */
  readonly origin: 'bundled' | 'configured';
}

/** Environment variable with the same meaning as the setting `loomweight.runtime.path`. */
export const runtimePathVariable = 'LOOMWEIGHT_RUNTIME_PATH';

/** The requested folder: the argument, otherwise the environment variable, otherwise none. */
export function configuredRuntimePath(runtimePath: string | undefined): string | undefined {
  return runtimePath || process.env[runtimePathVariable] || undefined;
}

/**
 * Finds the onnxruntime-node package: the configured folder (a package folder, or one whose node_modules contains it), otherwise the one
 * next to the engine. Errors: `not-found` if the folder does not contain the package, `unsupported` for a platform without native files.
 */
export function findRuntimePackage(
  runtimePath?: string,
  platform: { readonly platform: string; readonly arch: string } = process,
): RuntimePackage {
  const configured = configuredRuntimePath(runtimePath);
  const folder = configured === undefined ? bundledFolder() : packageFolderAt(resolve(configured));
  const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string };
  const nativeFolder = join(folder, 'bin', 'napi-v6', platform.platform, platform.arch);
  if (!existsSync(join(nativeFolder, 'onnxruntime_binding.node')))
    throw new LoomweightError(
      'unsupported',
      `ONNX Runtime ${version} has no build for ${platform.platform}-${platform.arch}: ${nativeFolder} is missing. ` +
        'Install the Loomweight package for this platform, or set loomweight.runtime.path.',
      { folder, platform: platform.platform, arch: platform.arch },
    );
  return { folder, version, nativeFolder, origin: configured === undefined ? 'bundled' : 'configured' };
}

function packageFolderAt(folder: string): string {
  for (const candidate of [folder, join(folder, 'node_modules', 'onnxruntime-node'), join(folder, 'onnxruntime-node')]) {
    const manifest = join(candidate, 'package.json');
    if (!existsSync(manifest)) continue;
    const name = readName(manifest);
    if (name === 'onnxruntime-node') return candidate;
  }
  throw new LoomweightError(
    'not-found',
    `loomweight.runtime.path must name a folder with an onnxruntime-node package, but ${folder} does not contain one. ` +
      'Name the folder that contains its package.json, or clear the setting.',
    { folder },
  );
}

function readName(manifest: string): unknown {
  try {
    return (JSON.parse(readFileSync(manifest, 'utf8')) as { name?: unknown }).name;
  } catch {
    return undefined; // An unreadable manifest means there is no package.
  }
}

function bundledFolder(): string {
  try {
    return dirname(dirname(createRequire(__filename).resolve('onnxruntime-node')));
  } catch (error) {
    throw new LoomweightError(
      'not-found',
      'ONNX Runtime (onnxruntime-node) is not installed next to the engine. Reinstall Loomweight, or set loomweight.runtime.path.',
      { from: dirname(__filename) },
      { cause: error },
    );
  }
}

/** Turns off ONNX Runtime's telemetry when it is set before the native library is loaded. */
const telemetryVariable = 'ORT_DISABLE_TELEMETRY';

/**
 * Loads ONNX Runtime with its telemetry off, whichever package it comes from: otherwise the library looks up a collector of its vendor, keeps
 * a device id and events with the names of models in the user's cache folder, and writes a log per process to the temporary folder. The only
 * place that loads it, in the product and in the tests. Node's module cache ensures that this happens once per process. A second folder in the same process is refused: the
 * native libraries share a name, so the second would use those of the first.
 */
export function loadOrt(found: RuntimePackage): Ort {
  // A worker thread has a copy of the environment: what it sets there never reaches the native library.
  if (!isMainThread)
    throw new LoomweightError('internal', 'ONNX Runtime must be loaded in the main thread of a process.', { folder: found.folder });
  const require = createRequire(__filename);
  const other = Object.keys(require.cache).find(
    (path) => basename(path) === 'onnxruntime_binding.node' && dirname(path) !== realpathSync(found.nativeFolder),
  );
  if (other !== undefined)
    throw new LoomweightError(
      'runtime',
      `This process already uses ONNX Runtime from ${dirname(other)} and cannot load ${found.folder} as well. ` +
        'Start a new process: reload the window, or run the command again.',
      { loaded: dirname(other), asked: found.folder },
    );
  // Unless the user decided otherwise: by default NVIDIA's libraries round the operands of float32 products and convolutions to TF32 (10
  // bits of mantissa), and ONNX Runtime's Node binding passes no provider options. The variable is read when the libraries are loaded.
  process.env['NVIDIA_TF32_OVERRIDE'] ??= '0';
  process.env[telemetryVariable] = '1';
  try {
    return require(found.folder) as Ort;
  } catch (error) {
    throw new LoomweightError(
      'runtime',
      `ONNX Runtime ${found.version} in ${found.folder} cannot be loaded: ${error instanceof Error ? error.message : String(error)}. ` +
        (found.origin === 'configured' ? 'Correct or clear loomweight.runtime.path.' : 'Reinstall Loomweight.'),
      { folder: found.folder, version: found.version },
      { cause: error },
    );
  }
}

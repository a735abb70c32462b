import { join } from 'node:path';
import type { DeviceStatus } from '../../protocol/devices';
import { coreRuntimeVersion } from './loadOrt';
import type { RuntimePackage } from './loadOrt';
import { findLibrary } from './machine';
import type { Machine } from './machine';

/** One of the checks of a device. */
export type DeviceCheck = DeviceStatus['checks'][number];

/**
 * Minimum driver for a major version of CUDA. Source: CUDA Toolkit release notes, table of minimum driver versions (Linux 525.60.13,
 * 580.65.06).
 */
const leastDrivers: Readonly<Record<string, number>> = { '12': 525, '13': 580 };

const cudnnLibrary = 'libcudnn.so.9';
/** Libraries that the npm package's CUDA provider is linked with; replaced by the requirements of an installed provider. */
const usualLibraries = [
  'libcudart.so.12',
  'libcublas.so.12',
  'libcublasLt.so.12',
  'libcurand.so.10',
  'libcufft.so.11',
  'libnvrtc.so.12',
  cudnnLibrary,
] as const;
const isCudnn = (name: string) => name.startsWith('libcudnn');
const providerLibrary = 'libonnxruntime_providers_cuda.so';

/** A GPU as listed by nvidia-smi. */
export interface NvidiaCard {
  readonly name: string;
  readonly driver: string;
  /** Undefined if the driver does not report it, for example for a partition of a GPU. */
  readonly memoryFreeBytes?: number;
}

const cardQuery = ['--query-gpu=name,driver_version,memory.free', '--format=csv,noheader,nounits'];

/** The NVIDIA GPU that CUDA uses: the first one, or the first of CUDA_VISIBLE_DEVICES. Undefined if nvidia-smi lists none. */
export function findNvidiaCard(machine: Machine): NvidiaCard | undefined {
  if (hidesEveryCard(machine)) return undefined;
  const wanted = firstVisible(machine);
  // A partition of a GPU (MIG-...) is not listed by name: use the first GPU instead.
  const text = (wanted && machine.run('nvidia-smi', [`--id=${wanted}`, ...cardQuery])) || machine.run('nvidia-smi', cardQuery);
  const [name, driver, free] = (text?.split('\n')[0] ?? '').split(',').map((field) => field.trim());
  if (!name || !driver) return undefined;
  const megabytes = Number.parseFloat(free ?? '');
  return { name, driver, ...(megabytes >= 0 ? { memoryFreeBytes: megabytes * 2 ** 20 } : {}) };
}

const firstVisible = ({ env }: Machine): string | undefined => env['CUDA_VISIBLE_DEVICES']?.split(',')[0]?.trim();

/** True if CUDA_VISIBLE_DEVICES is empty or starts with a negative number, so that CUDA sees no GPU. */
function hidesEveryCard(machine: Machine): boolean {
  const first = firstVisible(machine);
  return first !== undefined && (first === '' || first.startsWith('-'));
}

/** Driver version from the kernel module, if nvidia-smi is not installed. */
function driverFromKernel(machine: Machine): string | undefined {
  return /Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)\s/.exec(machine.read('/proc/driver/nvidia/version') ?? '')?.[1];
}

/**
 * Everything CUDA needs, in the order in which to set it up. Only looks for files and loads nothing. A failed check states in one sentence
 * what to do.
 */
export function cudaChecks(machine: Machine, found: RuntimePackage): readonly DeviceCheck[] {
  if (machine.platform !== 'linux' || machine.arch !== 'x64')
    return [
      {
        name: 'platform',
        passed: false,
        found: `${machine.platform}-${machine.arch}`,
        advice: `onnxruntime-node supports CUDA on linux-x64 only; use ${machine.platform === 'win32' ? 'dml or webgpu' : 'webgpu'} here.`,
      },
    ];
  const needed = neededLibraries(machine, found);
  const version = /\.so\.(\d+)/.exec(needed.find((name) => name.startsWith('libcudart')) ?? '')?.[1] ?? '12';
  return [...driverChecks(machine, version), ...packageChecks(machine, found), ...libraryChecks(machine, found, needed, version)];
}

function driverChecks(machine: Machine, version: string): readonly DeviceCheck[] {
  const card = findNvidiaCard(machine);
  const driver = card?.driver ?? driverFromKernel(machine);
  const leastDriver = leastDrivers[version] ?? Math.max(...Object.values(leastDrivers));
  const recent = driver !== undefined && Number.parseInt(driver, 10) >= leastDriver;
  const libcuda = findLibrary(machine, 'libcuda.so.1');
  const hidden = hidesEveryCard(machine);
  return [
    ...(hidden
      ? [
          {
            name: 'CUDA_VISIBLE_DEVICES',
            passed: false,
            found: `"${machine.env['CUDA_VISIBLE_DEVICES']}"`,
            advice: 'CUDA_VISIBLE_DEVICES hides every GPU: unset it, or set it to the index of a GPU.',
          },
        ]
      : []),
    {
      name: 'NVIDIA driver',
      passed: recent,
      found: driver === undefined ? 'none' : `${driver}${card ? ` (${card.name})` : ''}`,
      ...(recent
        ? {}
        : {
            advice:
              driver === undefined
                ? `Install NVIDIA driver ${leastDriver} or later, or use a machine with an NVIDIA GPU.`
                : `Update the NVIDIA driver to version ${leastDriver} or later, which CUDA ${version} requires.`,
          }),
    },
    {
      name: 'libcuda.so.1',
      passed: libcuda !== undefined,
      found: libcuda ?? 'not found',
      ...(libcuda
        ? {}
        : { advice: 'libcuda.so.1 comes with the NVIDIA driver: install the driver, or start the container with GPU access.' }),
    },
  ];
}

function packageChecks(machine: Machine, found: RuntimePackage): readonly DeviceCheck[] {
  const same = found.version === coreRuntimeVersion;
  const files = ['libonnxruntime_providers_shared.so', providerLibrary].map((name): DeviceCheck => {
    const path = join(found.nativeFolder, name);
    const passed = machine.exists(path);
    return {
      name,
      passed,
      found: passed ? path : `not in ${found.nativeFolder}`,
      ...(passed
        ? {}
        : {
            advice:
              `Install onnxruntime-node ${coreRuntimeVersion} with its GPU files in a separate folder ` +
              `(npm install onnxruntime-node@${coreRuntimeVersion} --onnxruntime-node-install=cuda12) and set loomweight.runtime.path to that folder.`,
          }),
    };
  });
  return [
    {
      name: 'ONNX Runtime version',
      passed: same,
      found: `${found.version} in ${found.folder}`,
      ...(same
        ? {}
        : { advice: `Install onnxruntime-node ${coreRuntimeVersion} there: this version of Loomweight requires exactly that version.` }),
    },
    ...files,
  ];
}

/**
 * What the provider needs from CUDA and cuDNN, read from the file itself, since builds for CUDA 12 and for CUDA 13 are in use. Builds for
 * CUDA 13 are not linked with cuDNN but load it on first use, so it is checked whether or not the file names it.
 */
function neededLibraries(machine: Machine, found: RuntimePackage): readonly string[] {
  const needed = machine
    .needs(join(found.nativeFolder, providerLibrary))
    ?.filter((name) => /^lib(cu|nv)/.test(name) && name !== 'libcuda.so.1');
  if (needed === undefined || needed.length === 0) return usualLibraries;
  return needed.some(isCudnn) ? needed : [...needed, cudnnLibrary];
}

function libraryChecks(machine: Machine, found: RuntimePackage, needed: readonly string[], version: string): readonly DeviceCheck[] {
  const toolkits = ['/usr/local/cuda/lib64', ...toolkitFolders(machine, version)];
  const check = (names: readonly string[], title: string, install: string): DeviceCheck => {
    const missing = names.filter((name) => findLibrary(machine, name, [found.nativeFolder]) === undefined);
    if (missing.length === 0) return { name: title, passed: true, found: names.join(', ') };
    // Libraries that are installed but not on the loader's path are the usual case, and have another remedy.
    const folder = toolkits.find((candidate) => missing.every((name) => machine.exists(join(candidate, name))));
    return {
      name: title,
      passed: false,
      found: `missing ${missing.join(', ')}`,
      advice: folder
        ? `They are in ${folder}, which the loader does not search: add it to LD_LIBRARY_PATH before starting the editor or terminal.`
        : install,
    };
  };
  return [
    check(
      needed.filter((name) => !isCudnn(name)),
      `CUDA ${version} libraries`,
      `Install the CUDA ${version} runtime libraries and add their folder to LD_LIBRARY_PATH.`,
    ),
    check(needed.filter(isCudnn), 'cuDNN', `Install cuDNN 9 for CUDA ${version} and add its folder to LD_LIBRARY_PATH.`),
  ];
}

function toolkitFolders(machine: Machine, version: string): readonly string[] {
  return machine
    .list('/usr/local')
    .filter((name) => name.startsWith(`cuda-${version}`))
    .map((name) => join('/usr/local', name, 'lib64'));
}

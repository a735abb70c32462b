import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { missingPieces } from '../../../src/engine/runtime/chooseProvider';
import { cudaChecks, findNvidiaCard } from '../../../src/engine/runtime/cudaChecks';
import { describeDevices } from '../../../src/engine/runtime/devices';
import { coremlChecks, directmlChecks, webgpuChecks } from '../../../src/engine/runtime/graphicsChecks';
import { coreRuntimeVersion, findRuntimePackage } from '../../../src/engine/runtime/loadOrt';
import type { RuntimePackage } from '../../../src/engine/runtime/loadOrt';
import type { Machine } from '../../../src/engine/runtime/machine';
import { sharedLibraryNeeds } from '../../../src/engine/runtime/sharedLibraryNeeds';
import { createRuntime } from '../../../src/engine/runtime/runtime';

/** A machine made of a list of paths, texts and programs. */
function machine(parts: {
  readonly platform?: string;
  readonly arch?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly files?: readonly string[];
  readonly texts?: Readonly<Record<string, string>>;
  readonly programs?: Readonly<Record<string, string | ((args: readonly string[]) => string | undefined)>>;
  readonly needs?: Readonly<Record<string, readonly string[]>>;
}): Machine {
  const files = parts.files ?? [];
  return {
    platform: parts.platform ?? 'linux',
    arch: parts.arch ?? 'x64',
    env: parts.env ?? {},
    exists: (path) => files.includes(path),
    read: (path) => parts.texts?.[path],
    list: (path) => files.filter((file) => file.startsWith(`${path}/`)).map((file) => file.slice(path.length + 1).split('/')[0] as string),
    needs: (path) => parts.needs?.[path],
    run: (program, args) => {
      const answer = parts.programs?.[program];
      return typeof answer === 'function' ? answer(args) : answer;
    },
  };
}

const gpuPackage: RuntimePackage = { folder: '/ort', version: coreRuntimeVersion, nativeFolder: '/ort/native', origin: 'configured' };
const cudaFolder = '/opt/cuda';
const complete = {
  env: { LD_LIBRARY_PATH: cudaFolder },
  files: [
    '/usr/lib/x86_64-linux-gnu/libcuda.so.1',
    '/ort/native/libonnxruntime_providers_shared.so',
    '/ort/native/libonnxruntime_providers_cuda.so',
    ...[
      'libcudart.so.12',
      'libcublas.so.12',
      'libcublasLt.so.12',
      'libcurand.so.10',
      'libcufft.so.11',
      'libnvrtc.so.12',
      'libcudnn.so.9',
    ].map((name) => `${cudaFolder}/${name}`),
  ],
  programs: { 'nvidia-smi': 'NVIDIA L4, 550.54.15, 22500\n' },
};

/** An ELF library of one loaded segment that asks for the given libraries: header, two program headers, dynamic section, strings. */
function tinyLibrary(needed: readonly string[]): Buffer {
  const strings = Buffer.from(`\0${needed.join('\0')}\0`, 'latin1');
  const dynamicOffset = 64 + 2 * 56;
  const dynamicSize = 16 * (needed.length + 2);
  const stringOffset = dynamicOffset + dynamicSize;
  const base = 0x10000; // Addresses in memory differ from offsets in the file.
  const bytes = Buffer.alloc(stringOffset + strings.length);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  bytes.writeBigUInt64LE(64n, 32);
  bytes.writeUInt16LE(56, 54);
  bytes.writeUInt16LE(2, 56);
  const segment = (index: number, type: number, offset: number, size: number) => {
    const at = 64 + index * 56;
    bytes.writeUInt32LE(type, at);
    bytes.writeBigUInt64LE(BigInt(offset), at + 8);
    bytes.writeBigUInt64LE(BigInt(base + offset), at + 16);
    bytes.writeBigUInt64LE(BigInt(size), at + 32);
  };
  segment(0, 1, 0, bytes.length);
  segment(1, 2, dynamicOffset, dynamicSize);
  const entries = [[5, base + stringOffset], ...needed.map((name) => [1, strings.indexOf(name)]), [0, 0]];
  for (const [index, [tag, value]] of entries.entries()) {
    bytes.writeBigUInt64LE(BigInt(tag as number), dynamicOffset + index * 16);
    bytes.writeBigUInt64LE(BigInt(value as number), dynamicOffset + index * 16 + 8);
  }
  bytes.set(strings, stringOffset);
  return bytes;
}

describe('CUDA checks', () => {
  test('pass on a complete machine and name the GPU', () => {
    const checks = cudaChecks(machine(complete), gpuPackage);
    expect(missingPieces(checks)).toBeUndefined();
    expect(checks[0]).toMatchObject({ name: 'NVIDIA driver', found: '550.54.15 (NVIDIA L4)' });
  });

  test('read the driver from the kernel if nvidia-smi is missing', () => {
    const text = 'NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.161.08  Sat Feb 17 22:55:48 UTC 2024\n';
    const checks = cudaChecks(machine({ ...complete, programs: {}, texts: { '/proc/driver/nvidia/version': text } }), gpuPackage);
    expect(checks[0]).toMatchObject({ passed: true, found: '535.161.08' });
  });

  const without = (name: string) => ({ ...complete, files: complete.files.filter((file) => !file.endsWith(name)) });
  test.each([
    ['an old driver', { ...complete, programs: { 'nvidia-smi': 'Tesla K80, 470.1, 11000\n' } }, 'Update the NVIDIA driver to version 525'],
    ['no driver', { ...complete, programs: {} }, 'Install NVIDIA driver 525 or later'],
    ['no libcuda', without('libcuda.so.1'), 'start the container with GPU access'],
    ['no provider library', without('libonnxruntime_providers_cuda.so'), '--onnxruntime-node-install=cuda12'],
    ['no cuDNN', without('libcudnn.so.9'), 'Install cuDNN 9 for CUDA 12'],
    ['no cuBLAS', without('libcublas.so.12'), 'Install the CUDA 12 runtime libraries'],
  ])('%s: one sentence says what to do', (_case, parts, advice) => {
    const failed = cudaChecks(machine(parts), gpuPackage).filter(({ passed }) => !passed);
    expect(failed).toHaveLength(1);
    expect(failed[0]?.advice).toContain(advice);
  });

  test('libraries outside the search path need LD_LIBRARY_PATH', () => {
    const files = complete.files.map((file) => file.replace(cudaFolder, '/usr/local/cuda-12.4/lib64'));
    const failed = cudaChecks(machine({ ...complete, env: {}, files }), gpuPackage).filter(({ passed }) => !passed);
    expect(failed.map(({ name }) => name)).toEqual(['CUDA 12 libraries', 'cuDNN']);
    for (const { advice } of failed) expect(advice).toContain('They are in /usr/local/cuda-12.4/lib64');
  });

  const needs = { '/ort/native/libonnxruntime_providers_cuda.so': ['libcublas.so.13', 'libcudart.so.13', 'libcuda.so.1', 'libc.so.6'] };
  const recent = { 'nvidia-smi': 'NVIDIA H100, 580.65.06, 80000\n' };

  test('the requirements of a provider built for another CUDA come from its library', () => {
    const failed = cudaChecks(machine({ ...complete, needs, programs: recent }), gpuPackage).filter(({ passed }) => !passed);
    expect(failed).toMatchObject([
      {
        name: 'CUDA 13 libraries',
        found: 'missing libcublas.so.13, libcudart.so.13',
        advice: 'Install the CUDA 13 runtime libraries and add their folder to LD_LIBRARY_PATH.',
      },
    ]);
  });

  test('CUDA 13 needs a newer driver, and cuDNN even though the provider does not name it', () => {
    const files = [...complete.files, `${cudaFolder}/libcublas.so.13`, `${cudaFolder}/libcudart.so.13`];
    const failed = (parts: Parameters<typeof machine>[0]) => cudaChecks(machine(parts), gpuPackage).filter(({ passed }) => !passed);
    expect(failed({ ...complete, files, needs, programs: recent })).toEqual([]);
    expect(failed({ ...complete, files, needs })).toMatchObject([
      { name: 'NVIDIA driver', advice: 'Update the NVIDIA driver to version 580 or later, which CUDA 13 requires.' },
    ]);
    const withoutCudnn = files.filter((file) => !file.endsWith('libcudnn.so.9'));
    expect(failed({ ...complete, files: withoutCudnn, needs, programs: recent })).toMatchObject([
      { name: 'cuDNN', found: 'missing libcudnn.so.9', advice: expect.stringContaining('Install cuDNN 9 for CUDA 13') as string },
    ]);
  });

  test('CUDA_VISIBLE_DEVICES selects the GPU, or none', () => {
    const cards = ['NVIDIA L4, 580.65.06, 22500', 'NVIDIA H100, 580.65.06, 80000'];
    const smi = (args: readonly string[]) => {
      const id = args.find((word) => word.startsWith('--id='))?.slice('--id='.length);
      return id === undefined ? cards.join('\n') : cards[Number(id)];
    };
    const card = (visible?: string) =>
      findNvidiaCard(
        machine({ programs: { 'nvidia-smi': smi }, ...(visible === undefined ? {} : { env: { CUDA_VISIBLE_DEVICES: visible } }) }),
      );
    expect(card()?.name).toBe('NVIDIA L4');
    expect(card('1,0')).toEqual({ name: 'NVIDIA H100', driver: '580.65.06', memoryFreeBytes: 80000 * 2 ** 20 });
    expect(card('MIG-1f2e')?.name).toBe('NVIDIA L4');
    expect(card('-1')).toBeUndefined();
    const hidden = { ...complete, env: { ...complete.env, CUDA_VISIBLE_DEVICES: '' }, programs: { 'nvidia-smi': smi } };
    expect(missingPieces(cudaChecks(machine(hidden), gpuPackage))).toContain('CUDA_VISIBLE_DEVICES hides every GPU');
  });

  test('memory that the driver does not report is unknown, not a number that refuses every job', () => {
    const card = findNvidiaCard(machine({ programs: { 'nvidia-smi': 'NVIDIA H100 MIG, 580.65.06, [N/A]\n' } }));
    expect(card).toEqual({ name: 'NVIDIA H100 MIG', driver: '580.65.06' });
  });

  test('requirements are read from the dynamic section of a library; other files are refused', () => {
    const folder = mkdtempSync(join(tmpdir(), 'loomweight-library-'));
    try {
      const library = join(folder, 'library.so');
      writeFileSync(library, tinyLibrary(['libcudart.so.13', 'libc.so.6']));
      expect(sharedLibraryNeeds(library)).toEqual(['libcudart.so.13', 'libc.so.6']);
      writeFileSync(library, tinyLibrary(['libcudart.so.13']).subarray(0, 130));
      expect(sharedLibraryNeeds(library)).toBeUndefined();
      writeFileSync(library, 'no library at all');
      expect(sharedLibraryNeeds(library)).toBeUndefined();
      expect(sharedLibraryNeeds(join(folder, 'absent.so'))).toBeUndefined();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('libraries in the loader cache count', () => {
    const files = complete.files.filter((file) => !file.endsWith('libcudnn.so.9'));
    const cache = '\tlibcudnn.so.9 (libc6,x86-64) => /somewhere/libcudnn.so.9\n';
    const checks = cudaChecks(machine({ ...complete, files, programs: { ...complete.programs, '/sbin/ldconfig': cache } }), gpuPackage);
    expect(missingPieces(checks)).toBeUndefined();
  });

  test('a package of another version is refused', () => {
    const failed = cudaChecks(machine(complete), { ...gpuPackage, version: '1.20.0' }).filter(({ passed }) => !passed);
    expect(failed).toMatchObject([{ name: 'ONNX Runtime version', advice: expect.stringContaining(coreRuntimeVersion) as string }]);
  });

  test('other platforms are offered an alternative', () => {
    expect(missingPieces(cudaChecks(machine({ platform: 'win32' }), gpuPackage))).toContain('use dml or webgpu here');
  });
});

describe('graphics checks', () => {
  test('Linux needs a Vulkan loader and a driver manifest', () => {
    const nothing = webgpuChecks(machine({}), gpuPackage);
    expect(nothing.map(({ passed }) => passed)).toEqual([false, false]);
    expect(missingPieces(nothing)).toMatch(/libvulkan1.*mesa-vulkan-drivers/);
    const files = ['/usr/lib64/libvulkan.so.1', '/usr/share/vulkan/icd.d/radeon_icd.x86_64.json'];
    expect(missingPieces(webgpuChecks(machine({ files }), gpuPackage))).toBeUndefined();
    const named = { files: [files[0] as string, '/x/icd.json'], env: { VK_DRIVER_FILES: '/x/icd.json' } };
    expect(missingPieces(webgpuChecks(machine(named), gpuPackage))).toBeUndefined();
    expect(missingPieces(webgpuChecks(machine({ ...named, env: { VK_DRIVER_FILES: '/gone.json' } }), gpuPackage))).toContain(
      'Vulkan driver',
    );
  });

  test('Windows looks for DirectML and the shader compiler next to the runtime', () => {
    const files = ['DirectML.dll', 'dxcompiler.dll', 'dxil.dll'].map((name) => join('/ort/native', name));
    expect(missingPieces(directmlChecks(machine({ platform: 'win32', files }), gpuPackage))).toBeUndefined();
    expect(missingPieces(webgpuChecks(machine({ platform: 'win32', files }), gpuPackage))).toBeUndefined();
    expect(missingPieces(directmlChecks(machine({ platform: 'win32' }), gpuPackage))).toContain('Reinstall Loomweight');
    expect(missingPieces(directmlChecks(machine({}), gpuPackage))).toContain('Windows only');
  });

  test('CoreML needs Apple silicon', () => {
    expect(missingPieces(coremlChecks(machine({ platform: 'darwin', arch: 'arm64' })))).toBeUndefined();
    expect(missingPieces(coremlChecks(machine({ platform: 'darwin', arch: 'x64' })))).toContain('Apple silicon only');
  });
});

describe('the runtime folder', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'loomweight-ort-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  function writePackage(at: string, version: string): void {
    mkdirSync(join(at, 'bin', 'napi-v6', process.platform, process.arch), { recursive: true });
    writeFileSync(join(at, 'package.json'), JSON.stringify({ name: 'onnxruntime-node', version }));
    writeFileSync(join(at, 'bin', 'napi-v6', process.platform, process.arch, 'onnxruntime_binding.node'), '');
  }

  test('may be the package or a folder whose node_modules contains it', () => {
    writePackage(join(folder, 'direct'), '1.30.0');
    writePackage(join(folder, 'project', 'node_modules', 'onnxruntime-node'), '1.31.0');
    expect(findRuntimePackage(join(folder, 'direct'))).toMatchObject({ version: '1.30.0', origin: 'configured' });
    expect(findRuntimePackage(join(folder, 'project'))).toMatchObject({ version: '1.31.0', origin: 'configured' });
  });

  test('without a package is refused, explaining the setting', () => {
    expect(() => findRuntimePackage(folder)).toThrow(/loomweight\.runtime\.path must name a folder with an onnxruntime-node package/);
  });

  test('for a platform without native files is refused', () => {
    expect(() => findRuntimePackage(undefined, { platform: 'darwin', arch: 'x64' })).toThrow(/has no build for darwin-x64/);
  });

  test('with a library that does not load is a runtime error that names the folder', async () => {
    writePackage(folder, '1.30.0');
    await expect(createRuntime({ provider: 'cpu', runtimePath: folder })).rejects.toMatchObject({
      code: 'runtime',
      message: expect.stringContaining('Correct or clear loomweight.runtime.path') as string,
    });
  });
});

describe('the choice', () => {
  const bare = machine({ platform: process.platform, arch: process.arch });

  test('a named provider that cannot be used is refused with what is missing, never replaced', async () => {
    await expect(createRuntime({ provider: 'cuda', machine: bare })).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringMatching(/^Provider cuda cannot be used here\. /) as string,
    });
    await expect(createRuntime({ provider: 'coreml', machine: machine({}) })).rejects.toMatchObject({ code: 'unsupported' });
  });

  test('auto chooses the CPU on a machine without a GPU and gives the reason', async () => {
    const runtime = await createRuntime({ machine: bare });
    expect(runtime.environment).toMatchObject({ provider: 'cpu', runtime: `onnxruntime-node ${coreRuntimeVersion}` });
    expect(runtime.environment.providerReason).toMatch(/CUDA is not set up\./);
    expect(runtime.environment.threads).toBeGreaterThan(0);
    await runtime.dispose();
  });

  test('the devices report lists every provider and what auto chooses', async () => {
    const report = await describeDevices({ memory: { totalBytes: 8, availableBytes: 4 } }, bare);
    expect(report.devices.map(({ provider }) => provider)).toEqual(['cpu', 'cuda', 'webgpu', 'dml', 'coreml']);
    expect(report.devices[0]).toMatchObject({ provider: 'cpu', usable: true });
    for (const device of report.devices.slice(1)) if (!device.usable) expect(device.reason).not.toBe('');
    expect(report).toMatchObject({ memoryBytes: 8, memoryAvailableBytes: 4, automatic: { provider: 'cpu' } });
  });
});

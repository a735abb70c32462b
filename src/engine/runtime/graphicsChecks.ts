import { join } from 'node:path';
import type { DeviceCheck } from './cudaChecks';
import type { RuntimePackage } from './loadOrt';
import { findLibrary } from './machine';
import type { Machine } from './machine';

/** Folders of Vulkan driver manifests, as searched by the Vulkan loader on Linux. */
const manifestFolders = ['/etc/vulkan/icd.d', '/usr/share/vulkan/icd.d', '/usr/local/share/vulkan/icd.d', '/usr/local/etc/vulkan/icd.d'];

/** Requirements of WebGPU on this platform: Vulkan on Linux, Direct3D 12 on Windows, Metal on macOS. */
export function webgpuChecks(machine: Machine, found: RuntimePackage): readonly DeviceCheck[] {
  if (machine.platform === 'win32') return ['dxcompiler.dll', 'dxil.dll'].map((name) => fileCheck(machine, found, name));
  if (machine.platform === 'darwin')
    return [
      {
        name: 'Metal',
        passed: machine.arch === 'arm64',
        found: machine.arch,
        ...(machine.arch === 'arm64' ? {} : { advice: appleSiliconOnly }),
      },
    ];
  const loader = findLibrary(machine, 'libvulkan.so.1', [found.nativeFolder]);
  const manifests = vulkanManifests(machine);
  return [
    {
      name: 'Vulkan loader',
      passed: loader !== undefined,
      found: loader ?? 'libvulkan.so.1 not found',
      ...(loader ? {} : { advice: 'Install the Vulkan loader (package libvulkan1 or vulkan-loader).' }),
    },
    {
      name: 'Vulkan driver',
      passed: manifests.length > 0,
      found: manifests.length > 0 ? manifests.join(', ') : 'no driver manifest',
      ...(manifests.length > 0 ? {} : { advice: "Install the GPU's Vulkan driver (for Mesa: mesa-vulkan-drivers)." }),
    },
  ];
}

const appleSiliconOnly = 'ONNX Runtime for macOS is built for Apple silicon only.';

function vulkanManifests(machine: Machine): readonly string[] {
  const named = (machine.env['VK_DRIVER_FILES'] ?? machine.env['VK_ICD_FILENAMES'] ?? '').split(':').filter(Boolean);
  if (named.length > 0) return named.filter((path) => machine.exists(path));
  return manifestFolders.flatMap((folder) =>
    machine
      .list(folder)
      .filter((name) => name.endsWith('.json'))
      .map((name) => join(folder, name)),
  );
}

/** Requirements of DirectML: Windows, and its library next to the runtime. */
export function directmlChecks(machine: Machine, found: RuntimePackage): readonly DeviceCheck[] {
  if (machine.platform !== 'win32')
    return [
      {
        name: 'platform',
        passed: false,
        found: machine.platform,
        advice: 'DirectML is available on Windows only; use webgpu or cuda here.',
      },
    ];
  return [fileCheck(machine, found, 'DirectML.dll')];
}

/** Requirements of CoreML: macOS on Apple silicon. */
export function coremlChecks(machine: Machine): readonly DeviceCheck[] {
  const passed = machine.platform === 'darwin' && machine.arch === 'arm64';
  return [
    {
      name: 'platform',
      passed,
      found: `${machine.platform}-${machine.arch}`,
      ...(passed
        ? {}
        : { advice: machine.platform === 'darwin' ? appleSiliconOnly : 'CoreML is available on macOS only; use webgpu here.' }),
    },
  ];
}

function fileCheck(machine: Machine, found: RuntimePackage, name: string): DeviceCheck {
  const path = join(found.nativeFolder, name);
  const passed = machine.exists(path);
  return {
    name,
    passed,
    found: passed ? path : `not in ${found.nativeFolder}`,
    ...(passed ? {} : { advice: 'Reinstall Loomweight, or set loomweight.runtime.path to a complete onnxruntime-node package.' }),
  };
}

const names: Readonly<Record<string, string>> = { cpu: 'CPU', cuda: 'CUDA', webgpu: 'WebGPU', dml: 'DirectML', coreml: 'Core ML' };

/** A provider as its makers write it. */
export function providerName(provider: string): string {
  return names[provider] ?? provider;
}

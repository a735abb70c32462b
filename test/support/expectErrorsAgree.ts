import { expect } from 'vitest';
import { compareContainers } from '../../src/engine/evaluate/compareModels';
import { openContainer } from '../../src/engine/models/openContainer';
import { readableOutput } from '../../src/engine/outputs/readableOutput';
import type { CompareReport, LayerReport } from '../../src/protocol/report';

/** Compares two models on disk as `compare` does: outputs of Loomweight as the values that they store. */
export async function compareOnDisk(
  first: string,
  second: string,
): Promise<Pick<CompareReport, 'equal' | 'changed' | 'missing' | 'tensors'>> {
  const a = await openContainer(first, { asHuggingFace: true });
  try {
    const b = await openContainer(second, { asHuggingFace: true });
    try {
      const [left, right] = [await readableOutput(a, b), await readableOutput(b, a)];
      return await compareContainers(left.container, right.container, {}, { progress: () => undefined, signal: undefined });
    } finally {
      await b.close();
    }
  } finally {
    await a.close();
  }
}

/**
 * The independent path from file to number: what `compare` computes between the source and the finished file must be the relative error that the report states for each
 * layer. Planner and verifier share no code with it beyond the storage forms' decoders. `rounding`: relative allowance where the file rounds values to the source's type.
 */
export async function expectErrorsAgree(model: string, out: string, layers: readonly LayerReport[], rounding = 0): Promise<void> {
  const { tensors } = await compareOnDisk(model, out);
  const found = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  expect(layers.length).toBeGreaterThan(0);
  for (const { name, relativeError } of layers) {
    const tensor = found.get(name);
    expect(tensor?.status, name).toMatch(/^(changed|equal)$/);
    expect(tensor?.note, name).toBeUndefined();
    const measured = tensor?.relativeError ?? 0;
    expect(Math.abs(measured - relativeError), `${name}: report ${relativeError}, compare ${measured}`).toBeLessThanOrEqual(
      relativeError * (1e-5 + rounding),
    );
  }
}

import type { ModelSummary, TensorSummary } from '../../protocol/model';

/** Tensors of one block, in the order of the file. */
export interface TensorGroup {
  readonly name: string;
  readonly tensors: readonly TensorSummary[];
  readonly bytes: number;
}

const collator = new Intl.Collator('en', { numeric: true });

/** The blocks of a model in natural order (`layers.2` before `layers.10`); tensors outside any block come first. */
export function groupTensors(summary: ModelSummary): readonly TensorGroup[] {
  const groups = new Map<string, TensorSummary[]>();
  for (const tensor of summary.tensors) {
    const group = groups.get(tensor.block);
    if (group) group.push(tensor);
    else groups.set(tensor.block, [tensor]);
  }
  return [...groups]
    .map(([name, tensors]) => ({ name, tensors, bytes: tensors.reduce((sum, { bytes }) => sum + bytes, 0) }))
    .sort((a, b) => collator.compare(a.name, b.name));
}

/** The types of a model's tensors, the one with most bytes first. */
export function dtypesOf(summary: ModelSummary): readonly string[] {
  const bytes = new Map<string, number>();
  for (const tensor of summary.tensors) bytes.set(tensor.dtype, (bytes.get(tensor.dtype) ?? 0) + tensor.bytes);
  return [...bytes].sort((a, b) => b[1] - a[1]).map(([dtype]) => dtype);
}

/** `3950848` parameters become `3.95M`, as model names have it. */
export function shortCount(count: number): string {
  const steps: readonly (readonly [number, string])[] = [
    [1e12, 'T'],
    [1e9, 'B'],
    [1e6, 'M'],
    [1e3, 'K'],
  ];
  const step = steps.find(([size]) => count >= size);
  return step ? `${Number((count / step[0]).toPrecision(3))}${step[1]}` : String(count);
}

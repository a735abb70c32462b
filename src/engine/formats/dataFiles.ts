import type { TensorContainer } from './container';

/** Absolute paths of the files that hold a model's graph and weights: those that the container states, or its own file and those that its tensors are in. */
export function dataFiles({ weightFiles, path, tensors }: TensorContainer): readonly string[] {
  if (weightFiles) return weightFiles;
  const files = new Set([path]);
  for (const { location } of tensors.values()) if (location) files.add(location.file);
  return [...files];
}

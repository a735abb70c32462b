import type { Fold, Folded } from '../../graph/passes/folding';
import { writeHost, type HostTensor } from './hostTensor';

/** An operator of the standard domain and its evaluation. */
export type FoldEntry = readonly [name: string, fold: Fold];

/** The folded form of a node with one output. */
export function single(tensor: HostTensor | undefined): Folded | undefined {
  const data = tensor && writeHost(tensor);
  return data && [data];
}

import type { ModelProto } from './generated/onnx';
import { eachGraph, eachNode } from './walk';

/** Names of a model's values and nodes, in every graph of it, and new ones that it does not have. */
export class UniqueNames {
  private readonly names = new Set<string>();
  /** Names that were returned and not used yet. */
  private readonly reserved = new Set<string>();
  /** Last suffix of each base name, so that many values with one base name are fast. */
  private readonly suffixes = new Map<string, number>();

  constructor(model: ModelProto) {
    eachGraph(model, (item) => {
      for (const value of [...item.input, ...item.output, ...item.valueInfo]) this.add(value.name);
      for (const tensor of item.initializer) this.add(tensor.name);
      for (const { values } of item.sparseInitializer) if (values) this.add(values.name);
    });
    eachNode(model, (node) => [node.name, ...node.input, ...node.output].forEach((name) => this.add(name)));
  }

  add(name: string): void {
    this.names.add(name);
  }

  /** A name that nothing has, derived from a base name; it counts as taken from now on. */
  next(stem: string): string {
    let suffix = this.suffixes.get(stem) ?? 0;
    let name = suffix === 0 ? stem : `${stem}_${suffix}`;
    while (this.names.has(name)) {
      suffix += 1;
      name = `${stem}_${suffix}`;
    }
    this.suffixes.set(stem, suffix);
    this.names.add(name);
    this.reserved.add(name);
    return name;
  }

  /** True if something has the name; one that `next` returned may be taken once. */
  isTaken(name: string): boolean {
    return this.names.has(name) && !this.reserved.delete(name);
  }
}

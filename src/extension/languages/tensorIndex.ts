import type { TensorSummary } from '../../protocol/model';
import type { CatalogModel, ModelCatalog } from '../models/modelCatalog';

/** A tensor together with the model that it belongs to. */
export interface KnownTensor {
  readonly model: CatalogModel;
  readonly tensor: TensorSummary;
}

/** Most models whose headers are read for hovers: a folder of hundreds must not be read for one word. */
const mostModels = 40;

/** Finds tensors of the workspace's models by name. Built with the first question, again after models changed. */
export class TensorIndex {
  private index: Promise<ReadonlyMap<string, readonly KnownTensor[]>> | undefined;

  constructor(private readonly catalog: ModelCatalog) {}

  /** Forgets the names: models came, went or changed. */
  invalidate(): void {
    this.index = undefined;
  }

  /** The tensors of the first of these names that occurs in any model. */
  async find(names: readonly string[]): Promise<readonly KnownTensor[]> {
    const index = await (this.index ??= this.build());
    for (const name of names) {
      const known = index.get(name) ?? [];
      // The bundled sample steps back where a model of the workspace has the name.
      const own = known.filter(({ model }) => !model.sample);
      if (known.length > 0) return own.length > 0 ? own : known;
    }
    return [];
  }

  private async build(): Promise<ReadonlyMap<string, readonly KnownTensor[]>> {
    const models = (await this.catalog.models()).slice(0, mostModels);
    const index = new Map<string, KnownTensor[]>();
    for (const model of models) {
      // A model that cannot be read has no names; the tree shows the reason.
      const summary = await this.catalog.summary(model.path).catch(() => undefined);
      for (const tensor of summary?.tensors ?? []) {
        const known = index.get(tensor.name);
        if (known) known.push({ model, tensor });
        else index.set(tensor.name, [{ model, tensor }]);
      }
    }
    return index;
  }
}

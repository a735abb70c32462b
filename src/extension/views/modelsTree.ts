import * as vscode from 'vscode';
import { formatBytes, formatCount, formatNumber } from '../../common/units';
import { modelFormatNames } from '../../protocol/model';
import type { ModelSummary, TensorSummary } from '../../protocol/model';
import { commandIds, itemContexts, clickCommandIds } from '../contributions';
import type { CatalogModel, ModelCatalog } from '../models/modelCatalog';
import { modelIcon, tensorIcon } from '../models/modelFiles';
import type { TensorGroup } from '../models/tensorGroups';
import { Markdown } from '../shown/markdown';
import { describeRow, treeRow } from '../shown/rows';
import { dtypesOf, groupTensors, shortCount } from '../models/tensorGroups';

/** What the Models tree shows: models, their blocks, their tensors. */
export type ModelNode =
  | { readonly kind: 'model'; readonly model: CatalogModel }
  | { readonly kind: 'group'; readonly model: CatalogModel; readonly group: TensorGroup }
  | { readonly kind: 'tensor'; readonly model: CatalogModel; readonly tensor: TensorSummary }
  | { readonly kind: 'more'; readonly model: CatalogModel; readonly count: number };

/** Most tensors listed under one block: a flat file of 100,000 tensors belongs in the table. */
const mostTensors = 1000;

/** Models > blocks > tensors. Headers are read when a model becomes visible, weights never. */
export class ModelsTree implements vscode.TreeDataProvider<ModelNode>, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<ModelNode | undefined>();
  readonly onDidChangeTreeData = this.changed.event;
  private readonly listed = new vscode.EventEmitter<readonly CatalogModel[]>();
  /** The models that the tree has just been given. */
  readonly onDidList = this.listed.event;
  private readonly nodes = new Map<string, ModelNode & { kind: 'model' }>();
  private readonly summaries = new Map<string, ModelSummary>();
  /** Models whose summary or problem is up to date with their files. */
  private readonly current = new Set<string>();
  /** The rows that the tree was last given; undefined before it asked. */
  private rows: readonly (ModelNode & { kind: 'model' })[] | undefined;
  private readonly subscription;

  constructor(private readonly catalog: ModelCatalog) {
    this.subscription = catalog.onDidChange(() => void this.listAgain());
  }

  dispose(): void {
    this.subscription.dispose();
    this.changed.dispose();
    this.listed.dispose();
  }

  async getChildren(node?: ModelNode): Promise<ModelNode[]> {
    if (!node) {
      const models = await this.catalog.models();
      this.listed.fire(models);
      this.rows = models.map((model) => this.nodeOf(model));
      return [...this.rows];
    }
    if (node.kind === 'model') return this.childrenOfModel(node.model);
    if (node.kind === 'group') return tensorNodes(node.model, node.group.tensors);
    return [];
  }

  getTreeItem(node: ModelNode): vscode.TreeItem {
    switch (node.kind) {
      case 'model':
        return this.modelItem(node);
      case 'group':
        return groupItem(node.group);
      case 'tensor':
        return tensorItem(node.model, node.tensor);
      case 'more': {
        const item = treeRow(`${formatCount(node.count)} more in the table`);
        item.iconPath = new vscode.ThemeIcon('ellipsis');
        item.command = openCommand;
        return item;
      }
    }
  }

  private nodeOf(model: CatalogModel): ModelNode & { kind: 'model' } {
    const known = this.nodes.get(model.path);
    const node = { kind: 'model' as const, model };
    // The same object while nothing changed, so that the tree keeps what is open.
    if (known && JSON.stringify(known.model) === JSON.stringify(model)) return known;
    this.nodes.set(model.path, node);
    return node;
  }

  private async childrenOfModel(model: CatalogModel): Promise<ModelNode[]> {
    const summary = await this.catalog.summary(model.path).catch(() => undefined);
    if (!summary) return [];
    const groups = groupTensors(summary);
    const only = groups.length === 1 ? groups[0] : undefined;
    if (only) return tensorNodes(model, only.tensors);
    return groups.flatMap((group): ModelNode[] =>
      group.name === '' || group.tensors.length === 1 ? tensorNodes(model, group.tensors) : [{ kind: 'group', model, group }],
    );
  }

  private modelItem(node: ModelNode & { kind: 'model' }): vscode.TreeItem {
    const { model } = node;
    const item = treeRow(model.name, vscode.TreeItemCollapsibleState.Collapsed);
    item.id = model.path;
    item.iconPath = modelIcon(model.format);
    item.contextValue = model.sample ? itemContexts.sampleModel : itemContexts.model;
    item.resourceUri = vscode.Uri.file(model.path).with({ scheme: 'loomweight-model' });
    item.command = openCommand;
    const summary = this.summaries.get(model.path);
    const problem = this.catalog.problem(model.path);
    if (summary) this.describe(item, model, summary);
    else if (problem) {
      describeRow(item, { description: 'cannot be read', tooltip: problem.message });
      item.iconPath = new vscode.ThemeIcon('warning', new vscode.ThemeColor('list.warningForeground'));
    } else {
      describeRow(item, { description: [model.sample ? 'sample' : model.folder, formatBytes(model.bytes)].filter(Boolean).join(' · ') });
    }
    if (!this.current.has(model.path)) void this.read(node);
    return item;
  }

  /**
   * Lists the models again. The whole tree is refreshed only for another list of models, and only when the new list is there: a tree that is being refreshed knows no
   * row that could be clicked.
   */
  private async listAgain(): Promise<void> {
    this.current.clear();
    if (!this.rows) return;
    const rows = (await this.catalog.models()).map((model) => this.nodeOf(model));
    const same = rows.length === this.rows.length && rows.every((row, index) => row === this.rows?.[index]);
    if (!same) this.changed.fire(undefined);
    else for (const row of rows) void this.read(row);
  }

  /** Reads the headers of a model and draws its row again where they say something new. */
  private async read(node: ModelNode & { kind: 'model' }): Promise<void> {
    const { path } = node.model;
    this.current.add(path);
    const known = this.summaries.get(path);
    const summary = await this.catalog.summary(path).catch(() => undefined);
    if (summary !== undefined) this.summaries.set(path, summary);
    else this.summaries.delete(path); // The row shows the catalogue's problem.
    if (summary === undefined || summary !== known) this.changed.fire(node);
  }

  private describe(item: vscode.TreeItem, model: CatalogModel, summary: ModelSummary): void {
    const { compressed } = summary;
    const bits = compressed ? `${formatNumber(compressed.bitsPerWeight, 3)} bits` : undefined;
    const description = [
      model.sample ? 'sample' : model.folder,
      bits,
      compressed ? undefined : shortCount(summary.parameters),
      formatBytes(summary.bytes),
      compressed ? undefined : dtypesOf(summary)[0],
    ]
      .filter(Boolean)
      .join(' · ');
    if (compressed) item.iconPath = new vscode.ThemeIcon('fold', new vscode.ThemeColor('charts.blue'));
    const tooltip = new Markdown().bold(summary.name).end('paragraph');
    const facts = [
      [...(summary.architecture === 'unknown' ? [] : [summary.architecture]), modelFormatNames[summary.format]].join(', '),
      `${formatCount(summary.parameters)} parameters, ${formatCount(summary.tensors.length)} tensors`,
      `${formatBytes(summary.bytes)}, ${dtypesOf(summary).join(', ')}`,
      ...(compressed ? [`compressed with ${compressed.method}: ${formatNumber(compressed.bitsPerWeight, 4)} bits per weight`] : []),
      model.path,
    ];
    for (const fact of facts) tooltip.text(fact).end('line');
    describeRow(item, { description, tooltip, spoken: `${summary.name}, ${facts.slice(0, -1).join(', ')}` });
  }
}

function tensorNodes(model: CatalogModel, tensors: readonly TensorSummary[]): ModelNode[] {
  const nodes: ModelNode[] = tensors.slice(0, mostTensors).map((tensor) => ({ kind: 'tensor', model, tensor }));
  if (tensors.length > mostTensors) nodes.push({ kind: 'more', model, count: tensors.length - mostTensors });
  return nodes;
}

function groupItem(group: TensorGroup): vscode.TreeItem {
  const item = treeRow(group.name, vscode.TreeItemCollapsibleState.Collapsed);
  item.iconPath = new vscode.ThemeIcon('layers');
  describeRow(item, { description: `${formatCount(group.tensors.length)} tensors · ${formatBytes(group.bytes)}` });
  return item;
}

function tensorItem(model: CatalogModel, tensor: TensorSummary): vscode.TreeItem {
  const own = tensor.block !== '' && tensor.name.startsWith(`${tensor.block}.`) ? tensor.name.slice(tensor.block.length + 1) : tensor.name;
  const item = treeRow(own);
  item.iconPath = tensorIcon(tensor);
  item.contextValue = itemContexts.tensor;
  describeRow(item, {
    description: `${tensor.shape.join(' × ') || 'scalar'} · ${tensor.dtype}`,
    tooltip: `${tensor.name}\n${formatBytes(tensor.bytes)}`,
  });
  item.command = openCommand;
  return item;
}

const openCommand: vscode.Command = { command: clickCommandIds.models, title: 'Open' };

/** Opens what a row is about: a tensor in its model, else the model. */
export function openModelRow(node: ModelNode): Thenable<unknown> {
  return vscode.commands.executeCommand(commandIds.openModel, node.model.path, node.kind === 'tensor' ? node.tensor.name : undefined);
}

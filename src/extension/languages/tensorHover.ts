import { stat } from 'node:fs/promises';
import * as vscode from 'vscode';
import type { TensorStatistics } from '../../protocol/model';
import { commandIds } from '../contributions';
import type { EngineHost } from '../engineHost/engineHost';
import { Markdown } from '../shown/markdown';
import { cardBins, histogramBars, histogramSvg, statisticsRows, tensorLine } from './tensorCard';
import type { KnownTensor, TensorIndex } from './tensorIndex';
import { candidateNames, tensorTokenAt } from './tensorTokens';

/** Files in which tensor names get a hover. */
export const hoverLanguages: vscode.DocumentSelector = ['yaml', 'json', 'jsonc', 'python'].map((language) => ({ language }));

/** Most models shown for one name: siblings share all names. */
const mostCards = 3;
/** Most statistics kept. */
const mostKept = 200;

/** Inline weight inspection: the tensor that a name in a text refers to, with statistics and a small histogram. */
export class TensorHover implements vscode.HoverProvider {
  private readonly kept = new Map<string, Promise<TensorStatistics>>();

  constructor(
    private readonly index: TensorIndex,
    private readonly engine: EngineHost,
  ) {}

  async provideHover(
    document: vscode.TextDocument,
    position: vscode.Position,
    token: vscode.CancellationToken,
  ): Promise<vscode.Hover | undefined> {
    const word = tensorTokenAt(document.lineAt(position.line).text, position.character);
    if (!word) return undefined;
    const known = await this.index.find(candidateNames(word.text));
    if (known.length === 0 || token.isCancellationRequested) return undefined;
    const cards = await Promise.all(known.slice(0, mostCards).map((tensor) => this.card(tensor)));
    if (known.length > mostCards) {
      const more = new Markdown().text(`and in ${known.length - mostCards} more models in this workspace`);
      cards.push(more);
    }
    return new vscode.Hover(
      cards.map(({ content }) => content),
      new vscode.Range(position.line, word.start, position.line, word.end),
    );
  }

  private async card({ model, tensor }: KnownTensor): Promise<Markdown> {
    const card = new Markdown([commandIds.openModel]).bold(tensor.name).end('line');
    card.text(`${tensorLine(tensor)} · ${model.name}`).end('paragraph');
    if (!vscode.workspace.isTrusted) return card.text('Values are read only in trusted workspaces.');
    try {
      const statistics = await this.statistics(model.path, tensor.name);
      card.table(statisticsRows(statistics));
      card.picture(histogramSvg(statistics.histogram), histogramBars(statistics.histogram));
    } catch (error) {
      card.text(error instanceof Error ? error.message : String(error)).end('paragraph');
    }
    return card.command('Inspect', commandIds.openModel, [model.path, tensor.name]);
  }

  private async statistics(model: string, tensor: string): Promise<TensorStatistics> {
    const { mtimeMs } = await stat(model);
    const key = JSON.stringify([model, mtimeMs, tensor]);
    const known = this.kept.get(key);
    if (known) return known;
    const asked = this.engine.ask('statistics', { model, tensor, bins: cardBins });
    this.kept.set(key, asked);
    asked.catch(() => this.kept.delete(key));
    const oldest = this.kept.keys().next();
    if (this.kept.size > mostKept && !oldest.done) this.kept.delete(oldest.value);
    return asked;
  }
}

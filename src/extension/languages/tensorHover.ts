import { stat } from 'node:fs/promises';
import * as vscode from 'vscode';
import type { TensorStatistics } from '../../protocol/model';
import { commandIds } from '../contributions';
import type { EngineHost } from '../engineHost/engineHost';
import { cardBins, commandTarget, histogramBars, histogramSvg, statisticsRows, tensorLine } from './tensorCard';
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
      const more = new vscode.MarkdownString();
      more.appendText(`and in ${known.length - mostCards} more models in this workspace`);
      cards.push(more);
    }
    return new vscode.Hover(cards, new vscode.Range(position.line, word.start, position.line, word.end));
  }

  private async card({ model, tensor }: KnownTensor): Promise<vscode.MarkdownString> {
    const card = new vscode.MarkdownString('', true);
    card.isTrusted = { enabledCommands: [commandIds.openModel] };
    card.appendMarkdown('**');
    card.appendText(tensor.name);
    card.appendMarkdown('**  \n');
    card.appendText(`${tensorLine(tensor)} · ${model.name}`);
    card.appendMarkdown('\n\n');
    if (!vscode.workspace.isTrusted) {
      card.appendText('Values are read only in trusted workspaces.');
      return card;
    }
    try {
      const statistics = await this.statistics(model.path, tensor.name);
      const rows = statisticsRows(statistics);
      // Wide spaces keep the columns apart: hovers draw tables without any room.
      const line = (cells: readonly string[]) => `| ${cells.map((cell) => `${cell}&emsp;`).join('| ')}|\n`;
      card.appendMarkdown(`${line(rows.map(([label]) => label))}|${rows.map(() => ':---').join('|')}|\n`);
      card.appendMarkdown(`${line(rows.map(([, value]) => value))}\n`);
      const picture = Buffer.from(histogramSvg(statistics.histogram)).toString('base64');
      card.appendMarkdown(`![${histogramBars(statistics.histogram)}](data:image/svg+xml;base64,${picture})\n\n`);
    } catch (error) {
      card.appendText(error instanceof Error ? error.message : String(error));
      card.appendMarkdown('\n\n');
    }
    card.appendMarkdown(`[Inspect](${commandTarget(commandIds.openModel, [model.path, tensor.name])})`);
    return card;
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
